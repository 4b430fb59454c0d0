"""What a disk does to the store is seen or harmless: the storage driver, short and long."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.storage import faults, full_disks


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_some_damages(tmp_path: Path, kind: str) -> None:
    assert sum(faults(tmp_path, 4, 7, kind).values()) == 4


def test_a_full_disk_is_told_as_one(tmp_path: Path) -> None:
    assert sum(full_disks(tmp_path, 3, 7).values()) == 3


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("kind", ["folder", "file"])
def test_many_damages(tmp_path: Path, kind: str) -> None:
    assert sum(faults(tmp_path / "damages", 600, 11, kind).values()) == 600
    assert sum(full_disks(tmp_path / "disks", 20, 11).values()) == 20
