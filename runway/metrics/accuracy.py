"""Accuracy, as an ``evaluate.Metric`` that needs no download."""

from __future__ import annotations

from typing import Any

import evaluate

_DESCRIPTION = "The share of the samples that are predicted right."

_INPUTS = """
Args:
    predictions: the predicted labels, numbers or text; with config_name='multilabel' a list of 0/1 for each sample.
    references: the true labels, likewise.
    normalize: give the share, not the number, of right samples.
    sample_weight: a weight for each sample.

Returns:
    accuracy: the score, from 0 to 1; the number of right samples where normalize is False.
"""


class Accuracy(evaluate.Metric):
    """Accuracy of predicted labels."""

    def _info(self) -> evaluate.MetricInfo:
        from datasets import Features, Sequence, Value

        kinds = [Value("int64"), Value("string")]
        if self.config_name == "multilabel":
            kinds = [Sequence(Value("int64"))]
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_INPUTS,
            features=[Features({"predictions": kind, "references": kind}) for kind in kinds],
            reference_urls=["https://scikit-learn.org/stable/modules/generated/sklearn.metrics.accuracy_score.html"],
        )

    def _compute(
        self,
        predictions: list,
        references: list,
        normalize: bool = True,
        sample_weight: list | None = None,
    ) -> dict[str, Any]:
        from sklearn.metrics import accuracy_score

        score = accuracy_score(references, predictions, normalize=normalize, sample_weight=sample_weight)
        return {"accuracy": float(score)}
