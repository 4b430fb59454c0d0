"""R squared, the coefficient of determination, as an ``evaluate.Metric`` that needs no download."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runway.metrics import _base

if TYPE_CHECKING:
    from runway.uncertainty.sums import Summed


class RSquared(_base.NumberMetric):
    """The share of the variance of the true numbers that the predicted ones explain.

    Args:
        predictions: the predicted numbers, or a list of them for each sample.
        references: the true numbers, likewise; at least two samples that differ.
        sample_weight: a weight for each sample.

    Returns:
        r_squared: 1 for perfect predictions, 0 for the mean of the true numbers; below that for worse ones.
    """

    url = "https://scikit-learn.org/stable/modules/generated/sklearn.metrics.r2_score.html"
    higher_is_better = True

    def _compute(self, predictions: Any, references: Any, sample_weight: Any = None) -> dict[str, Any]:
        from sklearn.metrics import r2_score

        why = self._why_undefined(predictions, references, sample_weight)
        if why:
            return self._undefined(["r_squared"], why)
        return {"r_squared": float(r2_score(references, predictions, sample_weight=sample_weight))}

    def _why_undefined(self, predictions: Any, references: Any, sample_weight: Any) -> str | None:
        import numpy as np

        why = self._why_not(predictions, references, sample_weight)
        if why is None and len(references) < 2:
            why = "it needs at least two samples, and there is one"
        if why is None:
            same = int((np.ptp(np.asarray(references, dtype=float).reshape(len(references), -1), axis=0) == 0).sum())
            of = "" if np.ndim(references) == 1 else f" in {same} of their columns"
            why = f"all {len(references)} references are the same{of}, and have no variance" if same else None
        return why

    def _summed(self, predictions: Any, references: Any, sample_weight: Any = None) -> dict[str, Summed]:
        import numpy as np

        from runway.uncertainty.sums import Summed, Sums

        if self._why_undefined(predictions, references, sample_weight):
            return {}
        true = np.asarray(references, dtype=float).reshape(len(references), -1)
        guessed = np.asarray(predictions, dtype=float).reshape(len(references), -1)
        true, errors = true - true.mean(0), true - guessed  # far from 0, the squares would cancel
        weights = np.ones(len(true)) if sample_weight is None else np.asarray(sample_weight, dtype=float)
        rows = np.stack([np.ones_like(true), true, true**2, errors**2], axis=1) * weights[:, None, None]
        shape = rows.shape[1:]

        def value(sums: np.ndarray) -> np.ndarray:
            count, total, squares, missed = np.moveaxis(sums.reshape(*sums.shape[:-1], *shape), -2, 0)
            return (1 - missed / (squares - total**2 / count)).mean(-1)

        return {"r_squared": Summed(Sums(rows.reshape(len(rows), -1)), value)}
