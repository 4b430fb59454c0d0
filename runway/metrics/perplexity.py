"""Perplexity from losses, as an ``evaluate.Metric`` that needs no download."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runway.metrics import _base, _columns

if TYPE_CHECKING:
    from runway.uncertainty.sums import Summed


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

    def _column(self, values: Any, what: str) -> Any:
        return values

    def _compute(self, predictions: Any, num_tokens: Any = None) -> dict[str, Any]:
        import numpy as np

        names = ["perplexity", "mean_perplexity"]
        if not len(predictions):
            return self._undefined(names, "there are no losses")
        losses, weights = self._weighted(predictions, num_tokens)
        if not len(losses):  # whose loss is the mean of nothing
            return self._undefined(names, f"none of the {len(predictions)} samples has a token that counts")
        bad = int(np.isnan(losses).sum())
        if bad:
            return self._undefined(names, f"{bad} of {len(predictions)} losses are NaN")
        with np.errstate(over="ignore"):  # a loss of over 709 nats
            mean = losses.mean() if num_tokens is None else losses @ weights / weights.sum()
            return {"perplexity": float(np.exp(mean)), "mean_perplexity": float(np.exp(losses).mean())}

    def _weighted(self, predictions: Any, num_tokens: Any) -> tuple[Any, Any]:
        """Losses and numbers of tokens of those samples that have a token."""
        import numpy as np

        losses = _columns.numbers(predictions, "predictions")
        if num_tokens is None:
            return losses, np.ones(len(losses))
        weights = _columns.numbers(num_tokens, "num_tokens")
        if weights.shape != losses.shape:
            raise ValueError(f"there are {len(losses)} losses, but {len(weights)} num_tokens")
        return losses[weights != 0], weights[weights != 0]

    def _summed(self, predictions: Any, num_tokens: Any = None) -> dict[str, Summed]:
        import numpy as np

        from runway.uncertainty.sums import exp_of_mean, mean

        if not len(predictions):
            return {}
        losses = _columns.numbers(predictions, "predictions")
        weights = np.ones(len(losses)) if num_tokens is None else _columns.numbers(num_tokens, "num_tokens")
        if not np.isfinite(losses[weights != 0]).all():
            return {}
        with np.errstate(over="ignore"):
            return {
                "perplexity": mean(losses, weights, exp_of_mean),
                "mean_perplexity": mean(np.exp(losses), weights != 0),
            }
