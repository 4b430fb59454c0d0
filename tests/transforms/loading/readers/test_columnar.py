"""Parquet and Arrow: types that HF datasets lacks, and columns that are left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from runway.errors import DataError

Make = Callable[..., Any]
MAP = pa.map_(pa.string(), pa.int64())


def write(path: Path, table: pa.Table) -> None:
    if path.suffix == ".parquet":
        pq.write_table(table, path)
        return
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (MAP, [[("k", 1), ("l", None)], None, []], [[{"key": "k", "value": 1}, {"key": "l", "value": None}], None, []]),
        (pa.list_(MAP), [[[("k", 1)]], []], [[[{"key": "k", "value": 1}]], []]),
        (
            pa.struct([("m", MAP), ("n", pa.int64())]),
            [{"m": [("k", 1)], "n": 2}],
            [{"m": [{"key": "k", "value": 1}], "n": 2}],
        ),
        (pa.map_(pa.string(), MAP), [[("o", [("k", 1)])]], [[{"key": "o", "value": [{"key": "k", "value": 1}]}]]),
    ],
)
def test_maps_become_lists_of_pairs(
    make: Make, tmp_path: Path, name: str, kind: pa.DataType, values: list, expected: list
) -> None:
    table = pa.table({"m": pa.array(values * 3, kind), "n": range(len(values) * 3)})
    write(tmp_path / name, table.slice(len(values)))
    loaded = make("LoadHFDataset", dataset_path=name)()["train"]
    assert loaded["m"][:] == expected * 2
    assert loaded["n"][0] == len(values)


def test_a_type_that_hf_lacks_names_the_column_and_fields_leaves_it_out(make: Make, tmp_path: Path) -> None:
    odd = pa.array([(1, 2, 3)], pa.month_day_nano_interval())
    write(tmp_path / "a.arrow", pa.table({"text": ["a"], "odd": odd}))
    with pytest.raises(DataError, match="'odd' of the type month_day_nano_interval") as caught:
        make("LoadHFDataset", dataset_path="a.arrow")()
    assert "fields: ['text']" in str(caught.value)
    assert make("LoadHFDataset", dataset_path="a.arrow", fields=["text"])()["train"].to_list() == [{"text": "a"}]


def test_only_the_fields_of_parquet_are_read(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    features = Features({"text": Value("string"), "label": ClassLabel(names=["neg", "pos"]), "large": Value("binary")})
    rows = {"text": ["a", "b"], "label": [1, 0], "large": [b"z" * 100_000, b"y" * 100_000]}
    Dataset.from_dict(rows, features=features).to_parquet(path)
    data = bytearray(path.read_bytes())
    place = pq.ParquetFile(path).metadata.row_group(0).column(2)
    start = place.dictionary_page_offset or place.data_page_offset
    data[start : start + 8] = b"\xff" * 8  # the column cannot be read any more
    path.write_bytes(data)
    with pytest.raises(DataError):
        make("LoadHFDataset", dataset_path="a.parquet")()
    for dummy in (False, True):
        node = make("LoadHFDataset", dataset_path="a.parquet", fields=["label", "text"], use_dummy_data=dummy)
        assert node()["train"].features == Features({name: features[name] for name in ("label", "text")})
    with pytest.raises(DataError, match="no column 'txt'") as caught:
        make("LoadHFDataset", dataset_path="a.parquet", fields=["txt"])()
    assert "did you mean 'text'" in str(caught.value)


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_files_without_rows_and_cut_ones(make: Make, tmp_path: Path, name: str) -> None:
    table = pa.table({"text": ["a", "b"] * 5000})
    write(tmp_path / name, table.slice(0, 0))
    assert make("LoadHFDataset", dataset_path=name)()["train"].column_names == ["text"]
    write(tmp_path / name, table)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=name):
        make("LoadHFDataset", dataset_path=name)()
