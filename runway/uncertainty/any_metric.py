"""The interval of a metric that is nothing but a function of rows: it is computed anew on resampled rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from runway.uncertainty.intervals import LEVEL, Interval

RESAMPLES, FEWEST = 500, 100
SECONDS = 10.0
"""Seconds for one metric; one that does not come to ``FEWEST`` resamples in them has no interval."""


def resampled(
    compute: Callable[[np.ndarray], dict[str, float]],
    names: Sequence[str],
    rows: int,
    *,
    groups: Any = None,
    seconds: float = SECONDS,
    seed: int = 0,
) -> tuple[dict[str, Interval], str]:
    """The percentile bootstrap, within a budget of time.

    Args:
        compute: takes the numbers of rows, some of them several times, and gives scores by name.
        names: of the scores.
        rows: how many there are.
        groups: the group of each row: groups are drawn, not rows.
        seconds: how long it may take.
        seed: of the resampling.

    Returns:
        Intervals by name; and why there are none, or nothing.
    """
    parts = _members(groups, rows)
    if len(parts) < 2:
        return {}, f"{len(parts)} {'row' if groups is None else 'group'} has no spread"
    random = np.random.default_rng(seed)
    found: dict[str, list[float]] = {name: [] for name in names}
    began = time.monotonic()
    for done in range(RESAMPLES):
        taken = time.monotonic() - began
        if done and (taken > seconds or (done == 1 and taken * FEWEST > seconds)):
            if done < FEWEST:
                return {}, f"one resample takes {taken / done:.2g} s, and {FEWEST} would take more than {seconds:g} s"
            break
        drawn = random.integers(0, len(parts), len(parts))
        which = drawn if groups is None else np.concatenate([parts[one] for one in drawn])
        scores = compute(which)
        for name in names:
            if np.isfinite(scores.get(name, np.nan)):
                found[name].append(float(scores[name]))
    method = "bootstrap" if groups is None else "cluster bootstrap"
    edges = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    intervals = {
        name: Interval(float(np.quantile(values, edges[0])), float(np.quantile(values, edges[1])), len(parts), method)
        for name, values in found.items()
        if len(values) >= FEWEST
    }
    lacking = [name for name in names if name not in intervals]
    return intervals, f"on most resamples it is undefined ({', '.join(lacking)})" if lacking else ""


def _members(groups: Any, rows: int) -> Sequence[Any]:
    """The rows of each group; without groups, each row is its own."""
    if groups is None:
        return range(rows)
    _, number = np.unique(np.asarray(groups), return_inverse=True)
    number = number.reshape(-1)
    order = np.argsort(number, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(number[order])) + 1)
