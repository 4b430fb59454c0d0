"""What is said of the values of columns."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from runway.transforms.arrow_tables import row_tables
from runway.transforms.column_facts import bars, column_facts, facts_line
from runway.transforms.inspect import MOST_ROWS, describe, summary_lines


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (["a", "bbb", "cc", "dd" * 10], "length 1 to 20, median 2.5  █▄       ▄"),
        ([[1], [1, 2], []], "length 0 to 2, median 1  █    █   █"),
        ([1.5, None, 2.5, float("nan")], "1 nulls; 1 not finite; range 1.5 to 2.5, median 2  █        █"),
        (list(range(20)), "range 0 to 19, median 9.5  ██████████"),
        ([7, 7, 7], "7 3 (100%)"),
        (["x", "x", "x", "y", None], "1 nulls; x 3 (75%), y 1 (25%)"),
        ([True, False, True], "True 2 (67%), False 1 (33%)"),
        ([None, None], "2 nulls"),
        ([{"a": 1}], ""),
        ([b"x"], ""),
        ([3.25], "range 3.25 to 3.25, median 3.25  █"),
    ],
)
def test_a_line_for_each_kind_of_column(values: list[Any], line: str) -> None:
    facts = column_facts(row_tables(pa.table({"c": values}))[""]).get("c", {})
    assert facts_line(facts) == line


def test_classes_go_by_their_names_and_chosen_rows_alone_count() -> None:
    features = Features({"label": ClassLabel(names=["bad", "good"]), "text": Value("string")})
    dataset = Dataset.from_dict({"label": [0, 1, 1, 1], "text": ["a", "b", "c", "d"]}, features).select([1, 3, 0])
    (table,) = row_tables({"train": dataset}).values()
    assert table.features["label"].dtype == "ClassLabel(2)"
    assert column_facts(table)["label"]["balance"] == {"good": 2, "bad": 1}
    assert table[1] == {"label": 1, "text": "d"}
    assert row_tables({"a": 1}) == row_tables([]) == row_tables("text") == {}


def test_bars_show_what_is_rare() -> None:
    assert bars([1000, 0, 1, 500]) == "█ ▁▄"


def test_what_has_no_one_type_is_no_table_and_of_many_rows_the_first_are_looked_at() -> None:
    assert row_tables([{"a": 1}, {"a": "x"}]) == {}
    assert describe([{"a": 1}, {"a": "x"}], 1, closely=True)["sample"] == [{"a": 1}]
    dataset = Dataset.from_dict({"n": list(range(MOST_ROWS + 5))})
    for data in (dataset, row_tables(dataset)[""], dataset.to_list(), dataset.to_pandas()):
        told = describe(data, 0, closely=True)
        assert (told["rows"], told["looked_at"], told["facts"]["n"]["range"]["max"]) == (
            MOST_ROWS + 5,
            MOST_ROWS,
            MOST_ROWS - 1,
        )
        assert "the first 100,000 looked at" in summary_lines(told)[0]
