"""``create_dirs``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def create_dirs(dirs: Iterable[str | Path]) -> None:
    """Make folders, with those above them, where they are not there."""
    for folder in dirs:
        Path(folder).mkdir(parents=True, exist_ok=True)
