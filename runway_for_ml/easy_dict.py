"""EasyDict: the package's where it is installed, else a dict whose keys are attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:

    class EasyDict(dict[str, Any]):
        """A dict whose keys are attributes."""

        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...
else:
    try:
        from easydict import EasyDict
    except ModuleNotFoundError:
        from runway.config import Config as EasyDict

__all__ = ["EasyDict"]
