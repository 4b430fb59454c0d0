"""Which rows of two runs are the same row: by their index, else by their place, if what they hold agrees."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from runway.report.samples import Samples

INDEX = "index"
# What a row is, whatever a model says of it.
_GIVEN = ("ground_truth_class_id", "ground_truth_class_label", "label", "references", "reference", "source", "text")


class Pairs(NamedTuple):
    """Rows of the first run, and the same ones of the second."""

    first: np.ndarray
    second: np.ndarray


class NoPairsError(Exception):
    """The rows of two runs do not pair; its text says why."""


def pair(first: Samples, second: Samples) -> Pairs:
    """Pair the rows of two runs.

    Raises:
        NoPairsError: they are not of the same rows, or nothing says that they are.
    """
    if INDEX in first and INDEX in second:
        pairs = _by_index(first.array(INDEX), second.array(INDEX))
    elif len(first) != len(second):
        raise NoPairsError(f"one has {len(first):,} rows and the other {len(second):,}")
    else:
        pairs = Pairs(np.arange(len(first)), np.arange(len(second)))
    shared = [name for name in given_columns(first) if name in given_columns(second)]
    for name in shared:
        a, b = (one.array(name)[rows] for one, rows in zip((first, second), pairs, strict=True))
        differs = np.flatnonzero(a != b)
        if len(differs):
            row = int(pairs.first[differs[0]])
            raise NoPairsError(f"{name!r} is not the same in {len(differs):,} rows, row {row} the first")
    if not shared and not (INDEX in first and INDEX in second):
        raise NoPairsError(f"nothing says which rows they are: record {INDEX!r}, the label, or the text")
    return pairs


def given_columns(samples: Samples) -> list[str]:
    """The columns that say what a row is."""
    return [name for name in _GIVEN if name in samples]


def _by_index(first: np.ndarray, second: np.ndarray) -> Pairs:
    for one in (first, second):
        if len(np.unique(one)) < len(one):
            raise NoPairsError(f"{INDEX!r} names a row twice")
    orders = np.argsort(first, kind="stable"), np.argsort(second, kind="stable")
    if len(first) != len(second) or (first[orders[0]] != second[orders[1]]).any():
        raise NoPairsError(f"{INDEX!r} names other rows: {len(np.intersect1d(first, second)):,} are in both")
    return Pairs(*orders)
