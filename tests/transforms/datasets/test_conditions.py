"""Conditions on values of any type: dates as text, nulls, patterns, lists."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features

from runway.errors import ConfigError, DataError

Make = Callable[..., Any]
DAYS = [datetime.date(2020, 1, 1), datetime.date(2021, 1, 1), None]
MORNINGS = [datetime.datetime(2021, 1, 1, 8), datetime.datetime(2021, 6, 1), None]


def table(values: Any, kind: pa.DataType | None = None) -> Dataset:
    return Dataset(pa.table({"x": pa.array(values, kind), "n": range(len(values))}))


ZONED = table(MORNINGS, pa.timestamp("us", "Europe/Berlin"))  # 09:00 and 02:00 there


@pytest.mark.parametrize(
    ("data", "condition", "expected"),
    [
        (table(DAYS), "2021-01-01", [1]),
        (table(DAYS), {">=": "2020-06-01"}, [1]),
        (table(DAYS), {"<": "2021-01-01"}, [0]),
        (table(DAYS), {"in": ["2020-01-01", "1999-01-01"]}, [0]),
        (table(DAYS), {"not_in": ["2020-01-01"]}, [1]),
        (table(DAYS), {"in": ["2020-01-01", None]}, [0, 2]),
        (table(DAYS), None, [2]),
        (table(DAYS), {"!=": None}, [0, 1]),
        (table(MORNINGS, pa.timestamp("s")), {">": "2021-01-01"}, [0, 1]),
        (table(MORNINGS, pa.timestamp("ns")), {">": "2021-01-01 08:00:00"}, [1]),
        (ZONED, {">=": "2021-01-01 09:00"}, [0, 1]),
        (ZONED, {">": "2021-01-01T08:00:00Z"}, [1]),
        (ZONED, {"in": ["2021-01-01 09:00", "2021-06-01T00:00:00Z"]}, [0, 1]),
        (table([datetime.time(8), datetime.time(12, 30)], pa.time64("us")), {"<": "12:00"}, [0]),
        (table([decimal.Decimal("1.50"), decimal.Decimal("2.00")]), {">": "1.75"}, [1]),
        (table([1, 2, None]), {"in": [None, 2]}, [1, 2]),
        (table([True, False, None]), True, [0]),
        (table(["a", None]), {"in": ["a"]}, [0]),
        (table(["a", None]), {"not_in": [None]}, [0]),
    ],
)
def test_values_as_a_config_has_them(make: Make, data: Dataset, condition: Any, expected: list[int]) -> None:
    assert make("FilterRows", conditions={"x": condition})(data)["n"][:] == expected


def test_the_names_of_a_class_label(make: Make) -> None:
    data = Dataset.from_dict({"x": [0, 1, 0]}, Features({"x": ClassLabel(names=["neg", "pos"])}))
    assert make("FilterRows", conditions={"x": "pos"})(data)["x"][:] == [1]
    assert make("FilterRows", conditions={"x": ["neg"]})(data)["x"][:] == [0, 0]
    with pytest.raises(DataError, match="does not go with"):
        make("FilterRows", conditions={"x": "positive"})(data)


@pytest.mark.parametrize(
    ("data", "condition", "expected"),
    [
        (table(DAYS), {">": "yesterday"}, "Failed to parse string: 'yesterday'"),
        (table(DAYS), {">": 2020}, "does not go with the column's type date32"),
        (table(DAYS), {">": None}, "nothing is > null"),
        (table([datetime.time(8)], pa.time64("us")), {">": "8 o'clock"}, "does not go with"),
        (table([[1], [2]]), {"==": "a"}, "does not go with"),
        (table([1, 2]), {"regex": "a(?=b)"}, "does not go with the column's type int64"),
    ],
)
def test_what_does_not_go_with_the_type(make: Make, data: Dataset, condition: Any, expected: str) -> None:
    with pytest.raises(DataError) as caught:
        make("FilterRows", conditions={"x": condition})(DatasetDict(train=data))
    assert expected in str(caught.value)
    assert "split 'train'" in str(caught.value)


def test_patterns_that_only_python_has(make: Make) -> None:
    data = table(["a1", "b", None, "1a"])
    assert make("FilterRows", conditions={"x": {"regex": "[0-9](?=$)"}})(data)["n"][:] == [0]
    assert make("FilterRows", conditions={"x": {"regex": r"(\w)\1|b"}})(data)["n"][:] == [1]
    assert make("FilterRows", conditions={"x": {"regex": r"\pL$"}})(data)["n"][:] == [1, 3], "and what only RE2 has"
    with pytest.raises(ConfigError, match="unterminated character set at position 1") as caught:
        make("FilterRows", conditions={"x": {"regex": "a[0-9"}})(data)
    assert "conditions.x" in str(caught.value)
    assert "a[0-9\n   ^" in str(caught.value)


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ([[1, 2], [1], [1, 2], None, None, []], [0, 1, 3, 5]),
        ([{"a": 1}, {"a": 2}, {"a": 1}], [0, 1]),
        ([[{"a": [1]}], [{"a": [1]}]], [0]),
        ([float("nan"), 1.0, float("nan"), None], [0, 1, 3]),
        ([None, None], [0]),
        (DAYS + DAYS, [0, 1, 2]),
        ([True, False, True], [0, 1]),
    ],
)
def test_duplicates_of_any_type(make: Make, values: list, kept: list[int]) -> None:
    assert make("FilterRows", drop_duplicates=["x"])(table(values))["n"][:] == kept


def test_blanks_of_any_type(make: Make) -> None:
    for values, kept in (([[1], [], None], [0]), ([1.0, float("nan"), None], [0]), ([{"a": 1}, None], [0])):
        assert make("FilterRows", drop_empty=["x"])(table(values))["n"][:] == kept


# -- splits by what the config names


@pytest.mark.parametrize(
    ("data", "values", "expected"),
    [
        (table(DAYS), ["2021-01-01"], [1]),
        (table(DAYS), [None], [2]),
        (table(["a", None, "b"]), ["b", None], [1, 2]),
        (table(MORNINGS, pa.timestamp("us")), ["2021-01-01 08:00:00"], [0]),
        (table([1, 2, 3]), [3.0], [2]),
        (table([True, False]), [True], [0]),
    ],
)
def test_splits_by_values(make: Make, data: Dataset, values: list, expected: list[int]) -> None:
    node = make("SplitHFDatasetByRule", group_column="x", splits={"test": {"values": values}})
    assert node(data)["test"]["n"][:] == expected


@pytest.mark.parametrize(
    ("data", "values", "expected"),
    [
        (table(DAYS), ["1999-01-01"], "no row has x '1999-01-01'"),
        (table(DAYS), ["1999-01-01"], "there are: 2020-01-01, 2021-01-01, null"),
        (table(DAYS), ["a day"], "do not go with the type date32"),
        (table([[1], [2]]), [1], "do not go with the type list"),
    ],
)
def test_splits_by_values_that_are_not_there(make: Make, data: Dataset, values: list, expected: str) -> None:
    with pytest.raises(DataError) as caught:
        make("SplitHFDatasetByRule", group_column="x", splits={"test": {"values": values}})(data)
    assert expected in str(caught.value)


def test_nulls_are_a_group(make: Make) -> None:
    data = table([None, "a", None, "b", None, "c"])
    split = make("SplitHFDataset", group_column="x", split_size=3, split_kwargs={"seed": 1})(DatasetDict(train=data))
    homes = [name for name, part in split.items() if None in part["x"][:]]
    assert len(homes) == 1
    assert [value for value in split[homes[0]]["x"][:] if value is None] == [None] * 3
