"""The confusion matrix, as an ``evaluate.Metric`` that needs no download."""

from __future__ import annotations

from typing import Any

from runway.metrics import _base


class ConfusionMatrix(_base.LabelMetric):
    """How often the label of each row was predicted as that of each column.

    Args:
        predictions: the predicted labels, numbers or text; with config_name='multilabel' a list of 0/1 for each sample.
        references: the true labels, likewise.
        labels: the labels in the order of rows and columns; by default all that occur, sorted.
        sample_weight: a weight for each sample.
        normalize: 'true' (rows), 'pred' (columns) or 'all' sum to 1.

    Returns:
        confusion_matrix: an array [labels, labels], rows are true labels.
        labels: what its rows and columns are, in their order; not for multilabel.
    """

    url = "https://scikit-learn.org/stable/modules/generated/sklearn.metrics.confusion_matrix.html"

    def _compute(
        self,
        predictions: Any,
        references: Any,
        labels: list | None = None,
        sample_weight: Any = None,
        normalize: str | None = None,
    ) -> dict[str, Any]:
        from sklearn.metrics import confusion_matrix

        if not len(predictions):
            return self._undefined(["confusion_matrix"], "there are no samples")
        given = self._labels(predictions, references, sample_weight)
        matrix = confusion_matrix(
            given.true, given.predicted, labels=labels, sample_weight=given.weights, normalize=normalize
        )
        if given.pairs is None:  # multilabel
            return {"confusion_matrix": matrix}
        return {"confusion_matrix": matrix, "labels": given.pairs.names.tolist() if labels is None else labels}
