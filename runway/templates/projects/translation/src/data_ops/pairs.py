"""Transforms of your own over sentence pairs; none is wired yet."""

from __future__ import annotations

from typing import Any

from runway import transform


@transform
def swap_languages(data: Any) -> Any:
    """Turn pairs around: what was the target is the source.

    Args:
        data: the splits, with the columns `source` and `target`.
    """
    return data.rename_columns({"source": "target", "target": "source"})
