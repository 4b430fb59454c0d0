"""One run folder for all processes of a distributed run.

The first process (rank 0) claims the version; the others learn its path: from the environment where
Lightning started them, from a file beside the experiments where torchrun or Slurm did.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from runway.disk import replace_text
from runway.errors import ExperimentError
from runway.experiment.folders.file_names import LAUNCHES
from runway.ranks import rank

VARIABLE = "RUNWAY_RUN_FOLDER"
_WAIT_SECONDS = 600.0


def announce(run: Path, root: Path) -> None:
    """Rank 0: tell the others which folder it has claimed."""
    os.environ[VARIABLE] = str(run)
    file = _file(root)
    if file is not None:
        replace_text(file, str(run))


def withdraw(root: Path) -> None:
    """The run is over; only rank 0 has anything to take back."""
    if rank() != 0:
        return
    os.environ.pop(VARIABLE, None)
    file = _file(root)
    if file is not None:
        file.unlink(missing_ok=True)


def announced(root: Path) -> Path:
    """Any other rank: the folder that rank 0 has claimed.

    Raises:
        ExperimentError: rank 0 did not say within ten minutes.
    """
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE])
    file = _file(root)
    deadline = time.monotonic() + _WAIT_SECONDS
    while file is not None and time.monotonic() < deadline:
        if file.is_file():
            return Path(file.read_text(encoding="utf-8"))
        time.sleep(0.2)
    raise ExperimentError(
        f"rank {rank()} does not know the run's folder", where=str(root), hint="did rank 0 fail? its message says why"
    )


def _file(root: Path) -> Path | None:
    job = os.environ.get("TORCHELASTIC_RUN_ID") or os.environ.get("SLURM_JOB_ID")
    if not job or int(os.environ.get("WORLD_SIZE") or os.environ.get("SLURM_NTASKS") or 1) < 2:
        return None
    launch = f"{job}-{os.environ.get('SLURM_STEP_ID', '')}-{os.environ.get('MASTER_PORT', '')}"
    return root / LAUNCHES / "".join(letter if letter.isalnum() else "-" for letter in launch)
