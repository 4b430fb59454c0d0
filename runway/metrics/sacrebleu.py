"""Corpus BLEU by sacreBLEU, as an ``evaluate.Metric`` that needs no download."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runway.metrics import _base, _languages

if TYPE_CHECKING:
    from sacrebleu.metrics import BLEU

    from runway.uncertainty.sums import Summed


class Sacrebleu(_base.Metric):
    """BLEU as sacreBLEU computes it on plain, not tokenised, text; comparable between papers.

    Args:
        predictions: the texts that a system gave.
        references: for each the right text, or a list of right texts (as many for every sample).
        smooth_method: 'exp', 'floor', 'add-k' or 'none'.
        smooth_value: for 'floor' and 'add-k'.
        force: take text that looks tokenised without a warning.
        lowercase: ignore case.
        tokenize: '13a', 'intl', 'zh', 'ja-mecab', 'char', 'none' ...; by default the one for ``target_lang``.
        target_lang: the language of the texts; by default one with spaces between words: '13a'.
        use_effective_order: leave out orders without a match, for single sentences.

    Returns:
        score: BLEU, from 0 to 100.
        counts, totals, precisions: matches, n-grams and their ratio in per cent, by order.
        bp: the brevity penalty.
        sys_len, ref_len: lengths in tokens.
    """

    url = "https://github.com/mjpost/sacrebleu"
    higher_is_better = True

    def _compute(
        self,
        predictions: list[str],
        references: list,
        smooth_method: str = "exp",
        smooth_value: float | None = None,
        force: bool = False,
        lowercase: bool = False,
        tokenize: str | None = None,
        use_effective_order: bool = False,
        target_lang: str | None = None,
    ) -> dict[str, Any]:
        if why := _base.why_no_texts(predictions, references):
            return self._undefined(["score"], why)
        tokenize = tokenize or _languages.bleu_tokenizer(target_lang)
        streams = _base.streams(references)
        _languages.tell_if_unspaced(tokenize, streams[0] if streams else [], where="sacrebleu", language=target_lang)
        bleu = _bleu(tokenize, smooth_method, smooth_value, force, lowercase, use_effective_order)
        result = bleu.corpus_score(predictions, streams)
        names = ("score", "counts", "totals", "precisions", "bp", "sys_len", "ref_len")
        return {name: getattr(result, name) for name in names}

    def _summed(
        self,
        predictions: list[str],
        references: list,
        smooth_method: str = "exp",
        smooth_value: float | None = None,
        force: bool = False,
        lowercase: bool = False,
        tokenize: str | None = None,
        use_effective_order: bool = False,
        target_lang: str | None = None,
    ) -> dict[str, Summed]:
        from runway.uncertainty.sums import Summed, bleu_of, scored_by, text_sums

        if not len(predictions):
            return {}
        tokenize = tokenize or _languages.bleu_tokenizer(target_lang)
        bleu = _bleu(tokenize, smooth_method, smooth_value, True, lowercase, use_effective_order)
        is_usual = smooth_method == "exp" and not use_effective_order
        sums = text_sums(bleu, predictions, _base.streams(references))
        return {"score": Summed(sums, bleu_of if is_usual else scored_by(bleu))}


def _bleu(
    tokenize: str,
    smooth_method: str,
    smooth_value: float | None,
    force: bool,
    lowercase: bool,
    use_effective_order: bool,
) -> BLEU:
    from sacrebleu.metrics import BLEU

    return BLEU(
        lowercase=lowercase,
        force=force,
        tokenize=tokenize,
        smooth_method=smooth_method,
        smooth_value=smooth_value,
        effective_order=use_effective_order,
    )
