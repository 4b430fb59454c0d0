"""What is done to the texts before they are tokenised."""

from __future__ import annotations

import re
from typing import Any

from runway import transform


@transform
def remove_markup(data: Any, column: str = "text") -> Any:
    """Take tags and doubled spaces out of a column of texts.

    Args:
        data: the splits.
        column: the column.
    """
    return data.map(lambda row: {column: tidy(row[column])})


def tidy(text: str) -> str:
    """A text without tags, and with single spaces."""
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())
