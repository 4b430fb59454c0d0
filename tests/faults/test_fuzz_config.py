"""Overrides, configs and commands drawn by Hypothesis: each succeeds, or ends in errors of runway's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.fuzz_config import fuzzing
from tests.faults.fuzz_files import LONGEST


def test_the_same_cases_each_time(tmp_path: Path) -> None:
    with fuzzing(tmp_path) as fuzz:
        fuzz.commands(60)
        fuzz.configs(60)
    assert sum(fuzz.cases.values()) >= 100
    assert fuzz.longest < LONGEST


@pytest.mark.long
def test_many_cases(tmp_path: Path) -> None:
    with fuzzing(tmp_path) as fuzz:
        fuzz.commands(2500, seed=1)
        fuzz.configs(2500, seed=1)
    assert sum(fuzz.cases.values()) >= 5000
