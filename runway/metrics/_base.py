"""What the shipped metrics share: how a class says what it is, and the forms of input.

A metric module imports this module, not the classes in it: ``evaluate.load(path)`` takes the first metric class that it
finds in a module.
"""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

import evaluate


class Metric(evaluate.Metric):
    """A metric over texts; the first line of the class's docstring is its description, the rest is about its inputs."""

    url: ClassVar[str | None] = None
    """Where the metric is defined."""

    def _info(self) -> evaluate.MetricInfo:
        from datasets import Features

        description, _, inputs = (inspect.getdoc(type(self)) or "").partition("\n\n")
        features = [Features(kind) for kind in self._inputs()]
        return evaluate.MetricInfo(
            description=description,
            citation="",
            inputs_description=inputs,
            features=features if len(features) > 1 else features[0],
            reference_urls=[self.url] if self.url else [],
        )

    def _inputs(self) -> list[dict[str, Any]]:
        """The forms that the inputs may have: for each prediction a reference, or a list of them."""
        from datasets import Sequence, Value

        text = Value("string")
        return [{"predictions": text, "references": kind} for kind in (Sequence(text), text)]


class LabelMetric(Metric):
    """A metric over labels by scikit-learn."""

    def _inputs(self) -> list[dict[str, Any]]:
        from datasets import Sequence, Value

        several = self.config_name == "multilabel"
        kinds = [Sequence(Value("int64"))] if several else [Value("int64"), Value("string")]
        return [{"predictions": kind, "references": kind} for kind in kinds]


class LabelScore(LabelMetric):
    """Precision, recall and F1, which are computed alike: ``score`` names the one."""

    score: ClassVar[str]

    def _info(self) -> evaluate.MetricInfo:
        info = super()._info()
        info.inputs_description = f"""
Args:
    predictions: the predicted labels, numbers or text; with config_name='multilabel' a list of 0/1 for each sample.
    references: the true labels, likewise.
    labels: the labels to count where average is not 'binary'; by default all that occur.
    pos_label: the positive label where average is 'binary'.
    average: 'binary', 'micro', 'macro', 'weighted', 'samples', or None for one score a label.
    sample_weight: a weight for each sample.
    zero_division: the score where nothing was counted; 'warn' gives 0 and a warning, which the hub's metric does.

Returns:
    {self.score}: the score; an array, one score a label, where average is None.
"""
        info.reference_urls = [
            f"https://scikit-learn.org/stable/modules/generated/sklearn.metrics.{self.score}_score.html"
        ]
        return info

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
        import sklearn.metrics

        score = getattr(sklearn.metrics, f"{self.score}_score")(
            references,
            predictions,
            labels=labels,
            pos_label=pos_label,
            average=average,
            sample_weight=sample_weight,
            zero_division=zero_division,
        )
        return {self.score: float(score) if getattr(score, "size", 1) == 1 else score}


def streams(references: list) -> list[list[str]]:
    """References by their position: sacrebleu wants every sample's first, then every sample's second.

    Args:
        references: a text for each sample, or a list of texts.

    Raises:
        ValueError: one sample has more of them than another.
    """
    if references and isinstance(references[0], str):
        return [references]
    counts = {len(texts) for texts in references}
    if len(counts) > 1:
        raise ValueError(f"every sample must have the same number of references, but there are {sorted(counts)}")
    return [list(texts) for texts in zip(*references, strict=True)]
