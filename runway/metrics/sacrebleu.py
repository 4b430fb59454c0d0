"""Corpus BLEU by sacreBLEU, as an ``evaluate.Metric`` that needs no download."""

from __future__ import annotations

from typing import Any

import evaluate

_DESCRIPTION = "BLEU as sacreBLEU computes it on plain, not tokenised, text; comparable between papers."

_INPUTS = """
Args:
    predictions: the texts that a system gave.
    references: for each the right text, or a list of right texts (as many for every sample).
    smooth_method: 'exp', 'floor', 'add-k' or 'none'.
    smooth_value: for 'floor' and 'add-k'.
    force: take text that looks tokenised without a warning.
    lowercase: ignore case.
    tokenize: '13a', 'intl', 'zh', 'ja-mecab', 'char', 'none' ...; by default the one for the language, else '13a'.
    use_effective_order: leave out orders without a match, for single sentences.

Returns:
    score: BLEU, from 0 to 100.
    counts, totals, precisions: matches, n-grams and their ratio in per cent, by order.
    bp: the brevity penalty.
    sys_len, ref_len: lengths in tokens.
"""


class Sacrebleu(evaluate.Metric):
    """Corpus BLEU of predicted texts."""

    def _info(self) -> evaluate.MetricInfo:
        from datasets import Features, Sequence, Value

        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_INPUTS,
            features=[
                Features({"predictions": Value("string"), "references": Sequence(Value("string"))}),
                Features({"predictions": Value("string"), "references": Value("string")}),
            ],
            reference_urls=["https://github.com/mjpost/sacrebleu"],
        )

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
    ) -> dict[str, Any]:
        from sacrebleu.metrics import BLEU

        bleu = BLEU(
            lowercase=lowercase,
            force=force,
            tokenize=tokenize,
            smooth_method=smooth_method,
            smooth_value=smooth_value,
            effective_order=use_effective_order,
        )
        result = bleu.corpus_score(predictions, _streams(references))
        names = ("score", "counts", "totals", "precisions", "bp", "sys_len", "ref_len")
        return {name: getattr(result, name) for name in names}


def _streams(references: list) -> list[list[str]]:
    """References by position: sacrebleu wants every sample's first, then every sample's second."""
    if references and isinstance(references[0], str):
        return [references]
    counts = {len(texts) for texts in references}
    if len(counts) > 1:
        raise ValueError(f"every sample must have the same number of references, but there are {sorted(counts)}")
    return [list(texts) for texts in zip(*references, strict=True)]
