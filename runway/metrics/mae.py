"""The mean absolute error, as an ``evaluate.Metric`` that needs no download."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runway.metrics import _base

if TYPE_CHECKING:
    from runway.uncertainty.sums import Summed


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

    def _compute(self, predictions: Any, references: Any, sample_weight: Any = None) -> dict[str, Any]:
        from sklearn.metrics import mean_absolute_error

        why = self._why_not(predictions, references, sample_weight)
        if why:
            return self._undefined(["mae"], why)
        return {"mae": float(mean_absolute_error(references, predictions, sample_weight=sample_weight))}

    def _summed(self, predictions: Any, references: Any, sample_weight: Any = None) -> dict[str, Summed]:
        found = self._error_sums(predictions, references, sample_weight, 1)
        return {} if found is None else {"mae": found}
