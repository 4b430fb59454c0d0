"""The experiment __name__, on a few batches."""

from __future__ import annotations

from pathlib import Path

from runway.testing import __check__

CONFIG = Path(__file__).resolve().parents[1] / "configs" / "__name__.jsonnet"


__test__
