"""Accuracy, as an ``evaluate.Metric`` that needs no download."""

from __future__ import annotations

from typing import Any

from runway.metrics import _base


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
        predictions: list,
        references: list,
        normalize: bool = True,
        sample_weight: list | None = None,
    ) -> dict[str, Any]:
        from sklearn.metrics import accuracy_score

        if not len(predictions):
            return self._undefined(["accuracy"], "there are no samples")
        if normalize and sample_weight is not None and not sum(sample_weight):
            return self._undefined(["accuracy"], "all samples have the weight 0")
        score = accuracy_score(references, predictions, normalize=normalize, sample_weight=sample_weight)
        return {"accuracy": float(score)}
