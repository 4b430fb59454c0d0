"""Perplexity from losses, as an ``evaluate.Metric`` that needs no download."""

from __future__ import annotations

import math
from typing import Any

from runway.metrics import _base


class Perplexity(_base.Metric):
    """The exponential of the mean cross-entropy. (The hub's module of this name runs a language model instead.)

    Args:
        predictions: the loss of each sample or batch: mean cross-entropy a token, in nats.
        num_tokens: how many tokens each is the mean of; all alike where not given.

    Returns:
        perplexity: exp of the mean loss over all tokens.
        mean_perplexity: the mean over the samples of exp of the loss.
    """

    def _inputs(self) -> list[dict[str, Any]]:
        from datasets import Value

        return [{"predictions": Value("float64")}]

    def _compute(
        self,
        predictions: list[float],
        num_tokens: list[float] | None = None,
    ) -> dict[str, Any]:
        weights = num_tokens if num_tokens is not None else [1.0] * len(predictions)
        pairs = list(zip(predictions, weights, strict=True))
        mean = sum(loss * weight for loss, weight in pairs) / sum(weights)
        return {"perplexity": _exp(mean), "mean_perplexity": sum(map(_exp, predictions)) / len(predictions)}


def _exp(loss: float) -> float:
    try:
        return math.exp(loss)
    except OverflowError:  # a loss of over 709 nats
        return math.inf
