"""The experiment's config: jsonnet, then late-bound overrides, then checks, then a Config.

The names load on first use: a transform's base class imports ``runway.config.reads`` and pays for
nothing else.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOMES = {
    "ABSENT": "runway.config.reads",
    "Config": "runway.config.config",
    "Reads": "runway.config.reads",
    "RecordedView": "runway.config.reads",
    "check_config": "runway.config.check",
    "diff": "runway.config.rendering",
    "load_config": "runway.config.load",
    "lookup": "runway.config.reads",
    "render": "runway.config.rendering",
}
__all__ = sorted(_HOMES)

if TYPE_CHECKING:
    from runway.config.check import check_config
    from runway.config.config import Config
    from runway.config.load import load_config
    from runway.config.reads import ABSENT, Reads, RecordedView, lookup
    from runway.config.rendering import diff, render


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'runway.config' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
