"""A training that was stopped anywhere, by anything, ends as one that never was: the stops driver, short and long."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _drive(folder: Path, stops: int, seed: int, seconds: int, ranks: int = 1) -> str:
    """Run the driver in a process of its own: it forks, and workers and pytest's process do not mix."""
    command = [sys.executable, "-m", "tests.faults.stops", str(folder), str(stops), str(seed), str(ranks)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_some_stops(tmp_path: Path) -> None:
    assert _drive(tmp_path, stops=6, seed=3, seconds=300).startswith("6 stops")


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
def test_many_stops(tmp_path: Path, seed: int) -> None:
    told = _drive(tmp_path, stops=60, seed=seed, seconds=1500)
    print(told)
    assert told.startswith("60 stops")


@pytest.mark.slow
@pytest.mark.long
def test_stops_over_two_ranks(tmp_path: Path) -> None:
    assert _drive(tmp_path, stops=10, seed=1, seconds=1500, ranks=2).startswith("10 stops")
