"""How sure the scores of a recorder are: their intervals, those of slices, and which slices are worse than the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from runway.errors import DataError, must_be_known
from runway.log import warning

if TYPE_CHECKING:
    import numpy as np

    from runway.recorder import EvalRecorder
    from runway.transforms.evaluation.slices import Slice
    from runway.uncertainty.intervals import Interval
    from runway.uncertainty.sums import Summed

LEVEL = 0.05
Compute = Callable[["np.ndarray"], dict[str, float]]
"""Scores of some rows, given by their numbers."""


class Scores:
    """Computes intervals and slices of one recorder's scores.

    Args:
        recorder: of the rows.
        where: the node, for errors.
        group: the column whose values are drawn, in place of rows.
        slices: of the rows.

    Raises:
        DataError: there is no such column, or it has a row without a value.
    """

    def __init__(self, recorder: EvalRecorder, where: str, group: str | None, slices: list[Slice]) -> None:
        self.where, self.group, self.slices, self.rows = where, group, slices, len(recorder)
        self.groups = None if group is None else self._groups(recorder, group)
        self.intervals: dict[str, dict[str, Any]] = {}
        self.of_slices: dict[str, dict[str, Any]] = {one.name: {} for one in slices}

    def _groups(self, recorder: EvalRecorder, group: str) -> np.ndarray:
        """The number of each row's group."""
        import numpy as np
        import pyarrow as pa

        what = f"the recorder {recorder.name!r} has no such column: group names"
        must_be_known([group], recorder.column_names, what, where=self.where, error=DataError)
        values = recorder.get_sample_logs_column(group, "arrow")
        if values.null_count:
            raise DataError(f"column {group!r} has no value in {values.null_count} rows", where=f"{self.where}, group")
        if pa.types.is_nested(values.type):
            raise DataError(f"column {group!r} holds lists, which name no groups", where=f"{self.where}, group")
        number = np.unique(values.to_numpy(), return_inverse=True)[1].reshape(-1)
        if len(number) and number.max() == 0:
            warning(f"{self.where}: all rows are of one {group}, so no interval over groups can be had")
        return number

    def add(self, summed: Mapping[str, Summed], *, better: Mapping[str, str | None]) -> None:
        """Scores that are functions of sums over rows.

        Args:
            summed: by the name of the stat.
            better: ``max``, ``min`` or None of each.
        """
        for name, one in summed.items():
            self._keep(name, one.interval(groups=self.groups))
            compared = []
            for part in self.slices:
                inside = one.of_rows(part.rows)
                found = inside.interval(groups=self._of(part.rows))
                self.of_slices[part.name][name] = _told(inside.reached(), found, len(part.rows))
                if better.get(name) is not None:
                    p = self._worse(one, inside, found, part, better[name] == "max")
                    compared.append((part.name, p))
            self._name_worse(name, [pair for pair in compared if pair[1] is not None])

    def resample(self, names: list[str], compute: Compute, metric: str) -> None:
        """Scores that are computed anew of resampled rows; said where that takes too long.

        Args:
            names: of the stats.
            compute: the scores of some rows.
            metric: what they are scores of.
        """
        from runway.uncertainty.any_metric import resampled

        found, why = resampled(compute, names, self.rows, groups=self.groups)
        for name in names:
            self._keep(name, found.get(name))
        if why:
            warning(f"{self.where}: the metric {metric!r} has no interval: {why}")
        for part in self.slices:
            scores = compute(part.rows)
            for name in names:
                if name in scores:
                    self.of_slices[part.name][name] = _told(scores[name], None, len(part.rows))

    def log_to(self, recorder: EvalRecorder, stats: Mapping[str, Any]) -> None:
        """Log stats with their intervals and slices."""
        recorder.log_stats_dict(stats, intervals=self.intervals)
        recorder.log_slices(self.of_slices)

    def _keep(self, name: str, found: Interval | None) -> None:
        if found is not None:
            method = found.method + (f" over {self.group}" if self.group is not None else "")
            self.intervals[name] = {"low": found.low, "high": found.high, "n": found.n, "method": method}

    def _of(self, rows: np.ndarray) -> np.ndarray | None:
        return None if self.groups is None else self.groups[rows]

    def _worse(
        self, whole: Summed, inside: Summed, found: Interval | None, part: Slice, is_highest_best: bool
    ) -> float | None:
        """The chance of such a slice if it were as good as the rest of the rows; one-sided."""
        import numpy as np
        from scipy.stats import fisher_exact, t

        is_other = np.ones(self.rows, dtype=bool)
        is_other[part.rows] = False
        others = np.flatnonzero(is_other)
        if not len(others) or not len(part.rows):
            return None
        if inside.right is not None and whole.right is not None and self.groups is None:
            right, right_others = int(inside.right.sum()), int(whole.right[others].sum())
            table = [[right, len(part.rows) - right], [right_others, len(others) - right_others]]
            return float(fisher_exact(table, alternative="less" if is_highest_best else "greater").pvalue)
        rest = whole.of_rows(others)
        found_rest = rest.interval(groups=self._of(others))
        if found is None or found_rest is None or found.low == found.high:  # F1 of rows without a positive: always 0
            return None
        # Both widths are those of a normal interval, nearly; few rows or groups make the slice's own uncertain (t).
        spread = np.hypot(found.high - found.low, found_rest.high - found_rest.low) / (2 * 1.96)
        gap = (inside.reached() - rest.reached()) * (1 if is_highest_best else -1)
        return float(t.cdf(gap / spread, df=min(found.n, found_rest.n) - 1))

    def _name_worse(self, name: str, compared: list[tuple[str, Any]]) -> None:
        from runway.uncertainty.comparisons import holm

        for (part, _), p in zip(compared, holm([p for _, p in compared]), strict=True):
            self.of_slices[part][name] |= {"p": p, "is_worse": p < LEVEL}


def _told(value: float, found: Interval | None, rows: int) -> dict[str, Any]:
    low, high = (None, None) if found is None else (found.low, found.high)
    told: dict[str, Any] = {"value": value, "low": low, "high": high, "n": rows}
    return told if found is None or found.n == rows else {**told, "groups": found.n}
