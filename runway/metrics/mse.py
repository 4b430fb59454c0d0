"""The mean squared error, as an ``evaluate.Metric`` that needs no download."""

from __future__ import annotations

from typing import Any

from runway.metrics import _base


class Mse(_base.NumberMetric):
    """The mean squared error of predicted numbers.

    Args:
        predictions: the predicted numbers, or a list of them for each sample.
        references: the true numbers, likewise.
        sample_weight: a weight for each sample.

    Returns:
        mse: the error, from 0; the mean over the numbers of a sample where there are several.
    """

    url = "https://scikit-learn.org/stable/modules/generated/sklearn.metrics.mean_squared_error.html"
    higher_is_better = False

    def _compute(self, predictions: list, references: list, sample_weight: list | None = None) -> dict[str, Any]:
        from sklearn.metrics import mean_squared_error

        why = self._why_not(predictions, references, sample_weight)
        if why:
            return self._undefined(["mse"], why)
        return {"mse": float(mean_squared_error(references, predictions, sample_weight=sample_weight))}
