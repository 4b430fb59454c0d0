"""What the shipped metrics share: how a class says what it is, and the forms of input.

A metric module imports this module, not the classes in it: ``evaluate.load(path)`` takes the first metric class that it
finds in a module.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import evaluate

from runway.log import warning


class Metric(evaluate.Metric):
    """A metric over texts; the first line of the class's docstring is its description, the rest is about its inputs."""

    url: ClassVar[str | None] = None
    """Where the metric is defined."""

    higher_is_better: ClassVar[bool | None] = None
    """Whether the highest of the metric's own scores is the best one; None where they are not to be compared."""

    scores: ClassVar[str] = ""
    """A pattern of the names of these scores, where not only the metric's name is one."""

    def compute(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> dict | None:
        """As ``evaluate``'s, also of no samples, which that has no table of; an undefined score is NaN, and told."""
        if predictions is not None and len(predictions) == 0 and (references is None or len(references) == 0):
            given: dict[str, list] = {} if "references" not in self._feature_names() else {"references": []}
            return self._compute(predictions=[], **given, **kwargs)
        return super().compute(predictions=predictions, references=references, **kwargs)

    def _undefined(self, names: Sequence[str], why: str) -> dict[str, Any]:
        """The scores, NaN each, with a warning that says why."""
        tell_undefined(type(self).__name__, names, why)
        return dict.fromkeys(names, math.nan)

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


def tell_undefined(metric: str, names: Iterable[str], why: str) -> None:
    """Warn that scores are NaN."""
    warning(f"the metric {metric} is undefined, {why}: NaN, and null in metrics.json ({', '.join(names)})")


def why_no_texts(predictions: Sequence[str], references: Sequence[str | list[str]]) -> str | None:
    """Why texts cannot be compared; None where they can. No prediction has any text: that is a score of 0, but told."""
    if not len(predictions):
        return "there are no samples"
    without = sum(len(texts) == 0 for texts in references if not isinstance(texts, str))
    if without:
        return f"{without} of {len(references)} samples have no reference"
    if not any(text.strip() for texts in references for text in ([texts] if isinstance(texts, str) else texts)):
        return f"the references of all {len(references)} samples are empty"
    if not any(text.strip() for text in predictions):
        warning(f"all {len(predictions)} predicted texts are empty")
    return None


class LabelMetric(Metric):
    """A metric over labels by scikit-learn."""

    def _inputs(self) -> list[dict[str, Any]]:
        from datasets import Sequence, Value

        several = self.config_name == "multilabel"
        kinds = [Sequence(Value("int64"))] if several else [Value("int64"), Value("string")]
        return [{"predictions": kind, "references": kind} for kind in kinds]


class NumberMetric(Metric):
    """A metric over numbers by scikit-learn: one for each sample, or a list of them."""

    def _inputs(self) -> list[dict[str, Any]]:
        from datasets import Sequence, Value

        number = Value("float64")
        return [{"predictions": kind, "references": kind} for kind in (number, Sequence(number))]

    def _why_not(self, predictions: Sequence, references: Sequence, sample_weight: Sequence | None) -> str | None:
        """Why an error of numbers is undefined; None where it is defined."""
        import numpy as np

        if not len(predictions):
            return "there are no samples"
        for name, values in (("predictions", predictions), ("references", references)):
            bad = int((~np.isfinite(np.asarray(values, dtype=float)).reshape(len(values), -1)).any(axis=1).sum())
            if bad:
                return f"{bad} of {len(values)} {name} are NaN or infinite"
        return None if sample_weight is None or sum(sample_weight) else "all samples have the weight 0"


class LabelScore(LabelMetric):
    """Precision, recall and F1, which are computed alike: ``score`` names the one."""

    higher_is_better = True
    score: ClassVar[str]
    counted: ClassVar[str]
    """What must be there for the score to be defined."""

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
    zero_division: the score where nothing was counted. By default it is NaN with a warning, and in the mean over
        classes, or for one class of several, 0 with a warning.

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
        zero_division: str | float | None = None,
    ) -> dict[str, Any]:
        import sklearn.metrics

        if not len(predictions):
            return self._undefined([self.score], "there are no samples")
        settings = {"labels": labels, "pos_label": pos_label, "sample_weight": sample_weight}
        if zero_division is None:
            given = getattr(sklearn.metrics, f"{self.score}_score")
            one = given(references, predictions, average=average, zero_division=math.nan, **settings)
            why = f"nothing was counted in {len(predictions)} samples: {self.counted}"
            if average == "binary":
                there = f"of {pos_label!r} there are {sum(map(pos_label.__eq__, references))} in the references"
                why += f"; {there} and {sum(map(pos_label.__eq__, predictions))} in the predictions"
            if getattr(one, "size", 1) == 1 and math.isnan(one):
                return self._undefined([self.score], why)
            if average not in ("binary", "micro", "samples"):
                self._tell_classes(predictions, references, settings)
            zero_division = 0.0
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

    def _tell_classes(self, predictions: list, references: list, settings: dict[str, Any]) -> None:
        import numpy as np
        import sklearn.metrics

        each = getattr(sklearn.metrics, f"{self.score}_score")(
            references, predictions, average=None, zero_division=math.nan, **settings
        )
        undefined = np.flatnonzero(np.isnan(each))
        if len(undefined):
            from sklearn.utils.multiclass import unique_labels

            names = settings["labels"] if settings["labels"] is not None else unique_labels(references, predictions)
            told = ", ".join(str(names[place]) for place in undefined[:8])
            more = f" and {len(undefined) - 8} more" if len(undefined) > 8 else ""
            warning(
                f"{self.score} counts as 0 for {len(undefined)} of {len(each)} classes, of which nothing was counted "
                f"({self.counted}): {told}{more}"
            )


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
