"""The mean absolute error, as an ``evaluate.Metric`` that needs no download."""

from __future__ import annotations

from typing import Any

from runway.metrics import _base


class Mae(_base.NumberMetric):
    """The mean absolute error of predicted numbers.

    Args:
        predictions: the predicted numbers, or a list of them for each sample.
        references: the true numbers, likewise.
        sample_weight: a weight for each sample.

    Returns:
        mae: the error, from 0; the mean over the numbers of a sample where there are several.
    """

    url = "https://scikit-learn.org/stable/modules/generated/sklearn.metrics.mean_absolute_error.html"
    higher_is_better = False

    def _compute(self, predictions: list, references: list, sample_weight: list | None = None) -> dict[str, Any]:
        from sklearn.metrics import mean_absolute_error

        why = self._why_not(predictions, references, sample_weight)
        if why:
            return self._undefined(["mae"], why)
        return {"mae": float(mean_absolute_error(references, predictions, sample_weight=sample_weight))}
