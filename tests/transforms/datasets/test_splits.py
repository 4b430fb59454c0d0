"""Splitting rows: at random, in blocks and groups, by strata."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from datasets import Dataset, DatasetDict

from runway.errors import ConfigError, DataError

Make = Callable[..., Any]
SPLIT = "datasets.splits:SplitHFDataset"  # the demo has a class of this name


def test_split_rows(make: Make, rows: Dataset) -> None:
    settings = {"src_split": "train", "tgt_split": "valid", "split_size": 20, "split_kwargs": {"seed": 1}}
    first = make(SPLIT, **settings)(DatasetDict(train=rows))
    again = make(SPLIT, **settings)(DatasetDict(train=rows))
    assert {name: len(part) for name, part in first.items()} == {"train": 80, "valid": 20}
    assert sorted(first["train"]["n"][:] + first["valid"]["n"][:]) == list(range(100))
    assert first["valid"]["n"][:] == again["valid"]["n"][:]


def test_a_split_without_a_seed_follows_numpys(make: Make, rows: Dataset) -> None:
    picks = []
    for seed in (1, 1, 2):
        np.random.seed(seed)
        picks.append(make(SPLIT, split_size=0.2)(DatasetDict(train=rows))["valid"]["n"][:])
    assert picks[0] == picks[1]
    assert picks[0] != picks[2]


@pytest.mark.parametrize("together", [{"block_size": 10}, {"group_column": "film"}])
def test_blocks_and_groups_stay_together(make: Make, rows: Dataset, together: dict) -> None:
    split = make(SPLIT, split_size=0.3, split_kwargs={"seed": 0}, **together)(DatasetDict(train=rows))
    assert len(split["valid"]) == 30
    assert not set(split["train"]["film"]) & set(split["valid"]["film"])
    assert split["valid"]["n"][:] != sorted(split["valid"]["n"]), "rows are shuffled within a split"


def test_strata(make: Make, rows: Dataset) -> None:
    kwargs = {"seed": 3, "stratify_by_column": "label", "shuffle": False}
    for together in ({}, {"block_size": 10}):
        split = make(SPLIT, split_size=20, split_kwargs=kwargs, **together)(DatasetDict(train=rows))
        assert sorted(split["valid"]["label"]) == [0] * 10 + [1] * 10
        assert split["valid"]["n"][:] == sorted(split["valid"]["n"])


def test_train_test_validation(make: Make, rows: Dataset) -> None:
    node = make(
        "SplitHFDatasetToTrainTestValidation",
        test_size=0.2,
        valid_size=0.1,
        block_size=10,
        train_test_split_kwargs={"seed": 5},
    )
    for data in (rows, DatasetDict(train=rows)):
        parts = node(data)
        assert {name: len(part) for name, part in parts.items()} == {"train": 70, "test": 20, "validation": 10}
        films = [set(part["film"]) for part in parts.values()]
        assert not films[0] & films[1] | films[1] & films[2] | films[0] & films[2]
    assert list(make("SplitHFDatasetToTrainTestValidation", test_size=5)(rows)) == ["train", "test"]


@pytest.mark.parametrize(
    ("settings", "error", "expected"),
    [
        ({"src_split": "tran"}, DataError, "did you mean 'train'"),
        ({"split_size": 100}, DataError, "cannot be taken from 100 rows"),
        ({"split_size": 1.5}, DataError, "cannot be taken"),
        ({"split_size": "many"}, ConfigError, "must be a number"),
        ({"tgt_split": "other"}, DataError, "there is a split 'other' already"),
        ({"src_split": "empty"}, DataError, "is empty"),
        ({"block_size": 200}, DataError, "one part would be empty"),
        ({"block_size": 0}, ConfigError, "`block_size` must be"),
        ({"group_column": "flim"}, DataError, "did you mean 'film'"),
        ({"split_kwargs": {"sede": 1}}, ConfigError, "sede"),
    ],
)
def test_mistakes_in_splits(make: Make, rows: Dataset, settings: dict, error: type, expected: str) -> None:
    data = DatasetDict(train=rows, other=rows, empty=rows.select([]))
    with pytest.raises(error) as caught:
        make(SPLIT, **settings)(data)
    assert expected in str(caught.value)
    assert "process:datasets.splits:SplitHFDataset" in str(caught.value)
