"""Rows that a function gives, as a dataset: features kept, types that hold all, late columns, memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import datasets
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value
from PIL import Image

from runway.data_module.data_transforms import (
    RowWiseTransform,
)
from runway.errors import DataError
from runway.transforms import arrow_tables, rows_to_dataset
from tests.transforms.conftest import node


class Rows(RowWiseTransform):
    """Whatever the function makes of a row."""

    def setup(self, function: Callable[[int, Any], Any], **kwargs: Any) -> None:
        super().setup(**kwargs)
        self._call = function


TYPED = Features(
    text=Value("string"), label=ClassLabel(names=["no", "yes"]), number=Value("int32"), mask=List(Value("int8"))
)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """Five rows with narrow types, of which two make a batch."""
    monkeypatch.setattr(rows_to_dataset, "ROWS_AT_A_TIME", 2)
    columns = {"text": list("abcde"), "label": [0, 1, 1, 0, -1], "number": [1, 2, 3, 4, None], "mask": [[1]] * 5}
    return Dataset.from_dict(columns, features=TYPED)


def test_columns_that_a_row_transform_leaves_alone_keep_their_features(typed: Dataset) -> None:
    same = node(Rows, function=lambda row_n, row: row)(typed)
    assert same.features == TYPED
    assert same.to_list() == typed.to_list()
    more = node(Rows, function=lambda row_n, row: {"row_n": row_n, **row} if row_n else None)(DatasetDict(a=typed))["a"]
    assert more.features == Features(row_n=Value("int64"), **TYPED)
    assert more["row_n"][:] == [1, 2, 3, 4]
    nulls = node(Rows, function=lambda row_n, row: dict.fromkeys(row))(typed)
    assert nulls.features == TYPED
    image = Dataset.from_dict({"image": [Image.new("RGB", (2, 3))] * 3}, features=Features(image=datasets.Image()))
    copied = node(Rows, function=lambda row_n, row: {**row, "again": row["image"]})(image)
    assert copied.features == Features(image=datasets.Image(), again=datasets.Image())
    assert copied[2]["again"].size == (2, 3)


@pytest.mark.parametrize(
    ("column", "value", "feature"),
    [
        ("label", lambda n: ["no", "yes"][n % 2], Value("string")),
        ("label", lambda n: n, Value("int64")),  # there are two classes, not five
        ("number", lambda n: n + 0.5, Value("float64")),
        ("number", lambda n: float(n), Value("float64")),
        ("number", lambda n: str(n), Value("string")),
        ("number", lambda n: n * 10**9, Value("int64")),  # too large for int32 in the last row
        ("mask", lambda n: [n * 100], List(Value("int64"))),
        ("mask", lambda n: [] if n < 4 else None, List(Value("int8"))),
        ("text", lambda n: n % 2 == 0, Value("bool")),
        ("new", lambda n: None if n < 3 else n, Value("int64")),
        ("new", lambda n: n if n < 3 else n + 0.5, Value("float64")),
        ("new", lambda n: n + 0.5 if n < 3 else n, Value("float64")),
        ("new", lambda n: [] if n < 3 else [None, "a"], List(Value("string"))),
        ("new", lambda n: None, Value("null")),
    ],
)
def test_a_column_of_other_values_gets_the_type_that_holds_all(
    typed: Dataset, column: str, value: Callable[[int], Any], feature: Any
) -> None:
    made = node(Rows, function=lambda row_n, row: {**row, column: value(row_n)})(typed)
    assert made[column][:] == [value(n) for n in range(5)]
    assert made.features == Features({**TYPED, column: feature})


def test_columns_and_fields_may_come_late(typed: Dataset) -> None:
    late = node(Rows, function=lambda row_n, row: {"a": row_n} if row_n < 3 else {"b": {"x": 1, **{"y": [row_n]}}})
    assert late(typed).to_list() == [
        *({"a": n, "b": None} for n in range(3)),
        *({"a": None, "b": {"x": 1, "y": [n]}} for n in (3, 4)),
    ]
    grows = node(Rows, function=lambda row_n, row: {"a": {"x": row_n} if row_n < 3 else {"x": 0.5, "y": "z"}})
    rows = grows(typed)
    assert rows.features == Features(a={"x": Value("float64"), "y": Value("string")})
    assert rows["a"][:] == [*({"x": n, "y": None} for n in range(3)), *[{"x": 0.5, "y": "z"}] * 2]


def test_no_rows_leave_the_columns(typed: Dataset) -> None:
    nothing = node(Rows, function=lambda row_n, row: None, input_mapping={"text": "t"}, output_mapping={"label": "y"})
    for data in (typed, typed.select([])):
        empty = nothing(data)
        assert len(empty) == 0
        assert empty.features == Features(t=TYPED["text"], y=TYPED["label"], number=TYPED["number"], mask=TYPED["mask"])


def test_mapped_names_keep_their_features(typed: Dataset) -> None:
    mapped = node(
        Rows,
        function=lambda row_n, row: {"target": row["target"], "new": 1},
        input_mapping={"label": "target"},
        output_mapping={"target": "y", "new": "n"},
    )
    assert mapped(typed).features == Features(y=TYPED["label"], n=Value("int64"))


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda row_n, row: {"a": row_n if row_n < 3 else "many"}, "'a'"),
        (lambda row_n, row: {"a": row_n if row_n < 2 else "many"}, "a has incompatible types"),
        (lambda row_n, row: row_n, "a row must be a dict, but is a int instead"),
    ],
)
def test_rows_that_do_not_go_together(typed: Dataset, function: Callable, expected: str) -> None:
    with pytest.raises(DataError, match=expected) as caught:
        node(Rows, function=function)(typed)
    assert "process:X" in str(caught.value)


def test_rows_are_not_in_memory_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_tables.TableWriter.__init__, "__defaults__", (10_000,))
    rows = Dataset.from_dict({"n": range(5000)})
    made = node(Rows, function=lambda row_n, row: {**row, "text": "x" * 10 if row_n > 3500 else None})(rows)
    assert made["n"][:] == list(range(5000))
    assert made["text"][3500:3502] == [None, "x" * 10]
    assert made.cache_files


def test_a_whole_number_that_no_float_holds_beside_fractions_is_an_error_in_any_batch() -> None:
    for count in (1, 1000):  # in one batch, and in two
        rows = [{"x": 2**53 + 1}] * count + [{"x": 0.5}]
        with pytest.raises(DataError, match="9007199254740993") as caught:
            rows_to_dataset.dataset_of_rows(rows, {}, "node 'B'")
        assert caught.value.where == "node 'B'"
