"""A run's metrics as sums over rows, which intervals and paired differences are made of.

A metric is known by its name, and taken only where the sums give the number that the run reports: of several
definitions (F1 of the positive class, macro, micro) the one that the run has used is found so, and none is guessed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from runway.report.samples import Samples
from runway.uncertainty.sums import (
    CLASS_SCORES,
    Summed,
    averages,
    bleu_of,
    chrf_of,
    class_sums,
    exp_of_mean,
    mean,
    of_class,
    ratio,
    share,
    text_sums,
)

if TYPE_CHECKING:
    from runway.uncertainty.intervals import Interval, Sums, Value

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
        return Summed(self.sums, self.function, self.right).interval()


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


_Maker = Callable[[Samples, Mapping[str, Any]], Iterator[SummedMetric]]


def _made(summed: Summed, kind: str = "") -> SummedMetric:
    return SummedMetric("", 0.0, summed.sums, summed.value, summed.right, kind)


def _accuracy(samples: Samples, metrics: Mapping[str, Any]) -> Iterator[SummedMetric]:
    if samples.classes is not None:
        yield _made(share(samples.classes.right))


def _of_classes(score: str) -> _Maker:
    """A score of each class, of the positive one, or of all together."""

    def make(samples: Samples, metrics: Mapping[str, Any]) -> Iterator[SummedMetric]:
        classes = samples.classes
        if classes is None or len(classes.names) > MOST_CLASSES:
            return
        size = len(classes.names)
        cells, which = np.unique(classes.true * size + classes.predicted, return_inverse=True)
        sums = class_sums(*np.divmod(cells, size), which.reshape(-1), size)
        if size == 2:
            yield _made(Summed(sums, of_class(CLASS_SCORES[score], 1, size)), "of the second class")
        for kind, function in averages(CLASS_SCORES[score], size):
            yield _made(Summed(sums, function), kind)

    return make


def _losses(value: Value) -> _Maker:
    """A function of the mean loss, over tokens or over rows."""

    def make(samples: Samples, metrics: Mapping[str, Any]) -> Iterator[SummedMetric]:
        if "loss" not in samples:
            return
        losses = samples.array("loss")
        if losses.dtype.kind != "f" or not np.isfinite(losses).all():
            return
        if "target_tokens" in samples:
            yield _made(mean(losses, samples.array("target_tokens"), value), "over tokens")
        yield _made(mean(losses, None, value), "over rows")

    return make


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


_MAKERS: dict[str, _Maker] = {
    "accuracy": _accuracy,
    **{score: _of_classes(score) for score in CLASS_SCORES},
    "loss": _losses(ratio),
    "perplexity": _losses(exp_of_mean),
    "sacrebleu": _bleu,
    "chrf": _chrf,
}
