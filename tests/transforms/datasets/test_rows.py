"""Selecting, filtering, labelling and joining rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from datasets import Dataset, DatasetDict

from runway.errors import ConfigError, DataError

Make = Callable[..., Any]


def test_select_rows(make: Make, rows: Dataset) -> None:
    data = DatasetDict(train=rows, test=rows)
    assert make("SelectRows", num_rows=3, start=10, step=5)(rows)["n"][:] == [10, 15, 20]
    selected = make("SelectRows", num_rows={"train": 4})(DatasetDict(data))
    assert {name: len(part) for name, part in selected.items()} == {"train": 4, "test": 100}
    assert len(make("SelectRows", num_rows=1000)(rows)) == 100
    shuffled = make("SelectRows", num_rows=10, shuffle=True, seed=7)
    assert shuffled(rows)["n"][:] == shuffled(rows)["n"][:] != list(range(10))
    assert make("SelectRows", num_rows=2, splits_to_process=["test"])(DatasetDict(data))["train"].num_rows == 100
    with pytest.raises(DataError, match="did you mean 'train'"):
        make("SelectRows", num_rows={"trian": 4})(DatasetDict(data))


def test_select_balanced_rows(make: Make, rows: Dataset) -> None:
    picked = make("SelectRows", num_rows=10, balance_column="label", shuffle=True, seed=1)(rows)
    assert sorted(picked["label"]) == [0] * 5 + [1] * 5
    assert sorted(make("SelectRows", num_rows=10, balance_column="label")(rows)["label"]) == [0] * 5 + [1] * 5


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"label": 1}, [2, 3, 4]),
        ({"label": [0, 1], "text": "b"}, [1]),
        ({"score": {">=": 0.5, "<": 0.9}}, [1, 2]),
        ({"text": {"min_length": 2}}, [2, 3]),
        ({"text": {"max_length": 1}}, [0, 1]),
        ({"text": {"!=": "a"}}, [1, 2, 3]),
        ({"text": {"not_in": ["a", "b"]}}, [2, 3]),
        ({"text": {"contains": "c"}}, [2, 3]),
        ({"text": {"regex": "^c+$"}}, [2]),
        ({"ids": {"min_length": 2}}, [0, 3]),
    ],
)
def test_filter_rows(make: Make, conditions: dict, expected: list[int]) -> None:
    data = Dataset.from_dict(
        {
            "n": [0, 1, 2, 3, 4],
            "text": ["a", "b", "cc", "acc", None],
            "label": [0, 0, 1, 1, 1],
            "score": [0.1, 0.5, 0.6, 0.9, None],
            "ids": [[1, 2], [1], [], [1, 2, 3], None],
        }
    )
    assert make("FilterRows", conditions=conditions)(data)["n"][:] == expected
    backwards = data.select([4, 3, 2, 1, 0])
    assert make("FilterRows", conditions=conditions)(backwards)["n"][:] == expected[::-1]


def test_filter_empty_and_duplicates_says_what_it_dropped(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    data = Dataset.from_dict({"text": ["a", " ", "b", "a", None, "b"], "label": [0, 0, 1, 0, 1, 0]})
    node = make("FilterRows", drop_empty=["text"], drop_duplicates=["text"])
    assert node(DatasetDict(train=data))["train"].to_list() == [{"text": "a", "label": 0}, {"text": "b", "label": 1}]
    said = capsys.readouterr().err
    assert "train 6 → 2 rows" in said
    assert "2 with empty text; 2 duplicates of text" in said
    assert len(make("FilterRows", drop_duplicates=["text", "label"])(data)) == 5


def test_mistakes_in_filters(make: Make, rows: Dataset) -> None:
    with pytest.raises(ConfigError, match="unknown operator"):
        make("FilterRows", conditions={"n": {"=<": 3}})
    with pytest.raises(DataError, match="did you mean 'film'"):
        make("FilterRows", drop_empty=["filn"])(rows)
    with pytest.raises(DataError, match="column's type int64"):
        make("FilterRows", conditions={"n": "three"})(rows)
    assert len(make("FilterRows", conditions={"n": {"<": 0}})(rows)) == 0


def test_concatenate(make: Make, rows: Dataset) -> None:
    joined = make("ConcatenateDatasets")([DatasetDict(train=rows, test=rows), {"train": rows}])
    assert {name: len(part) for name, part in joined.items()} == {"train": 200, "test": 100}
    assert len(make("ConcatenateDatasets")([rows, rows])) == 200
    with pytest.raises(DataError, match="different columns"):
        make("ConcatenateDatasets")([rows, rows.remove_columns(["n"])])
    with pytest.raises(DataError, match="must be DatasetDicts"):
        make("ConcatenateDatasets")([rows, DatasetDict(train=rows)])


def test_columns_and_dummy(make: Make, rows: Dataset) -> None:
    assert make("SelectColumns", columns=["label", "n"])(DatasetDict(train=rows))["train"].column_names == [
        "label",
        "n",
    ]
    with pytest.raises(DataError, match="did you mean 'label'"):
        make("SelectColumns", columns=["lable"])(rows)
    with pytest.raises(ConfigError, match="columns"):
        make("SelectColumns")
    value = object()
    assert make("DummyTransform")(value) is value
