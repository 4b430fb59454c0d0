"""A run's metrics as sums over rows, which intervals and paired differences are made of.

A metric is known by its name, and taken only where the sums give the number that the run reports: of several
definitions (F1 of the positive class, macro, micro) the one that the run has used is found so, and none is guessed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from runway.report.samples import Classes, Samples
from runway.uncertainty.intervals import Interval, Sums, Value, interval, wilson

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

MOST_PAIRS = 50_000
"""Pairs of texts of which BLEU and chrF are taken apart: some seconds."""
MOST_CLASSES = 50
_CLOSE = 1e-4  # of the value: a mean of float32 means of batches differs so from the mean over rows


class SummedMetric(NamedTuple):
    """A metric over a run's rows.

    Attributes:
        name: as the run reports it.
        value: as the run reports it.
        sums: of the rows.
        function: from sums to the value.
        right: whether each row is right, where the metric is a share of rows.
        kind: which of the metric's definitions it is.
    """

    name: str
    value: float
    sums: Sums
    function: Value
    right: np.ndarray | None = None
    kind: str = ""

    def interval(self) -> Interval | None:
        """Its 95% interval."""
        if self.right is not None:
            return wilson(int(self.right.sum()), len(self.right))
        return interval(self.sums, self.function)


def summed_metrics(metrics: Mapping[str, Any], samples: Samples) -> dict[str, SummedMetric]:
    """Those of a run's metrics that are sums over its recorder's rows.

    Args:
        metrics: as the run reports them.
        samples: its rows.
    """
    found: dict[str, SummedMetric] = {}
    candidates: dict[str, list[SummedMetric]] = {}
    for name, value in metrics.items():
        if not isinstance(value, int | float) or isinstance(value, bool):
            continue
        kind = _kind(name)
        if kind is None:
            continue
        if kind not in candidates:
            candidates[kind] = list(_MAKERS[kind](samples, metrics))
        for one in candidates[kind]:
            reached = float(one.function(one.sums.total()))
            if math.isclose(reached, value, rel_tol=_CLOSE, abs_tol=1e-9):
                found[name] = one._replace(name=name, value=float(value))
                break
    return found


def _kind(name: str) -> str | None:
    name = name.lower().removeprefix("test_").removeprefix("val_")
    aliases = {"bleu": "sacrebleu", "chrf++": "chrf"}
    for prefix in ("", "micro_", "macro_", "weighted_"):
        short = name.removeprefix(prefix)
        short = aliases.get(short, short)
        if short in _MAKERS:
            return short
    return None


# Classes

_Maker = Callable[[Samples, Mapping[str, Any]], Iterator[SummedMetric]]


def _accuracy(samples: Samples, metrics: Mapping[str, Any]) -> Iterator[SummedMetric]:
    classes = samples.classes
    if classes is not None:
        right = classes.right
        yield SummedMetric("", 0.0, Sums([[0.0, 1.0], [1.0, 1.0]], right.astype(int)), _rate, right)


def _rate(sums: np.ndarray) -> np.ndarray:
    return sums[..., 0] / sums[..., 1]


def _of_classes(score: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]) -> _Maker:
    """A score of each class, of the positive one, or of all together."""

    def make(samples: Samples, metrics: Mapping[str, Any]) -> Iterator[SummedMetric]:
        classes = samples.classes
        if classes is None or len(classes.names) > MOST_CLASSES:
            return
        count = len(classes.names)
        for kind, function in _averages(score, count):
            yield SummedMetric("", 0.0, _class_sums(classes), function, kind=kind)

    return make


def _class_sums(classes: Classes) -> Sums:
    """For each row and class: it is this class and predicted, predicted, is this class. [3 * classes]."""
    size = len(classes.names)
    cells, which = np.unique(classes.true * size + classes.predicted, return_inverse=True)
    rows = np.zeros((len(cells), 3, size))
    true, predicted = np.divmod(cells, size)
    at = np.arange(len(cells))
    rows[at, 0, true] = true == predicted
    rows[at, 1, predicted] = 1
    rows[at, 2, true] = 1
    return Sums(rows.reshape(len(cells), -1), which.reshape(-1))


def _averages(score: Callable[..., np.ndarray], size: int) -> Iterator[tuple[str, Value]]:
    def parts(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        split = sums.reshape(*sums.shape[:-1], 3, size)
        return split[..., 0, :], split[..., 1, :], split[..., 2, :]

    def of_each(sums: np.ndarray) -> np.ndarray:
        return score(*parts(sums))

    if size == 2:
        yield "of the second class", lambda sums: of_each(sums)[..., 1]

    def macro(sums: np.ndarray) -> np.ndarray:
        return of_each(sums).mean(-1)

    def weighted(sums: np.ndarray) -> np.ndarray:
        true = parts(sums)[2]
        return (of_each(sums) * true).sum(-1) / true.sum(-1)

    def micro(sums: np.ndarray) -> np.ndarray:
        return score(*(part.sum(-1) for part in parts(sums)))

    yield from (("macro", macro), ("weighted", weighted), ("micro", micro))


def _divided(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.zeros(np.shape(above)), where=np.asarray(below) > 0)


# Losses


def _loss(samples: Samples, metrics: Mapping[str, Any]) -> Iterator[SummedMetric]:
    yield from _mean_of_losses(samples, lambda sums: sums[..., 0] / sums[..., 1])


def _perplexity(samples: Samples, metrics: Mapping[str, Any]) -> Iterator[SummedMetric]:
    yield from _mean_of_losses(samples, lambda sums: np.exp(np.minimum(sums[..., 0] / sums[..., 1], 700)))


def _mean_of_losses(samples: Samples, function: Value) -> Iterator[SummedMetric]:
    if "loss" not in samples:
        return
    losses = samples.array("loss")
    if losses.dtype.kind != "f" or not np.isfinite(losses).all():
        return
    weights = {"over rows": np.ones(len(losses))}
    if "target_tokens" in samples:
        weights = {"over tokens": samples.array("target_tokens").astype(float), **weights}
    for kind, weight in weights.items():
        yield SummedMetric("", 0.0, Sums(np.stack([losses * weight, weight], axis=1)), function, kind=kind)


# Translations


def _bleu(samples: Samples, metrics: Mapping[str, Any]) -> Iterator[SummedMetric]:
    from sacrebleu.metrics import BLEU

    texts = translations(samples)
    if texts is None:
        return
    for settings in _signed(str(metrics.get("sacrebleu_signature", "")), BLEU_SIGNATURE) or ({},):
        yield SummedMetric("", 0.0, text_sums(BLEU(**settings, force=True), *texts), bleu_of)


def _chrf(samples: Samples, metrics: Mapping[str, Any]) -> Iterator[SummedMetric]:
    from sacrebleu.metrics import CHRF

    texts = translations(samples)
    if texts is None:
        return
    settings = next(iter(_signed(str(metrics.get("chrf_signature", "")), CHRF_SIGNATURE)), {})
    metric = CHRF(**settings)
    yield SummedMetric("", 0.0, text_sums(metric, *texts), chrf_of)


# The part of a signature, the setting that it stands for, and how its value is read.
BLEU_SIGNATURE: dict[str, tuple[str, Callable[[str], Any]]] = {
    "tok": ("tokenize", str),
    "case": ("lowercase", lambda value: value == "lc"),
}
CHRF_SIGNATURE: dict[str, tuple[str, Callable[[str], Any]]] = {
    "case": ("lowercase", lambda value: value == "lc"),
    "nw": ("word_order", int),
    "nc": ("char_order", int),
}


def _signed(signature: str, known: Mapping[str, tuple[str, Callable[[str], Any]]]) -> list[dict[str, Any]]:
    """The settings that a sacreBLEU signature tells."""
    settings = {}
    for part in signature.split("|"):
        name, _, value = part.partition(":")
        if name in known:
            setting, read = known[name]
            settings[setting] = read(value)
    return [settings] if settings else []


def translations(samples: Samples) -> tuple[list[str], list[str]] | None:
    """Hypotheses and references, where the recorder has both, and not too many."""
    import unicodedata

    if "hypothesis" not in samples or "reference" not in samples or not 0 < len(samples) <= MOST_PAIRS:
        return None
    texts = [samples.recorder.get_sample_logs_column(name) for name in ("hypothesis", "reference")]
    if not all(isinstance(text, str) for column in texts for text in column):
        return None
    hypotheses, references = ([unicodedata.normalize("NFC", text) for text in column] for column in texts)
    return hypotheses, references


def text_sums(metric: Metric, hypotheses: list[str], references: list[str]) -> Sums:
    """What a metric of sacreBLEU sums up over pairs of texts."""
    from runway.library_internals import sacrebleu_statistics

    return Sums(sacrebleu_statistics(metric, hypotheses, references))


def bleu_of(sums: np.ndarray) -> np.ndarray:
    """Corpus BLEU, 0 to 100, of ``[…, lengths and counts]`` as sacreBLEU sums them up, smoothed as it does."""
    length, reference = sums[..., 0], sums[..., 1]
    orders = (sums.shape[-1] - 2) // 2
    right, total = sums[..., 2 : 2 + orders], sums[..., 2 + orders :]
    smooth, logs = np.ones(length.shape), np.zeros(length.shape)
    with np.errstate(all="ignore"):
        for order in range(orders):
            is_zero = right[..., order] <= 0
            smooth = np.where(is_zero, smooth * 2, smooth)
            logs += np.log(np.where(is_zero, 1 / smooth, right[..., order]) / total[..., order])
        penalty = np.where(length < reference, np.exp(1 - reference / length), 1.0)
        found = 100 * penalty * np.exp(logs / orders)
    return np.where((right.sum(-1) > 0) & (total > 0).all(-1), found, 0.0)


def chrf_of(sums: np.ndarray, beta: float = 2.0) -> np.ndarray:
    """Corpus chrF, 0 to 100, of ``[…, (hypothesis, reference, match) of each order]``."""
    split = sums.reshape(*sums.shape[:-1], -1, 3)
    hypothesis, reference, match = split[..., 0], split[..., 1], split[..., 2]
    counted = (hypothesis > 0) & (reference > 0)
    orders = np.maximum(counted.sum(-1), 1)
    precision = _divided(match, hypothesis).sum(-1, where=counted) / orders
    recall = _divided(match, reference).sum(-1, where=counted) / orders
    return 100 * _divided((1 + beta**2) * precision * recall, beta**2 * precision + recall)


_MAKERS: dict[str, _Maker] = {
    "accuracy": _accuracy,
    "precision": _of_classes(lambda both, predicted, true: _divided(both, predicted)),
    "recall": _of_classes(lambda both, predicted, true: _divided(both, true)),
    "f1": _of_classes(lambda both, predicted, true: _divided(2 * both, predicted + true)),
    "loss": _loss,
    "perplexity": _perplexity,
    "sacrebleu": _bleu,
    "chrf": _chrf,
}
