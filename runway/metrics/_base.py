"""What the shipped metrics share: how a class says what it is, and the forms of input.

A metric module imports this module, not the classes in it: ``evaluate.load(path)`` takes the first metric class that it
finds in a module.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import evaluate

from runway.log import warning
from runway.metrics import _columns

if TYPE_CHECKING:
    from runway.uncertainty.sums import Summed


MOST_CLASSES = 200
"""Classes whose counts are summed up row by row; a score of more is resampled as a whole."""


class Metric(evaluate.Metric):
    """A metric over texts; the first line of the class's docstring is its description, the rest is about its inputs."""

    url: ClassVar[str | None] = None
    """Where the metric is defined."""

    higher_is_better: ClassVar[bool | None] = None
    """Whether the highest of the metric's own scores is the best one; None where they are not to be compared."""

    scores: ClassVar[str] = ""
    """A pattern of the names of these scores, where not only the metric's name is one."""

    def compute(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> dict | None:
        """As ``evaluate``'s, also of no samples, which that has no table of; an undefined score is NaN, and told.

        Whole columns that are given here are computed on as they are: lists, numpy and Arrow arrays, tensors.
        ``evaluate`` encodes each value of them in Python, which takes many times as long as the metric; what comes by
        ``add`` and ``add_batch``, or of several processes, goes its way.

        Raises:
            ValueError: there is not a reference for each prediction, or the values are none that the metric takes.
        """
        if predictions is None or self.num_process > 1 or self.writer is not None:
            return super().compute(predictions=predictions, references=references, **kwargs)
        return self._compute(**self._given(predictions, references), **kwargs)

    def summed(self, *, predictions: Any, references: Any = None, **kwargs: Any) -> dict[str, Summed]:
        """The scores that are functions of sums over rows, of which their intervals are made.

        Args:
            predictions: as ``compute`` takes them.
            references: likewise.
            **kwargs: likewise.

        Returns:
            By the score's name in what ``compute`` gives; a score that is missing is resampled as a whole.
        """
        return self._summed(**self._given(predictions, references), **kwargs)

    def intervals(self, *, predictions: Any, references: Any = None, **kwargs: Any) -> dict[str, dict[str, Any]]:
        """The 95% intervals of the scores that ``summed`` gives, as ``EvalRecorder.log_stats_dict`` takes them.

        Args:
            predictions: as ``compute`` takes them.
            references: likewise.
            **kwargs: likewise.

        Returns:
            By the score's name ``{low, high, n, method}``; a score is missing where it has none, as of one sample.
        """
        summed = self.summed(predictions=predictions, references=references, **kwargs)
        found = {name: one.interval() for name, one in summed.items()}
        return {name: one._asdict() for name, one in found.items() if one is not None}

    def _summed(self, *args: Any, **kwargs: Any) -> dict[str, Summed]:
        """What ``summed`` gives; it takes what ``_compute`` does."""
        return {}

    def _given(self, predictions: Any, references: Any) -> dict[str, Any]:
        """The inputs, as ``_compute`` takes them."""
        if "references" not in self._feature_names():
            return {"predictions": self._column(predictions, "predictions")}
        if references is None:
            raise ValueError(f"the metric {type(self).__name__} takes references beside predictions")
        if len(predictions) != len(references):
            raise ValueError(
                f"there must be a reference for each prediction, but there are {len(predictions)} predictions and "
                f"{len(references)} references"
            )
        return {
            "predictions": self._column(predictions, "predictions"),
            "references": self._column(references, "references"),
        }

    def _column(self, values: Any, what: str) -> Any:
        """One input, as ``_compute`` takes it."""
        return _columns.texts(values, what)

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


class _Labels(NamedTuple):
    predicted: Any
    true: Any
    weights: Any
    pairs: _columns.Pairs | None


class LabelMetric(Metric):
    """A metric over labels by scikit-learn."""

    def _inputs(self) -> list[dict[str, Any]]:
        from datasets import Sequence, Value

        several = self.config_name == "multilabel"
        kinds = [Sequence(Value("int64"))] if several else [Value("int64"), Value("string")]
        return [{"predictions": kind, "references": kind} for kind in kinds]

    def _column(self, values: Any, what: str) -> Any:
        return values

    def _labels(self, predictions: Any, references: Any, sample_weight: Any) -> _Labels:
        """What scikit-learn takes: the distinct pairs of labels with their weights; of multilabel all samples."""
        if self.config_name == "multilabel":
            given = [_columns.plain_array(predictions, "predictions"), _columns.plain_array(references, "references")]
            for name, array in zip(("predictions", "references"), given, strict=True):
                if getattr(array, "ndim", 1) != 2:
                    raise ValueError(f"with config_name='multilabel' the {name} must be a list of 0/1 for each sample")
            return _Labels(given[0], given[1], sample_weight, None)
        pairs = _columns.Pairs(predictions, references)
        return _Labels(pairs.predicted, pairs.true, pairs.weights(sample_weight), pairs)


class NumberMetric(Metric):
    """A metric over numbers by scikit-learn: one for each sample, or a list of them."""

    def _inputs(self) -> list[dict[str, Any]]:
        from datasets import Sequence, Value

        number = Value("float64")
        return [{"predictions": kind, "references": kind} for kind in (number, Sequence(number))]

    def _column(self, values: Any, what: str) -> Any:
        return _columns.numbers(values, what)

    def _why_not(self, predictions: Any, references: Any, sample_weight: Any) -> str | None:
        """Why an error of numbers is undefined; None where it is defined."""
        import numpy as np

        if not len(predictions):
            return "there are no samples"
        for name, values in (("predictions", predictions), ("references", references)):
            finite = np.isfinite(np.asarray(values, dtype=float))
            if not finite.all():
                bad = int((~finite.reshape(len(values), -1)).any(axis=1).sum())
                return f"{bad} of {len(values)} {name} are NaN or infinite"
        return None if sample_weight is None or np.sum(sample_weight) else "all samples have the weight 0"

    def _error_sums(self, predictions: Any, references: Any, sample_weight: Any, power: int) -> Summed | None:
        """The mean of a power of the absolute errors; None where it is not defined."""
        import numpy as np

        from runway.uncertainty.sums import mean

        if self._why_not(predictions, references, sample_weight):
            return None
        errors = np.abs(np.asarray(predictions, dtype=float) - np.asarray(references, dtype=float)) ** power
        return mean(errors.reshape(len(errors), -1).mean(-1), sample_weight)


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
        predictions: Any,
        references: Any,
        labels: list | None = None,
        pos_label: int | str = 1,
        average: str | None = "binary",
        sample_weight: Any = None,
        zero_division: str | float | None = None,
    ) -> dict[str, Any]:
        from functools import partial

        import sklearn.metrics

        if not len(predictions):
            return self._undefined([self.score], "there are no samples")
        given = self._labels(predictions, references, sample_weight)
        compute = partial(
            getattr(sklearn.metrics, f"{self.score}_score"),
            given.true,
            given.predicted,
            labels=labels,
            pos_label=pos_label,
            sample_weight=given.weights,
        )
        if zero_division is None:
            one = compute(average=average, zero_division=math.nan)
            why = f"nothing was counted in {len(predictions)} samples: {self.counted}"
            if average == "binary" and given.pairs is not None:
                true, predicted = given.pairs.count(pos_label)
                why += f"; of {pos_label!r} there are {true} in the references and {predicted} in the predictions"
            if getattr(one, "size", 1) == 1 and math.isnan(one):
                return self._undefined([self.score], why)
            if average not in ("binary", "micro", "samples"):
                self._tell_classes(compute(average=None, zero_division=math.nan), given, labels)
            zero_division = 0.0
        score = compute(average=average, zero_division=zero_division)
        return {self.score: float(score) if getattr(score, "size", 1) == 1 else score}

    def _tell_classes(self, each: Any, given: _Labels, labels: list | None) -> None:
        import numpy as np

        undefined = np.flatnonzero(np.isnan(each))
        if len(undefined):
            from sklearn.utils.multiclass import unique_labels

            names = labels if labels is not None else unique_labels(given.true, given.predicted)
            told = ", ".join(str(names[place]) for place in undefined[:8])
            more = f" and {len(undefined) - 8} more" if len(undefined) > 8 else ""
            warning(
                f"{self.score} counts as 0 for {len(undefined)} of {len(each)} classes, of which nothing was counted "
                f"({self.counted}): {told}{more}"
            )

    def _summed(
        self,
        predictions: Any,
        references: Any,
        labels: list | None = None,
        pos_label: int | str = 1,
        average: str | None = "binary",
        sample_weight: Any = None,
        zero_division: str | float | None = None,
    ) -> dict[str, Summed]:
        import numpy as np

        from runway.uncertainty import sums

        if self.config_name == "multilabel" or average is None or sample_weight is not None or not len(predictions):
            return {}
        pairs = _columns.Pairs(predictions, references)
        names = [pos_label] if average == "binary" else pairs.names.tolist() if labels is None else list(labels)
        if len(names) > MOST_CLASSES or zero_division not in (None, 0):
            return {}
        place = {name: at for at, name in enumerate(names)}
        number = np.array([place.get(name, len(names)) for name in pairs.names.tolist()])
        of_all = sums.class_sums(number[pairs.true_codes], number[pairs.predicted_codes], pairs.which, len(names))
        score = sums.CLASS_SCORES[self.score]
        found = dict(sums.averages(score, len(names))) | {"binary": sums.of_class(score, 0, len(names))}
        return {self.score: sums.Summed(of_all, found[average])} if average in found else {}


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
