"""chrF and chrF++ by sacreBLEU, as an ``evaluate.Metric`` that needs no download."""

from __future__ import annotations

from typing import Any

from runway.metrics import _base


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
