"""Perplexity from losses, as an ``evaluate.Metric`` that needs no download."""

from __future__ import annotations

import math
from typing import Any

from runway.metrics import _base


class Perplexity(_base.Metric):
    """The exponential of the mean cross-entropy. (The hub's module of this name runs a language model instead.)

    Args:
        predictions: the loss of each sample or batch: mean cross-entropy a token, in nats.
        num_tokens: how many tokens each is the mean of; all alike where not given. A sample of none does not count.

    Returns:
        perplexity: exp of the mean loss over all tokens.
        mean_perplexity: the mean over the samples of exp of the loss.
    """

    higher_is_better = False
    scores = r"(mean_)?perplexity"

    def _inputs(self) -> list[dict[str, Any]]:
        from datasets import Value

        return [{"predictions": Value("float64")}]

    def _compute(
        self,
        predictions: list[float],
        num_tokens: list[float] | None = None,
    ) -> dict[str, Any]:
        names = ["perplexity", "mean_perplexity"]
        if not len(predictions):
            return self._undefined(names, "there are no losses")
        weights = num_tokens if num_tokens is not None else [1.0] * len(predictions)
        pairs = [(loss, weight) for loss, weight in zip(predictions, weights, strict=True) if weight]
        if not pairs:  # whose loss is the mean of nothing
            return self._undefined(names, f"none of the {len(predictions)} samples has a token that counts")
        bad = sum(math.isnan(loss) for loss, _ in pairs)
        if bad:
            return self._undefined(names, f"{bad} of {len(predictions)} losses are NaN")
        mean = sum(loss * weight for loss, weight in pairs) / sum(weight for _, weight in pairs)
        return {"perplexity": _exp(mean), "mean_perplexity": sum(_exp(loss) for loss, _ in pairs) / len(pairs)}


def _exp(loss: float) -> float:
    try:
        return math.exp(loss)
    except OverflowError:  # a loss of over 709 nats
        return math.inf
