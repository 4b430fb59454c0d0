"""How long something took, by what its provenance says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any


def took(provenance: Mapping[str, Any]) -> float | None:
    """Seconds from start to end; None where it has not ended."""
    try:
        start, end = (datetime.fromisoformat(provenance[name]) for name in ("started", "ended"))
        return max((end - start).total_seconds(), 0.0)
    except (KeyError, TypeError, ValueError):
        return None
