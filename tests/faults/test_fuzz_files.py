"""Recorder calls and changed files drawn by Hypothesis: each succeeds, or is one of runway's errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.fuzz_files import LONGEST, Fuzz


def test_the_same_cases_each_time(tmp_path: Path) -> None:
    fuzz = Fuzz(tmp_path)
    fuzz.calls(80)
    fuzz.files(120)
    assert sum(fuzz.cases.values()) >= 150
    assert fuzz.longest < LONGEST


@pytest.mark.long
def test_many_cases(tmp_path: Path) -> None:
    fuzz = Fuzz(tmp_path)
    fuzz.calls(2500, seed=1)
    fuzz.files(2500, seed=1)
    assert sum(fuzz.cases.values()) >= 5000
