"""What a run writes down sample by sample; it loads on first use, so that the import costs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runway.recorder.recorder import EvalRecorder

__all__ = ["EvalRecorder"]


def __getattr__(name: str) -> Any:
    if name != "EvalRecorder":
        raise AttributeError(f"module 'runway.recorder' has no attribute {name!r}")
    from runway.recorder.recorder import EvalRecorder

    globals()[name] = EvalRecorder
    return EvalRecorder
