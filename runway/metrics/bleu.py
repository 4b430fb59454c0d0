"""Corpus BLEU (Papineni et al. 2002), as an ``evaluate.Metric`` that needs no download."""

from __future__ import annotations

import collections
import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from runway.metrics import _base, _languages

if TYPE_CHECKING:
    import numpy as np

    from runway.uncertainty.sums import Summed


class Bleu(_base.Metric):
    """BLEU, from 0 to 1, with the tokenizer of your choice; sacrebleu is the one to publish.

    Args:
        predictions: the texts that a system gave.
        references: for each the right text, or a list of right texts.
        tokenizer: takes a text and gives a list of tokens; by default sacreBLEU's for ``target_lang``.
        target_lang: the language of the texts; by default one with spaces between words: that of mteval-v13a.
        max_order: the longest n-gram.
        smooth: add one to the counts (Lin and Och 2004).

    Returns:
        bleu: the score.
        precisions: by order.
        brevity_penalty, length_ratio, translation_length, reference_length: of the shortest reference each.
    """

    url = "https://aclanthology.org/P02-1040/"
    higher_is_better = True

    def _compute(
        self,
        predictions: list[str],
        references: list,
        tokenizer: Callable[[str], list[str]] | None = None,
        max_order: int = 4,
        smooth: bool = False,
        target_lang: str | None = None,
    ) -> dict[str, Any]:
        if why := _base.why_no_texts(predictions, references):
            return self._undefined(["bleu"], why)
        if tokenizer is None:
            name = _languages.bleu_tokenizer(target_lang)
            first = [texts if isinstance(texts, str) else texts[0] for texts in references if texts]
            _languages.tell_if_unspaced(name, first, where="bleu", language=target_lang)
            tokenizer = _tokenizer(name)
        length, reference_length, *counts = _counted(predictions, references, tokenizer, max_order).sum(0).tolist()
        matches, totals = counts[:max_order], counts[max_order:]
        add = 1 if smooth else 0
        precisions = [
            (match + add) / (total + add) if total + add else 0.0 for match, total in zip(matches, totals, strict=True)
        ]
        mean = math.exp(sum(map(math.log, precisions)) / max_order) if min(precisions) > 0 else 0.0
        ratio = length / reference_length if reference_length else 0.0
        penalty = 1.0 if ratio > 1 else math.exp(1 - 1 / ratio) if ratio else 0.0
        return {
            "bleu": mean * penalty,
            "precisions": precisions,
            "brevity_penalty": penalty,
            "length_ratio": ratio,
            "translation_length": length,
            "reference_length": reference_length,
        }

    def _summed(
        self,
        predictions: list[str],
        references: list,
        tokenizer: Callable[[str], list[str]] | None = None,
        max_order: int = 4,
        smooth: bool = False,
        target_lang: str | None = None,
    ) -> dict[str, Summed]:
        from runway.uncertainty.sums import Summed, Sums, plain_bleu_of

        if not len(predictions):
            return {}
        tokenizer = tokenizer or _tokenizer(_languages.bleu_tokenizer(target_lang))
        sums = Sums(_counted(predictions, references, tokenizer, max_order))
        return {"bleu": Summed(sums, partial(plain_bleu_of, add=int(smooth)))}


def _counted(
    predictions: list[str], references: list, tokenizer: Callable[[str], list[str]], max_order: int
) -> np.ndarray:
    """Of each sample the lengths of both texts, then by order the n-grams that match, then those that there are."""
    import numpy as np

    rows = np.zeros((len(predictions), 2 + 2 * max_order), dtype=np.int64)
    for row, prediction, texts in zip(rows, predictions, references, strict=True):
        tokens = tokenizer(prediction)
        right = [tokenizer(text) for text in ([texts] if isinstance(texts, str) else texts)]
        row[:2] = len(tokens), min(map(len, right))
        for order in range(1, max_order + 1):
            most: collections.Counter = collections.Counter()
            for reference in right:
                most |= _ngrams(reference, order)
            found = _ngrams(tokens, order)
            row[1 + order] = sum((found & most).values())
            row[1 + max_order + order] = sum(found.values())
    return rows


def _ngrams(tokens: list[str], order: int) -> collections.Counter:
    return collections.Counter(zip(*(tokens[start:] for start in range(order)), strict=False))


def _tokenizer(name: str) -> Callable[[str], list[str]]:
    from sacrebleu.metrics import BLEU

    tokenize = BLEU(tokenize=name).tokenizer
    return lambda text: tokenize(text).split()
