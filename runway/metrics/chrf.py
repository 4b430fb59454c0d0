"""chrF and chrF++ by sacreBLEU, as an ``evaluate.Metric`` that needs no download."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from runway.metrics import _base

if TYPE_CHECKING:
    from runway.uncertainty.sums import Summed


class ChrF(_base.Metric):
    """The F-score of character n-grams (chrF), with words too chrF++.

    Args:
        predictions: the texts that a system gave.
        references: for each the right text, or a list of right texts (as many for every sample).
        char_order: the longest n-gram of characters.
        word_order: the longest n-gram of words; 2 is chrF++.
        beta: how much more recall counts than precision.
        lowercase: ignore case.
        whitespace: count spaces as characters.
        eps_smoothing: smooth as chrF++.py, NLTK and Moses do.

    Returns:
        score: chrF, from 0 to 100.
        char_order, word_order, beta: as given.
    """

    url = "https://github.com/mjpost/sacrebleu"
    higher_is_better = True

    def _compute(
        self,
        predictions: list[str],
        references: list,
        char_order: int = 6,
        word_order: int = 0,
        beta: int = 2,
        lowercase: bool = False,
        whitespace: bool = False,
        eps_smoothing: bool = False,
    ) -> dict[str, Any]:
        from sacrebleu.metrics import CHRF

        if why := _base.why_no_texts(predictions, references):
            return self._undefined(["score"], why)
        chrf = CHRF(
            char_order=char_order,
            word_order=word_order,
            beta=beta,
            lowercase=lowercase,
            whitespace=whitespace,
            eps_smoothing=eps_smoothing,
        )
        result = chrf.corpus_score(predictions, _base.streams(references))
        return {name: getattr(result, name) for name in ("score", "char_order", "word_order", "beta")}

    def _summed(self, predictions: list[str], references: list, **settings: Any) -> dict[str, Summed]:
        from sacrebleu.metrics import CHRF

        from runway.uncertainty.sums import Summed, chrf_of, scored_by, text_sums

        if not len(predictions):
            return {}
        chrf = CHRF(**settings)
        value = scored_by(chrf) if settings.get("eps_smoothing") else partial(chrf_of, beta=settings.get("beta", 2))
        return {"score": Summed(text_sums(chrf, predictions, _base.streams(references)), value)}
