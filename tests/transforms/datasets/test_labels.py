"""EncodeLabels: labels of any type, the same in every split; a missing one stays missing."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from runway.errors import ConfigError, DataError

Make = Callable[..., Any]


@pytest.mark.parametrize(
    ("labels", "numbers", "names"),
    [
        ([True, False, True], [1, 0, 1], ["false", "true"]),
        ([1.0, 4.5, 1.0], [0, 1, 0], ["1.0", "4.5"]),
        ([2, 10, 1], [1, 2, 0], ["1", "2", "10"]),
        (["b", "a"], [1, 0], ["a", "b"]),
        (["b", None, "a"], [1, None, 0], ["a", "b"]),
        ([1.0, float("nan"), None], [0, None, None], ["1.0"]),
        ([datetime.date(2021, 1, 1), datetime.date(2020, 1, 1)], [1, 0], ["2020-01-01", "2021-01-01"]),
        ([datetime.datetime(2021, 1, 1, 10)], [0], ["2021-01-01 10:00:00"]),
        ([datetime.time(10), datetime.time(9)], [1, 0], ["09:00:00", "10:00:00"]),
    ],
)
def test_labels_of_any_type(make: Make, labels: list, numbers: list, names: list[str]) -> None:
    for more in ({}, {"text": ["x"] * len(labels)}):
        encoded = make("EncodeLabels")(Dataset.from_dict({**more, "label": labels}))
        assert encoded["label"][:] == numbers
        assert encoded.features["label"] == ClassLabel(names=names)
        assert encoded.column_names == [*more, "label"]


def test_a_missing_label_is_told(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    make("EncodeLabels")(DatasetDict(train=Dataset.from_dict({"label": ["a", None]})))
    assert "train: 1 rows have no label" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("labels", "names", "numbers"),
    [
        ([1.0, 2.0], [2, 1], [1, 0]),
        ([1.0, 2.0], ["2", "1"], [1, 0]),
        ([1, 2], [2, 1], [1, 0]),
        ([1, 2], ["2", "1"], [1, 0]),
        ([True, False], [True, False], [0, 1]),
        ([True, False], ["True", "False"], [0, 1]),
    ],
)
def test_names_mean_the_values_of_the_column(make: Make, labels: list, names: list, numbers: list) -> None:
    assert make("EncodeLabels", names=names)(Dataset.from_dict({"label": labels}))["label"][:] == numbers


def test_a_class_label_keeps_its_names(make: Make) -> None:
    def split(names: list[str], numbers: list[int]) -> Dataset:
        return Dataset.from_dict({"label": numbers}, Features({"label": ClassLabel(names=names)}))

    data = DatasetDict(train=split(["pos", "neg", "rare"], [0, 1, -1]), test=split(["neg", "new"], [0, 1]))
    encoded = make("EncodeLabels")(data)
    assert encoded["train"].features["label"].names == ["pos", "neg", "rare", "new"]
    assert (encoded["train"]["label"][:], encoded["test"]["label"][:]) == ([0, 1, None], [1, 3])
    encoded = make("EncodeLabels", names=["neg", "new", "pos"])(data)
    assert (encoded["train"]["label"][:], encoded["test"]["label"][:]) == ([2, 0, None], [0, 1])


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([["a"], ["b"]], "but the column 'label' holds list"),
        ([{"a": 1}], "holds struct"),
        ([None, None], "no label at all"),
    ],
)
def test_what_is_no_label(make: Make, labels: list, expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        make("EncodeLabels")(Dataset.from_dict({"label": labels}))


def test_mistakes(make: Make) -> None:
    data = DatasetDict(train=Dataset.from_dict({"lable": ["a"]}))
    with pytest.raises(DataError, match="did you mean 'lable'") as caught:
        make("EncodeLabels")(data)
    assert "the split 'train' has no column 'label'" in str(caught.value)
    assert "EncodeLabels', label_column" in str(caught.value)
    with pytest.raises(ConfigError, match="different from each other"):
        make("EncodeLabels", names=["a", "b", "a"])


def test_splits_of_different_types(make: Make) -> None:
    data = DatasetDict(train=Dataset.from_dict({"label": ["1", "x"]}), test=Dataset.from_dict({"label": [1]}))
    encoded = make("EncodeLabels")(data)
    assert (encoded["train"]["label"][:], encoded["test"]["label"][:]) == ([0, 1], [0])


def test_large_strings(make: Make) -> None:
    data = Dataset(pa.table({"label": pa.array(["b", "a"], pa.large_string())})).cast_column(
        "label", Value("large_string")
    )
    assert make("EncodeLabels")(data)["label"][:] == [1, 0]


def test_encode_labels_gives_every_split_the_same_names(make: Make) -> None:
    data = DatasetDict(
        train=Dataset.from_dict({"label": ["good", "bad", "good"], "text": ["a", "b", "c"]}),
        test=Dataset.from_dict({"label": ["so so", "bad"], "text": ["d", "e"]}),
    )
    encoded = make("EncodeLabels")(data)
    assert encoded["train"]["label"][:] == [1, 0, 1]
    assert encoded["test"]["label"][:] == [2, 0]
    names = [encoded[split].features["label"].names for split in encoded]
    assert names == [["bad", "good", "so so"]] * 2
    assert encoded["train"].column_names == ["label", "text"]
    assert make("EncodeLabels", names=["so so", "good", "bad"])(data)["test"]["label"][:] == [0, 2]
    with pytest.raises(DataError, match="'so so', which is none of the 2 names"):
        make("EncodeLabels", names=["good", "bad"])(data)


def test_labels_that_are_text_are_told_when_the_loaders_are_made(make: Make) -> None:
    data = DatasetDict(train=Dataset.from_dict({"label": ["good", "bad"], "input_ids": [[1], [2]]}))
    with pytest.raises(DataError, match="the labels must be numbers, but the column 'label' holds"):
        make("MakeDataloaders")(data)
    loader = make("MakeDataloaders")(make("EncodeLabels")(data))["train_dataloaders"][0]
    assert loader.dataset.features["label"].names == ["bad", "good"]
