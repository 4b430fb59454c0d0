"""Types of columns that the user says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from runway.errors import ConfigError, DataError
from runway.transforms.loading.column_types import as_type

Make = Callable[..., Any]


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("string", "0012", "0012"),
        ("int64", "0012", "12"),
        ("float32", "1.10", "1.1"),
        ("bool", "true", "True"),
        ("date32", "2020-01-01", "2020-01-01"),
        ("timestamp[s]", "2020-01-01T10:00:00", "2020-01-01 10:00:00"),
        ("time32[s]", "12:30:00", "12:30:00"),
        ("uint64", "18446744073709551615", "18446744073709551615"),
        ("decimal128(10, 2)", "1.50", "1.50"),
    ],
)
@pytest.mark.parametrize("dummy", [False, True])
def test_types_that_the_user_says(make: Make, tmp_path: Path, kind: str, text: str, expected: str, dummy: bool) -> None:
    (tmp_path / "a.csv").write_text(f"c,d\n{text},x\n")
    loaded = make("LoadHFDataset", dataset_path="a.csv", column_types={"c": kind}, use_dummy_data=dummy)()["train"]
    assert str(loaded[0]["c"])[: len(expected)] == expected
    assert loaded.features["c"].dtype == kind.replace("(10, 2)", "(10, 2)")


def test_mistakes_in_column_types(make: Make, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\nx,1\ny,two\nz,3\n")
    with pytest.raises(ConfigError, match="'float'") as caught:
        make("LoadHFDataset", dataset_path="a.csv", column_types={"label": "float"})
    assert "did you mean 'float64'" in str(caught.value)
    with pytest.raises(DataError, match="no column 'lable'") as unknown:
        make("LoadHFDataset", dataset_path="a.csv", column_types={"lable": "int64"})()
    assert "did you mean 'label'" in str(unknown.value)
    with pytest.raises(DataError, match="row 2: 'two' in the column 'label' is no int64") as misfit:
        make("LoadHFDataset", dataset_path="a.csv", column_types={"label": "int64"})()
    assert str(tmp_path / "a.csv") in str(misfit.value)


def test_types_of_a_saved_dataset(make: Make, data: Path) -> None:
    loaded = make("LoadHFDataset", dataset_path="data/saved", column_types={"label": "string"})()
    assert loaded["test"]["label"][:] == ["0", "1", "0"]
    assert loaded["train"].column_names == ["text", "label"]
    with pytest.raises(DataError, match="no column 'lable'"):
        make("LoadHFDataset", dataset_path="data/saved", column_types={"lable": "string"})()


def test_the_row_of_a_misfit_is_found_in_any_chunk() -> None:
    values = pa.chunked_array([["1", "2"], ["3"], ["x", "5"]])
    with pytest.raises(DataError, match="row 14: 'x'"):
        as_type(values, pa.int64(), "c", "here", first_row=11)


def test_a_column_that_only_some_splits_have(make: Make, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\nx,1\n")
    (tmp_path / "b.csv").write_text("text\ny\n")
    paths = {"train": "a.csv", "test": "b.csv"}
    loaded = make("LoadHFDataset", dataset_path=paths, column_types={"label": "string"})()
    assert loaded["train"]["label"][:] == ["1"]
    with pytest.raises(DataError, match="no column 'lable'"):
        make("LoadHFDataset", dataset_path=paths, column_types={"lable": "string"})()
