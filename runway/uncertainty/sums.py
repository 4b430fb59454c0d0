"""Scores as functions of sums over rows, as their own libraries define them: intervals and differences are made so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from runway.uncertainty.intervals import Interval, Sums, Value, interval, wilson

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric


class Summed(NamedTuple):
    """A score over rows.

    Attributes:
        sums: of the rows.
        value: from sums to the score.
        right: whether each row is right, where the score is a share of the rows.
    """

    sums: Sums
    value: Value
    right: np.ndarray | None = None

    def interval(self, *, groups: Any = None, seed: int = 0) -> Interval | None:
        """Its 95% interval; over groups of rows where these are given."""
        if self.right is not None and groups is None:
            return wilson(int(self.right.sum()), len(self.right))
        return interval(self.sums, self.value, groups=groups, seed=seed)

    def of_rows(self, rows: np.ndarray) -> Summed:
        """The same score over some of the rows, given by their numbers."""
        part, counted = np.unique(self.sums.which[rows], return_inverse=True)
        right = None if self.right is None else self.right[rows]
        return Summed(Sums(self.sums.rows[part], counted.reshape(-1)), self.value, right)

    def reached(self) -> float:
        """The score over all rows."""
        with np.errstate(all="ignore"):
            return float(self.value(self.sums.total()))


# Means


def ratio(sums: np.ndarray) -> np.ndarray:
    """The first sum to the second: a mean, or a share."""
    return np.divide(sums[..., 0], sums[..., 1])


def mean(values: Any, weights: Any = None, value: Value = ratio) -> Summed:
    """A mean over rows, or a function of one.

    Args:
        values: shape (rows,).
        weights: of the rows; None: all alike.
        value: from (weighted sum, sum of the weights) to the score.
    """
    values = np.asarray(values, dtype=float)
    weights = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=float)
    return Summed(Sums(np.stack([np.where(weights == 0, 0.0, values) * weights, weights], axis=1)), value)


def share(right: Any) -> Summed:
    """The share of the rows that are right."""
    right = np.asarray(right, dtype=bool)
    return Summed(Sums([[0.0, 1.0], [1.0, 1.0]], right.astype(np.int64)), ratio, right)


def exp_of_mean(sums: np.ndarray) -> np.ndarray:
    """Perplexity, of (sum of the losses, number of tokens)."""
    return np.exp(np.minimum(ratio(sums), 700))


# Classes

Score = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Of how many rows are of a class and predicted as it, how many are predicted as it, how many are of it."""


def divided(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """A ratio that is 0 where nothing was counted."""
    return np.divide(above, below, out=np.zeros(np.shape(above)), where=np.asarray(below) > 0)


CLASS_SCORES: dict[str, Score] = {
    "precision": lambda both, predicted, true: divided(both, predicted),
    "recall": lambda both, predicted, true: divided(both, true),
    "f1": lambda both, predicted, true: divided(2 * both, predicted + true),
}


def class_sums(true: np.ndarray, predicted: np.ndarray, which: np.ndarray | None, size: int) -> Sums:
    """For each distinct row and class: it is of the class and predicted so, is predicted so, is of it: [3 * size].

    Args:
        true: the number of the true class of each distinct row; one of ``size`` or more is not counted.
        predicted: of the predicted one.
        which: for each row of the data its distinct row; None: each its own.
        size: how many classes.
    """
    at = np.arange(len(true))
    rows = np.zeros((len(true), 3, size + 1))
    rows[at, 0, np.minimum(true, size)] = true == predicted
    rows[at, 1, np.minimum(predicted, size)] = 1
    rows[at, 2, np.minimum(true, size)] = 1
    return Sums(rows[:, :, :size].reshape(len(true), -1), which)


def averages(score: Score, size: int) -> Iterator[tuple[str, Value]]:
    """A score's mean over classes, by the name of the average, as scikit-learn computes it."""

    def parts(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        split = sums.reshape(*sums.shape[:-1], 3, size)
        return split[..., 0, :], split[..., 1, :], split[..., 2, :]

    def of_each(sums: np.ndarray) -> np.ndarray:
        return score(*parts(sums))

    def macro(sums: np.ndarray) -> np.ndarray:
        return of_each(sums).mean(-1)

    def weighted(sums: np.ndarray) -> np.ndarray:
        true = parts(sums)[2]
        return divided((of_each(sums) * true).sum(-1), true.sum(-1))

    def micro(sums: np.ndarray) -> np.ndarray:
        return score(*(part.sum(-1) for part in parts(sums)))

    yield from (("macro", macro), ("weighted", weighted), ("micro", micro))


def of_class(score: Score, number: int, size: int) -> Value:
    """A score of one class."""

    def value(sums: np.ndarray) -> np.ndarray:
        split = sums.reshape(*sums.shape[:-1], 3, size)
        return score(split[..., 0, number], split[..., 1, number], split[..., 2, number])

    return value


# Texts


def text_sums(metric: Metric, hypotheses: Sequence[str], references: Sequence[Any]) -> Sums:
    """What a metric of sacreBLEU sums up over pairs of texts.

    Args:
        metric: BLEU or chrF.
        hypotheses: shape (rows,).
        references: the right texts, or streams of them, as sacreBLEU takes them.
    """
    from runway.library_internals import sacrebleu_statistics

    is_stream = bool(references) and not isinstance(references[0], str)
    return Sums(sacrebleu_statistics(metric, hypotheses, references if is_stream else [references]))


def scored_by(metric: Metric) -> Value:
    """The score that a metric of sacreBLEU itself computes of sums, with all its settings; each takes some 20 µs."""
    from runway.library_internals import sacrebleu_score

    def value(sums: np.ndarray) -> np.ndarray:
        flat = sums.reshape(-1, sums.shape[-1])
        found = [sacrebleu_score(metric, [round(one) for one in row]) for row in flat.tolist()]
        return np.asarray(found).reshape(sums.shape[:-1])

    return value


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
        found = 100 * _penalty(length, reference) * np.exp(logs / orders)
    return np.where((right.sum(-1) > 0) & (total > 0).all(-1), found, 0.0)


def plain_bleu_of(sums: np.ndarray, *, add: int = 0) -> np.ndarray:
    """Corpus BLEU, 0 to 1, as Papineni et al. define it, of the same sums; ``add`` is put to each count (Lin 2004)."""
    orders = (sums.shape[-1] - 2) // 2
    right, total = sums[..., 2 : 2 + orders] + add, sums[..., 2 + orders :] + add
    precisions = divided(right, total)
    with np.errstate(all="ignore"):
        found = _penalty(sums[..., 0], sums[..., 1]) * np.exp(np.log(precisions).mean(-1))
    return np.where((precisions > 0).all(-1) & (sums[..., 0] > 0), found, 0.0)


def _penalty(length: np.ndarray, reference: np.ndarray) -> np.ndarray:
    return np.where(length < reference, np.exp(1 - reference / length), 1.0)


def chrf_of(sums: np.ndarray, beta: float = 2.0) -> np.ndarray:
    """Corpus chrF, 0 to 100, of ``[…, (hypothesis, reference, match) of each order]``."""
    split = sums.reshape(*sums.shape[:-1], -1, 3)
    hypothesis, reference, match = split[..., 0], split[..., 1], split[..., 2]
    counted = (hypothesis > 0) & (reference > 0)
    orders = np.maximum(counted.sum(-1), 1)
    precision = divided(match, hypothesis).sum(-1, where=counted) / orders
    recall = divided(match, reference).sum(-1, where=counted) / orders
    return 100 * divided((1 + beta**2) * precision * recall, beta**2 * precision + recall)
