"""Which of the processes of a distributed run this is."""

from __future__ import annotations

import os
import sys


def rank() -> int:
    """This process's rank: in the process group where there is one, else what its launcher has told it."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank()
    for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK"):
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    return 0
