"""A prepare that was killed anywhere ends as one that never was: the kills driver, short and long."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.kills import WAYS
from tests.faults.prepared import LIGHT, told_by

DRIVE = """
import sys
from pathlib import Path
from tests.faults import kills
folder, count, seed, *kinds = sys.argv[1:]
print(kills.figures(kills.drive(Path(folder), int(count), int(seed), kinds, kills.WAYS)))
"""


def test_some_kills(tmp_path: Path) -> None:
    assert told_by(300, "-c", DRIVE, str(tmp_path), str(2 * len(WAYS)), "3", *LIGHT).startswith(
        f"{2 * len(WAYS)} kills"
    )


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
def test_many_kills_over_all_formats(tmp_path: Path, seed: int) -> None:
    told = told_by(3000, "-m", "tests.faults.kills", str(tmp_path / "all"), "100", str(seed))
    print(told)
    assert told.startswith("100 kills")
