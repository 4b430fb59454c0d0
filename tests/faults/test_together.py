"""Eight runs that meet in one cache compute each node once: the driver of runs that meet, short and long."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.prepared import told_by


def _told(folder: Path, rounds: int, seed: int) -> str:
    return told_by(1500, "-m", "tests.faults.together", str(folder / "all"), str(rounds), str(seed))


def test_some_meetings(tmp_path: Path) -> None:
    assert "runs 48" in _told(tmp_path, 6, 4)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
def test_many_meetings(tmp_path: Path, seed: int) -> None:
    told = _told(tmp_path, 48, seed)
    print(told)
    assert "runs 384" in told
