"""Exact match, as an ``evaluate.Metric`` that needs no download."""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING, Any

from runway.metrics import _base, _columns

if TYPE_CHECKING:
    import numpy as np

    from runway.uncertainty.sums import Summed


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

    def _column(self, values: Any, what: str) -> Any:
        return values

    def _compute(self, predictions: Any, references: Any, **settings: Any) -> dict[str, Any]:
        if not len(predictions):
            return self._undefined(["exact_match"], "there are no samples")
        return {"exact_match": float(self._same(predictions, references, **settings).mean())}

    def _summed(self, predictions: Any, references: Any, **settings: Any) -> dict[str, Summed]:
        from runway.uncertainty.sums import share

        return {"exact_match": share(self._same(predictions, references, **settings))} if len(predictions) else {}

    def _same(
        self,
        predictions: Any,
        references: Any,
        regexes_to_ignore: list[str] | None = None,
        ignore_case: bool = False,
        ignore_punctuation: bool = False,
        ignore_numbers: bool = False,
    ) -> np.ndarray:
        """Whether each prediction is its reference, shape (samples,)."""
        import numpy as np

        if not (regexes_to_ignore or ignore_case or ignore_punctuation or ignore_numbers):
            return _columns.equal_texts(predictions, references)
        predictions, references = _columns.texts(predictions, "predictions"), _columns.texts(references, "references")
        removed = (string.punctuation if ignore_punctuation else "") + (string.digits if ignore_numbers else "")
        table = str.maketrans("", "", removed)
        patterns = [re.compile(pattern) for pattern in regexes_to_ignore or ()]

        def normal(text: str) -> str:
            for pattern in patterns:
                text = pattern.sub("", text)
            return (text.lower() if ignore_case else text).translate(table)

        pairs = zip(predictions, references, strict=True)
        return np.fromiter((normal(left) == normal(right) for left, right in pairs), bool, len(predictions))
