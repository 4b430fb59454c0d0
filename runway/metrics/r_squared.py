"""R squared, the coefficient of determination, as an ``evaluate.Metric`` that needs no download."""

from __future__ import annotations

from typing import Any

from runway.metrics import _base


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

    def _compute(self, predictions: list, references: list, sample_weight: list | None = None) -> dict[str, Any]:
        import numpy as np
        from sklearn.metrics import r2_score

        why = self._why_not(predictions, references, sample_weight)
        if why is None and len(references) < 2:
            why = "it needs at least two samples, and there is one"
        if why is None:
            same = int((np.ptp(np.asarray(references, dtype=float).reshape(len(references), -1), axis=0) == 0).sum())
            of = "" if np.ndim(references) == 1 else f" in {same} of their columns"
            why = f"all {len(references)} references are the same{of}, and have no variance" if same else None
        if why:
            return self._undefined(["r_squared"], why)
        return {"r_squared": float(r2_score(references, predictions, sample_weight=sample_weight))}
