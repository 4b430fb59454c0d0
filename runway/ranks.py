"""Which of the processes of a distributed run this is, and how many its launcher has started."""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

_RANKS = ("SLURM_PROCID", "LOCAL_RANK", "NODE_RANK", "JSM_NAMESPACE_RANK", "OMPI_COMM_WORLD_RANK")


class Launch(NamedTuple):
    """What started this process together with others.

    Args:
        by: the launcher's name, for people.
        processes: how many it has started.
    """

    by: str
    processes: int


def rank() -> int:
    """This process's rank: in the process group where there is one, else what its launcher has told it.

    Only the first process of all is 0. Before the process group is made, those that Lightning starts on several
    machines may give another number than they get in it.
    """
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank()
    if os.environ.get("RANK", "").isdigit():
        return int(os.environ["RANK"])
    # In a shell on a cluster, Slurm's says 0 also to the processes that Lightning starts there: the highest counts.
    return max((int(os.environ[name]) for name in _RANKS if os.environ.get(name, "").isdigit()), default=0)


def launch() -> Launch | None:
    """What has started several processes of this command; None where it was started once.

    Processes that Lightning starts by itself are not meant: they follow what the first one does.
    """
    environment = os.environ
    if "TORCHELASTIC_RUN_ID" in environment and _number("WORLD_SIZE") > 1:
        return Launch("torchrun", _number("WORLD_SIZE"))
    if is_srun() and _number("SLURM_NTASKS") > 1:
        return Launch("srun", _number("SLURM_NTASKS"))
    return None


def is_srun() -> bool:
    """Whether this is a task of Slurm's ``srun``, and not a shell or a batch script of a job."""
    interactive = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")  # as Lightning tells them apart
    return "SLURM_PROCID" in os.environ and "SLURM_STEP_ID" in os.environ and not interactive


def _number(name: str) -> int:
    value = os.environ.get(name, "")
    return int(value) if value.isdigit() else 1
