"""__Title__, on a few rows."""

from __future__ import annotations

from runway.testing import run_transform


def test___name__() -> None:
    (row,) = run_transform("__name__", [{"text": " a film "}])
    assert row == {"text": "a film"}
