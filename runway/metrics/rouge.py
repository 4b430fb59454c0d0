"""ROUGE by rouge_score, as an ``evaluate.Metric`` that needs no download."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from runway.metrics import _base

if TYPE_CHECKING:
    from runway.uncertainty.sums import Summed


class Rouge(_base.Metric):
    """ROUGE F-scores: overlap of n-grams (rouge1, rouge2) and longest common subsequences (rougeL, rougeLsum).

    Args:
        predictions: the texts that a system gave.
        references: for each the right text, or a list of right texts, of which the best counts.
        rouge_types: which of 'rouge1' ... 'rouge9', 'rougeL', 'rougeLsum'; by default 1, 2, L and Lsum.
        use_aggregator: give the mean over the samples, not a list. (The hub's module gives the middle of bootstrap
            samples, which varies with the seed; the mean is what that estimates.)
        use_stemmer: compare the stems of words.
        tokenizer: takes a text and gives a list of tokens.

    Returns:
        rouge1, rouge2, rougeL, rougeLsum: the F-score, from 0 to 1, or one for each sample.
    """

    url = "https://github.com/google-research/google-research/tree/master/rouge"
    higher_is_better = True
    scores = r"rouge(\d|L|Lsum)"

    def _compute(
        self,
        predictions: list[str],
        references: list,
        rouge_types: list[str] | None = None,
        use_aggregator: bool = True,
        use_stemmer: bool = False,
        tokenizer: Callable[[str], list[str]] | None = None,
    ) -> dict[str, Any]:
        names = rouge_types or ["rouge1", "rouge2", "rougeL", "rougeLsum"]
        if why := _base.why_no_texts(predictions, references):
            return self._undefined(names, why)
        scores = self._scores(predictions, references, names, use_stemmer, tokenizer)
        if not use_aggregator:
            return scores
        return {name: sum(found) / len(found) for name, found in scores.items()}

    def _scores(
        self,
        predictions: list[str],
        references: list,
        names: list[str],
        use_stemmer: bool,
        tokenizer: Callable[[str], list[str]] | None,
    ) -> dict[str, list[float]]:
        """By the name of the score one for each sample."""
        from rouge_score.rouge_scorer import RougeScorer

        scorer = RougeScorer(names, use_stemmer=use_stemmer, tokenizer=_Tokenizer(tokenizer) if tokenizer else None)
        scores: dict[str, list[float]] = {name: [] for name in names}
        for prediction, texts in zip(predictions, references, strict=True):
            score = scorer.score(texts, prediction) if isinstance(texts, str) else scorer.score_multi(texts, prediction)
            for name in names:
                scores[name].append(score[name].fmeasure)
        return scores

    def _summed(
        self,
        predictions: list[str],
        references: list,
        rouge_types: list[str] | None = None,
        use_aggregator: bool = True,
        use_stemmer: bool = False,
        tokenizer: Callable[[str], list[str]] | None = None,
    ) -> dict[str, Summed]:
        from runway.uncertainty.sums import mean

        if not use_aggregator or not len(predictions):
            return {}
        names = rouge_types or ["rouge1", "rouge2", "rougeL", "rougeLsum"]
        scores = self._scores(predictions, references, names, use_stemmer, tokenizer)
        return {name: mean(found) for name, found in scores.items()}


class _Tokenizer:
    """The form in which rouge_score takes a tokenizer."""

    def __init__(self, tokenize: Callable[[str], list[str]]) -> None:
        self.tokenize = tokenize
