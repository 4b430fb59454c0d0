"""Accuracy, as an ``evaluate.Metric`` that needs no download."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runway.metrics import _base, _columns

if TYPE_CHECKING:
    from runway.uncertainty.sums import Summed


class Accuracy(_base.LabelMetric):
    """The share of the samples that are predicted right.

    Args:
        predictions: the predicted labels, numbers or text; with config_name='multilabel' a list of 0/1 for each sample.
        references: the true labels, likewise.
        normalize: give the share, not the number, of right samples.
        sample_weight: a weight for each sample.

    Returns:
        accuracy: the score, from 0 to 1; the number of right samples where normalize is False.
    """

    url = "https://scikit-learn.org/stable/modules/generated/sklearn.metrics.accuracy_score.html"
    higher_is_better = True

    def _compute(
        self,
        predictions: Any,
        references: Any,
        normalize: bool = True,
        sample_weight: Any = None,
    ) -> dict[str, Any]:
        import numpy as np
        from sklearn.metrics import accuracy_score

        if not len(predictions):
            return self._undefined(["accuracy"], "there are no samples")
        if normalize and sample_weight is not None and not np.sum(sample_weight):
            return self._undefined(["accuracy"], "all samples have the weight 0")
        given = self._labels(predictions, references, sample_weight)
        score = accuracy_score(given.true, given.predicted, normalize=normalize, sample_weight=given.weights)
        return {"accuracy": float(score)}

    def _summed(
        self,
        predictions: Any,
        references: Any,
        normalize: bool = True,
        sample_weight: Any = None,
    ) -> dict[str, Summed]:
        from runway.uncertainty.sums import mean, share

        if not normalize or not len(predictions):
            return {}
        if self.config_name == "multilabel":
            given = self._labels(predictions, references, sample_weight)
            right = (given.predicted == given.true).all(-1)
        else:
            right = _columns.Pairs(predictions, references).right
        return {"accuracy": share(right) if sample_weight is None else mean(right, sample_weight)}
