"""The command line: ``runway …`` and ``python src/main.py …``, one file per command family."""

from __future__ import annotations

from runway.cli.app import main

__all__ = ["main"]
