"""Files of rows: each format, what is read of them, and errors that name file and line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from runway.errors import DataError
from tests.transforms.loading.conftest import ROWS

Make = Callable[..., Any]


@pytest.mark.parametrize("name", ["r.csv", "r.tsv", "r.jsonl", "r.json", "r.csv.gz", "r.parquet", "r.arrow"])
def test_one_file_of_each_format(make: Make, data: Path, name: str) -> None:
    node = make("LoadHFDataset", dataset_path=f"data/{name}")
    loaded = node()
    assert isinstance(loaded, DatasetDict)
    assert loaded["train"].to_list() == ROWS
    assert node._runway_reads.files == {("file", str(data / name))}


def test_dummy_data_of_a_large_file_read_little_of_it(make: Make, tmp_path: Path) -> None:
    (tmp_path / "large.txt").write_bytes(b"some words\n" * 200_000 + b"\xff\xfe\n")
    node = make("LoadHFDataset", dataset_path="large.txt", use_dummy_data=True)
    assert len(node()["train"]) == 100
    with pytest.raises(DataError):
        make("LoadHFDataset", dataset_path="large.txt")()


def test_types_survive(make: Make, tmp_path: Path) -> None:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["neg", "pos"])})
    Dataset.from_list(ROWS, features=features).to_parquet(tmp_path / "r.parquet")
    loaded = make("LoadHFDataset", dataset_path="r.parquet")()
    assert loaded["train"].features["label"].names == ["neg", "pos"]


def test_text_stays_text(make: Make, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text,label\n"None",1\nNA,2\n"two\nlines, ""quoted""",3\n')
    assert make("LoadHFDataset", dataset_path="a.csv")()["train"]["text"][:] == ["None", "NA", 'two\nlines, "quoted"']


def test_csv_options_and_json_field(make: Make, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x;1\ny;2\n")
    options = {"delimiter": ";", "column_names": ["text", "label"]}
    assert make("LoadHFDataset", dataset_path="a.csv", load_kwargs=options)()["train"][1] == {"text": "y", "label": 2}
    (tmp_path / "a.json").write_text(json.dumps({"version": 1, "data": ROWS}))
    assert make("LoadHFDataset", dataset_path="a.json", load_kwargs={"field": "data"})()["train"].to_list() == ROWS
    with pytest.raises(DataError, match="'delimitr'") as caught:
        make("LoadHFDataset", dataset_path="a.csv", load_kwargs={"delimitr": ";"})()
    assert "did you mean 'delimiter'" in str(caught.value)


@pytest.mark.parametrize("name", ["bad.csv", "bad.jsonl", "bad.txt"])
def test_bad_utf8_names_byte_and_line(make: Make, tmp_path: Path, name: str) -> None:
    content = {
        "bad.csv": b"text,label\nfine,1\ncaf\xe9,0\n",
        "bad.jsonl": b'{"text": "fine"}\n\n{"text": "caf\xe9"}\n',
        "bad.txt": b"fine\nfine\ncaf\xe9\n",
    }[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        make("LoadHFDataset", dataset_path=name)()
    message = str(caught.value)
    assert f"{name!r} is not valid utf-8: byte 0xe9 at offset {content.index(0xE9)}, line 3" in message
    assert "process:LoadHFDataset" in message
    assert make("LoadHFDataset", dataset_path=name, encoding="latin-1")()["train"]["text"][-1] == "café"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", "text,label\nx,1\ny\n", "Row #3"),
        ("a.csv", "", "is empty"),
        ("a.csv", "text,text\nx,1\n", "'text' is there twice"),
        ("a.jsonl", '{"text": "x"}\n{"text": \n', "line 2"),
        ("a.json", '[{"text": "x"}, 3]', "item 1 of the list is not an object"),
        ("a.json", '[{"text": "x"', "line 1"),
        ("a.parquet", "not parquet", "cannot be read"),
        ("a.txt", "", "is empty"),
    ],
)
def test_broken_files(make: Make, tmp_path: Path, name: str, content: str, expected: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError) as caught:
        make("LoadHFDataset", dataset_path=name)()
    assert expected in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)
