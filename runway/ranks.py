"""Which of the processes of a distributed run this is."""

from __future__ import annotations

import os


def rank() -> int:
    """This process's rank, known before any process group is there."""
    for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK"):
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    return 0
