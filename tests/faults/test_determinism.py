"""One config and seed make one result, whatever process they run in: the determinism driver, short and long."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import storage
from tests.faults.determinism import OWN_NODES, RAY, RUNNERS, prepares, trainings
from tests.faults.prepared import LIGHT


def test_entries_are_the_same(tmp_path: Path) -> None:
    runners = [RUNNERS[0], RUNNERS[2]]
    assert prepares(tmp_path, 5, 3, LIGHT, runners, heavy=False) == 3 * (2 * len(LIGHT) + len(OWN_NODES))


@pytest.mark.slow
@pytest.mark.long
def test_entries_of_all_formats_and_metrics_are_the_same(tmp_path: Path) -> None:
    assert prepares(tmp_path, 1, 8, storage.values()) > 0
    assert trainings(tmp_path, 1, 4) > 0


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.long
def test_entries_of_ray_are_those_of_serial(tmp_path: Path) -> None:
    runners = [RUNNERS[0], RAY]
    assert prepares(tmp_path, 2, 2, LIGHT, runners, heavy=False) == 2 * (2 * len(LIGHT) + len(OWN_NODES))
