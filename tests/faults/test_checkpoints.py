"""Writes that are killed, files of a run that are damaged, resets and resumes at once: the driver, short and long."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _drive(folder: Path, kills: int, seed: int, seconds: int) -> str:
    """Run the driver in a process of its own: it forks, and pytest's threads do not."""
    command = [sys.executable, "-m", "tests.faults.checkpoints", str(folder), str(kills), str(seed)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_some_kills_and_damages(tmp_path: Path) -> None:
    assert _drive(tmp_path, kills=3, seed=1, seconds=300).startswith("3 kills inside a write")


@pytest.mark.slow
@pytest.mark.long
def test_many_kills_and_damages(tmp_path: Path) -> None:
    told = _drive(tmp_path, kills=200, seed=2, seconds=3000)
    print(told)
    assert told.startswith("200 kills inside a write")
