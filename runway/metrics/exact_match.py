"""Exact match, as an ``evaluate.Metric`` that needs no download."""

from __future__ import annotations

import re
import string
from typing import Any

from runway.metrics import _base


class ExactMatch(_base.Metric):
    """The share of the predicted texts that equal their reference.

    Args:
        predictions: the predicted texts.
        references: the right texts.
        regexes_to_ignore: patterns that are removed from both before anything else.
        ignore_case: compare in lower case.
        ignore_punctuation: remove punctuation.
        ignore_numbers: remove digits.

    Returns:
        exact_match: the score, from 0 to 1.
    """

    higher_is_better = True

    def _inputs(self) -> list[dict[str, Any]]:
        from datasets import Value

        return [{"predictions": Value("string"), "references": Value("string")}]

    def _compute(
        self,
        predictions: list[str],
        references: list[str],
        regexes_to_ignore: list[str] | None = None,
        ignore_case: bool = False,
        ignore_punctuation: bool = False,
        ignore_numbers: bool = False,
    ) -> dict[str, Any]:
        if not len(predictions):
            return self._undefined(["exact_match"], "there are no samples")
        removed = (string.punctuation if ignore_punctuation else "") + (string.digits if ignore_numbers else "")
        table = str.maketrans("", "", removed)
        patterns = [re.compile(pattern) for pattern in regexes_to_ignore or ()]

        def normal(text: str) -> str:
            for pattern in patterns:
                text = pattern.sub("", text)
            return (text.lower() if ignore_case else text).translate(table)

        same = sum(normal(left) == normal(right) for left, right in zip(predictions, references, strict=True))
        return {"exact_match": same / len(predictions)}
