"""Precision, as an ``evaluate.Metric`` that needs no download."""

from __future__ import annotations

from typing import Any

import evaluate

_DESCRIPTION = "The share of the samples predicted as positive that are: TP / (TP + FP)."

_INPUTS = """
Args:
    predictions: the predicted labels, numbers or text; with config_name='multilabel' a list of 0/1 for each sample.
    references: the true labels, likewise.
    labels: the labels to count where average is not 'binary'; by default all that occur.
    pos_label: the positive label where average is 'binary'.
    average: 'binary', 'micro', 'macro', 'weighted', 'samples', or None for one score a label.
    sample_weight: a weight for each sample.
    zero_division: the score where nothing was counted; 'warn' gives 0 and a warning, which the hub's metric does.

Returns:
    precision: the score; an array, one score a label, where average is None.
"""


class Precision(evaluate.Metric):
    """Precision of predicted labels."""

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
            reference_urls=["https://scikit-learn.org/stable/modules/generated/sklearn.metrics.precision_score.html"],
        )

    def _compute(
        self,
        predictions: list,
        references: list,
        labels: list | None = None,
        pos_label: int | str = 1,
        average: str | None = "binary",
        sample_weight: list | None = None,
        zero_division: str | float = 0.0,
    ) -> dict[str, Any]:
        from sklearn.metrics import precision_score

        score = precision_score(
            references,
            predictions,
            labels=labels,
            pos_label=pos_label,
            average=average,
            sample_weight=sample_weight,
            zero_division=zero_division,
        )
        return {"precision": float(score) if getattr(score, "size", 1) == 1 else score}
