"""Several files as one Dataset: what their columns must have in common."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from runway.errors import DataError
from runway.transforms import arrow_tables
from runway.transforms.loading import joined_rows

Make = Callable[..., Any]


def write(path: Path, rows: list[dict]) -> str:
    if path.suffix == ".csv":
        lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
        path.write_text("\n".join(lines) + "\n")
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        table = pa.Table.from_pylist(rows)
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
    return path.name


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "arrow"])
@pytest.mark.parametrize("dummy", [False, True])
def test_files_of_different_columns(make: Make, tmp_path: Path, ending: str, dummy: bool) -> None:
    paths = [
        write(tmp_path / f"a.{ending}", [{"text": "x", "label": 1}]),
        write(tmp_path / f"b.{ending}", [{"lable": 0, "text": "y"}]),
    ]
    with pytest.raises(DataError, match=rf"'b.{ending}' has no column 'label', which 'a.{ending}' has") as caught:
        make("LoadHFDataset", dataset_path=paths, use_dummy_data=dummy)()
    assert "did you mean 'lable'" in str(caught.value)
    assert "fill_missing_columns: true" in str(caught.value)
    node = make("LoadHFDataset", dataset_path=paths, fill_missing_columns=True, use_dummy_data=dummy)
    assert node()["train"].to_list() == [
        {"text": "x", "label": 1, "lable": None},
        {"text": "y", "label": None, "lable": 0},
    ]
    only = make("LoadHFDataset", dataset_path=paths, fields=["text"], use_dummy_data=dummy)
    assert only()["train"].to_list() == [{"text": "x"}, {"text": "y"}]
    with pytest.raises(DataError, match=rf"'b.{ending}' has no column 'label'"):
        make("LoadHFDataset", dataset_path=paths, fields=["text", "label"], use_dummy_data=dummy)()


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "arrow"])
def test_a_column_that_only_a_later_file_has(make: Make, tmp_path: Path, ending: str) -> None:
    paths = [
        write(tmp_path / f"a.{ending}", [{"text": "x"}]),
        write(tmp_path / f"b.{ending}", [{"text": "y", "label": 1}]),
    ]
    with pytest.raises(DataError, match=rf"'b.{ending}' has the column 'label', which 'a.{ending}' has not"):
        make("LoadHFDataset", dataset_path=paths)()


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "arrow"])
def test_the_order_of_columns_does_not_count(make: Make, tmp_path: Path, ending: str) -> None:
    paths = [
        write(tmp_path / f"a.{ending}", [{"text": "x", "label": 1}]),
        write(tmp_path / f"b.{ending}", [{"label": 2, "text": "y"}]),
    ]
    assert make("LoadHFDataset", dataset_path=paths)()["train"].to_list() == [
        {"text": "x", "label": 1},
        {"text": "y", "label": 2},
    ]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (("a.csv", "0012"), ("b.csv", 7), ["0012", "7"]),
        (("a.csv", 7), ("b.csv", "x"), ["7", "x"]),
        (("a.csv", 7), ("b.csv", 1.5), [7.0, 1.5]),
        (("a.csv", 7), ("b.csv", ""), [7, None]),
        (("a.csv", 7), ("b.jsonl", 8), [7, 8]),
        (("a.csv", 7), ("b.jsonl", "x"), ["7", "x"]),
        (("a.csv", 7), ("b.parquet", 1.5), [7.0, 1.5]),
        (("a.jsonl", "x"), ("b.csv", 7), ["x", "7"]),
        (("a.jsonl", 1), ("b.jsonl", 2**70), ["1", str(2**70)]),
        (("a.jsonl", 2**70), ("b.jsonl", 1), [str(2**70), "1"]),
        (("a.jsonl", None), ("b.jsonl", "x"), [None, "x"]),
        (("a.csv", "0012"), ("b.jsonl", 7), DataError),
        (("a.jsonl", 7), ("b.jsonl", "x"), DataError),
        (("a.jsonl", 1.5), ("b.jsonl", 2**60 + 1), DataError),
        (("a.parquet", True), ("b.jsonl", 1), DataError),
    ],
)
@pytest.mark.parametrize("dummy", [False, True])
def test_types_of_several_files(
    make: Make, tmp_path: Path, first: tuple, second: tuple, expected: Any, dummy: bool
) -> None:
    paths = [write(tmp_path / name, [{"c": value, "d": 0}]) for name, value in (first, second)]
    node = make("LoadHFDataset", dataset_path=paths, use_dummy_data=dummy)
    if expected is DataError:
        with pytest.raises(DataError, match="column_types"):
            node()
        return
    assert node()["train"]["c"][:] == expected


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_labels_of_other_names_are_an_error(make: Make, tmp_path: Path, ending: str) -> None:
    for name, names in (("a", ["neg", "pos"]), ("b", ["pos", "neg"]), ("c", ["neg", "pos"])):
        features = Features({"text": Value("string"), "label": ClassLabel(names=names)})
        dataset = Dataset.from_list([{"text": "x", "label": 1}], features=features)
        path = tmp_path / f"{name}.{ending}"
        if ending == "parquet":
            dataset.to_parquet(path)
        else:
            dataset.save_to_disk(tmp_path / name)
            next((tmp_path / name).glob("*.arrow")).rename(path)
    with pytest.raises(DataError, match="other label names in the column 'label'"):
        make("LoadHFDataset", dataset_path=[f"a.{ending}", f"b.{ending}"])()
    loaded = make("LoadHFDataset", dataset_path=[f"a.{ending}", f"c.{ending}"])()["train"]
    assert loaded.features["label"].names == ["neg", "pos"]
    assert loaded["label"][:] == [1, 1]


def test_rows_that_memory_does_not_hold(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Small(arrow_tables.TableWriter):
        def __init__(self, where: str) -> None:
            super().__init__(where, in_memory_bytes=100_000)

    monkeypatch.setattr(joined_rows, "TableWriter", Small)
    rows = [{"text": f"some text {n}", "n": n} for n in range(200_000)]
    paths = [write(tmp_path / "a.csv", rows), write(tmp_path / "b.jsonl", [*rows, {"text": "z", "n": 0.5}])]
    loaded = make("LoadHFDataset", dataset_path=paths)()["train"]
    assert loaded.cache_files
    assert loaded["n"][:] == [*map(float, range(200_000))] * 2 + [0.5]


def test_splits_of_different_types_are_told(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = {
        "train": write(tmp_path / "a.csv", [{"id": "0012", "n": 1}]),
        "test": write(tmp_path / "b.csv", [{"id": "12", "n": 2}]),
    }
    make("LoadHFDataset", dataset_path=paths)()
    assert "'id' has different types: string in 'train', int64 in 'test'" in capsys.readouterr().err
    make("LoadHFDataset", dataset_path=paths, column_types={"id": "string"})()
    assert "different types" not in capsys.readouterr().err


def test_dummy_data_of_several_text_files(make: Make, tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("line\n" * 200)
    node = make("LoadHFDataset", dataset_path=["a.txt", "b.txt"], use_dummy_data=True)
    assert node()["train"]["text"][:] == ["line"] * 100


def test_a_column_of_parquet_that_is_there_twice(make: Make, tmp_path: Path) -> None:
    pq.write_table(pa.table([[1], [2]], names=["a", "a"]), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="'a' is there twice"):
        make("LoadHFDataset", dataset_path="a.parquet")()
