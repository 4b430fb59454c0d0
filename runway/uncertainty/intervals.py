"""The 95% interval of a metric over a test set's rows, or over groups of rows such as books or speakers.

A metric that is a function of sums over rows (accuracy, F1, a mean loss, BLEU) is given as those sums, one row of an
array for each row of the data: then a thousand resamples of the data cost two matrix products.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

LEVEL = 0.95
RESAMPLES = 2000
MOST_FOR_BCA = 1000
"""Rows up to which the bootstrap is corrected for bias and skewness (BCa): that needs the metric without each row."""
MOST_FOR_BOOTSTRAP = 20_000
"""Rows from which on the jackknife's normal interval is taken: so many rows make it the same, at a hundredth of it."""
_BLOCK = 4_000_000  # numbers in memory at a time

Value = Callable[[np.ndarray], np.ndarray]
"""A metric as a function of sums: an array of shape (..., sums) to one of shape (...)."""


class Interval(NamedTuple):
    """Where the metric of the population is, with 95% confidence.

    Attributes:
        low: its lower end.
        high: its upper end.
        n: the rows, or the groups, that it is made of.
        method: ``wilson``, ``bootstrap (BCa)``, ``bootstrap`` or ``jackknife``; ``cluster …`` where groups are drawn.
    """

    low: float
    high: float
    n: int
    method: str

    def holds(self, value: float) -> bool:
        """Whether a value is in it."""
        return self.low <= value <= self.high


class Sums:
    """What a metric sums up, for each row of the data.

    Args:
        rows: the sums' parts, shape (distinct rows, sums).
        which: for each row of the data its number in ``rows``, shape (rows of the data,); None: each its own.
    """

    def __init__(self, rows: Any, which: np.ndarray | None = None) -> None:
        rows = np.asarray(rows, dtype=np.float64)
        self.rows = rows[:, None] if rows.ndim == 1 else rows
        self.which = np.arange(len(self.rows)) if which is None else np.asarray(which)

    def __len__(self) -> int:
        return len(self.which)

    def counts(self) -> np.ndarray:
        """How often each distinct row is there, shape (distinct rows,)."""
        return np.bincount(self.which, minlength=len(self.rows))

    def total(self) -> np.ndarray:
        """Over the whole data, shape (sums,)."""
        return self.counts() @ self.rows

    def of_groups(self, groups: Any) -> Sums:
        """The same with a group of rows in the place of a row.

        Args:
            groups: the group of each row of the data: numbers or texts.
        """
        names, number = np.unique(np.asarray(groups), return_inverse=True)
        summed = np.zeros((len(names), self.rows.shape[1]))
        np.add.at(summed, number, self.rows[self.which])
        return Sums(summed)

    def beside(self, other: Sums) -> Sums:
        """Both metrics' sums of the same rows: what the interval of a difference needs.

        Raises:
            ValueError: they are not of the same number of rows.
        """
        if len(self) != len(other):
            raise ValueError(f"sums of {len(self)} and of {len(other)} rows do not pair")
        pairs, which = np.unique(np.stack([self.which, other.which], axis=1), axis=0, return_inverse=True)
        return Sums(np.hstack([self.rows[pairs[:, 0]], other.rows[pairs[:, 1]]]), which.reshape(-1))


def wilson(right: int, n: int) -> Interval | None:
    """The interval of a rate, which holds for 0 and for all of n too.

    Args:
        right: how many of the n.
        n: how many there are; None comes back where there are none.
    """
    if n == 0:
        return None
    from scipy.stats import binomtest

    found = binomtest(right, n).proportion_ci(LEVEL, method="wilson")
    return Interval(float(found.low), float(found.high), n, "wilson")


def interval(sums: Sums, value: Value, *, groups: Any = None, seed: int = 0) -> Interval | None:
    """The interval of a metric that is a function of sums over rows.

    Args:
        sums: of the data.
        value: the metric.
        groups: the group of each row: rows of one book are alike, so books are resampled, not rows.
        seed: of the resampling; the same one gives the same interval.

    Returns:
        None where fewer than two rows or groups are there, or where the metric is not defined on the data.
    """
    if groups is not None:
        sums = sums.of_groups(groups)
    n = len(sums)
    with np.errstate(all="ignore"):  # a resample may lack a class
        if n < 2 or not np.isfinite(value(sums.total())):
            return None
        found = _jackknife(sums, value) if n > MOST_FOR_BOOTSTRAP else _bootstrap(sums, value, seed)
    return found if groups is None else found._replace(method=f"cluster {found.method}")


def _bootstrap(sums: Sums, value: Value, seed: int) -> Interval:
    from scipy.stats import bootstrap

    n, distinct = len(sums), len(sums.rows)

    def resampled(which: np.ndarray, axis: int) -> np.ndarray:
        drawn = which.reshape(-1, which.shape[axis])
        first = np.arange(len(drawn))[:, None] * distinct
        counts = np.bincount((drawn + first).ravel(), minlength=len(drawn) * distinct).reshape(len(drawn), distinct)
        return value(counts @ sums.rows).reshape(which.shape[:-1])

    method = "BCa" if n <= MOST_FOR_BCA else "percentile"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a metric that no row changes, which is seen to below
        found = bootstrap(
            (sums.which,),
            resampled,
            n_resamples=RESAMPLES,
            batch=max(1, _BLOCK // (n + distinct)),
            vectorized=True,
            axis=-1,
            confidence_level=LEVEL,
            method=method,
            rng=np.random.default_rng(seed),
        )
    low, high = map(float, found.confidence_interval)
    if not (np.isfinite(low) and np.isfinite(high)):  # BCa of a metric that no row changes; an undefined resample
        values = found.bootstrap_distribution
        low, high = map(float, np.nanquantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
        method = "percentile"
    return Interval(low, high, n, "bootstrap (BCa)" if method == "BCa" else "bootstrap")


def _jackknife(sums: Sums, value: Value) -> Interval:
    from scipy.stats import norm

    n, counts, total = len(sums), sums.counts(), sums.total()
    step = max(1, _BLOCK // sums.rows.shape[1])
    without = np.concatenate([value(total - sums.rows[at : at + step]) for at in range(0, len(counts), step)])
    mean = (counts @ without) / n
    deviation = np.sqrt((n - 1) / n * (counts @ (without - mean) ** 2))
    here, width = float(value(total)), float(norm.ppf((1 + LEVEL) / 2) * deviation)
    return Interval(here - width, here + width, n, "jackknife")
