"""Two runs on the same rows: is the difference between them more than chance?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from runway.uncertainty.intervals import LEVEL, Interval, Sums, Value, interval


class Difference(NamedTuple):
    """The second run's metric minus the first's, on the same rows.

    Attributes:
        value: the difference.
        interval: its 95% interval; None where it has none.
        p: of a test of no difference, before any correction for several metrics.
        smallest: the smallest difference that this test set would show four times in five; None where not known.
    """

    value: float
    interval: Interval | None
    p: float | None
    smallest: float | None

    @property
    def is_tied(self) -> bool:
        """Whether the difference may be chance."""
        return self.interval is None or self.interval.holds(0.0)


def difference(first: Sums, second: Sums, value: Value, *, groups: Any = None, seed: int = 0) -> Difference:
    """Compare a metric of two runs whose rows are paired.

    Args:
        first: the first run's sums.
        second: the second's, of the same rows in the same order.
        value: the metric.
        groups: the group of each row.
        seed: of the resampling.

    Raises:
        ValueError: the rows do not pair.
    """
    width = first.rows.shape[1]

    def both(sums: np.ndarray) -> np.ndarray:
        return value(sums[..., width:]) - value(sums[..., :width])

    pairs = first.beside(second)
    found = interval(pairs, both, groups=groups, seed=seed)
    here = float(both(pairs.total()))
    if found is None:
        return Difference(here, None, None, None)
    from scipy.stats import norm

    deviation = (found.high - found.low) / (2 * norm.ppf((1 + LEVEL) / 2))
    p = float(2 * norm.sf(abs(here) / deviation)) if deviation > 0 else (1.0 if here == 0 else 0.0)
    smallest = float((norm.ppf((1 + LEVEL) / 2) + norm.ppf(0.8)) * deviation) if deviation > 0 else None
    return Difference(here, found, p, smallest)


def mcnemar(first: Any, second: Any) -> float:
    """The exact McNemar test: the chance of such a split of the rows that only one of two classifiers has right.

    Args:
        first: whether the first has each row right, shape (rows,).
        second: the second, of the same rows.
    """
    from scipy.stats import binomtest

    first, second = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    if only_first + only_second == 0:
        return 1.0
    return float(binomtest(only_first, only_first + only_second).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values of several tests, corrected so that all of them together err once in twenty (Holm, 1979)."""
    order = np.argsort(p_values)
    steps = np.asarray(p_values, dtype=float)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(p) for p in corrected]
