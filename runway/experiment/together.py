"""The processes of one run, and what they must agree on: which version, which checkpoint, which folder.

``torchrun`` and ``srun`` start them all at once; Lightning starts the others when the first comes to ``fit`` or
``test``. The first process (rank 0) decides; the others take what it has chosen.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.errors import ConfigError, ExperimentError
from runway.log import warning
from runway.ranks import is_srun, launch, rank

if TYPE_CHECKING:
    import lightning

CHOSEN = "RUNWAY_CHOSEN_"


def check_launch(trainer: lightning.Trainer, where: str) -> None:
    """Hold what the config asks for against what ``torchrun`` or Slurm has started.

    Args:
        trainer: made of the config's arguments.
        where: their config path, for errors.

    Raises:
        ConfigError: the processes would wait for each other for ever, or do the same work twice.
    """
    started, wanted = launch(), processes_of(trainer)
    asked = f"devices={trainer.num_devices}, num_nodes={trainer.num_nodes}"
    if wanted > 1 and started is None and "SLURM_PROCID" in os.environ and _waits_for_slurm():
        raise ConfigError(
            f"this process stands alone in a Slurm job of {os.environ['SLURM_NTASKS']} tasks, and would wait for the "
            "others for ever",
            where=where,
            hint="start it with `srun` in the batch script, as in `srun runway train …`",
        )
    if started is None or (wanted == 1 and where.startswith("test")):
        return
    nodes = _nodes(trainer)
    if started.processes == wanted and (started.by != "srun" or trainer.num_nodes == nodes):
        return
    each = started.processes // nodes
    raise ConfigError(
        f"{started.by} has started {started.processes} processes{f' on {nodes} machines' if nodes > 1 else ''}, "
        f"but {where} asks for {wanted} ({asked})",
        where=where,
        hint=f"set {where}.devices={each}"
        + (f" {where}.num_nodes={nodes}" if nodes > 1 else "")
        + (f" {where}.strategy=ddp" if wanted == 1 else "")
        + f", or have {started.by} start {wanted}",
    )


def processes_of(trainer: lightning.Trainer) -> int:
    """How many processes the Trainer's strategy works with."""
    from lightning.pytorch.strategies import SingleDeviceStrategy

    if isinstance(trainer.strategy, SingleDeviceStrategy):
        return 1
    return trainer.num_devices * trainer.num_nodes


def _waits_for_slurm() -> bool:
    """Whether Lightning takes this process for a task of ``srun``, which it is not."""
    several = os.environ.get("SLURM_NTASKS", "1") not in ("", "1")
    elsewhere = "TORCHELASTIC_RUN_ID" in os.environ or os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")
    return several and not elsewhere and not is_srun()


def _nodes(trainer: lightning.Trainer) -> int:
    for name in ("SLURM_NNODES", "GROUP_WORLD_SIZE"):
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    return trainer.num_nodes


def join(trainer: lightning.Trainer, what: str) -> None:
    """Meet the other processes that a launcher has started, or leave them for a stage that one process does alone.

    Args:
        trainer: of the stage that comes.
        what: the stage, for people.

    Raises:
        ConfigError: it is for another number of processes than there are.
    """
    import torch.distributed as dist

    wanted = processes_of(trainer)
    if wanted > 1:
        _end_alone()
    grouped = dist.is_available() and dist.is_initialized()
    if wanted == 1:
        if grouped:
            _begin_alone()
        elif launch() is not None and not _group:
            warning(f"the {what} is for one process: the others that were started have nothing to do in it")
        return
    if grouped and dist.get_world_size() != wanted:
        raise ConfigError(
            f"the {what} asks for {wanted} processes, but what came before it had {dist.get_world_size()}",
            where=f"{what}.trainer_paras.devices",
            hint=f"use as many, or one; or run the {what} by itself",
        )
    if not grouped and launch() is not None:
        trainer.strategy.setup_environment()


_group: list[Any] = []
"""The group of the processes, while the first one does a stage alone."""


def _begin_alone() -> None:
    """Take the group out of sight: it would have the one process wait for others, and take a part of the rows.

    It is kept, as the others wait in it for the next stage that is theirs, too.
    """
    import torch.distributed as dist

    if not _group:
        atexit.register(_end_alone)  # before Lightning's, which ends the group
    _group[:] = [dist.GroupMember.WORLD]
    dist.GroupMember.WORLD = None


def _end_alone() -> None:
    """Have the group in sight again, if it was not."""
    if _group:
        import torch.distributed as dist

        dist.GroupMember.WORLD = _group.pop()
        atexit.unregister(_end_alone)


def agreed(name: str, choose: Callable[[], str]) -> str:
    """What rank 0 chooses, on every rank.

    Args:
        name: what is chosen; the processes that Lightning will start find it in their environment.
        choose: called on rank 0 only.

    Raises:
        ExperimentError: rank 0 could not choose.
    """
    import torch.distributed as dist

    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        if rank() == 0:
            os.environ[CHOSEN + name] = choose()
        elif CHOSEN + name not in os.environ:
            raise ExperimentError(f"rank {rank()} does not know what rank 0 has chosen as {name}", hint=ALONE)
        return os.environ[CHOSEN + name]
    told: list[str | None] = [None]
    failure: BaseException | None = None
    if rank() == 0:
        try:
            told = [choose()]
        except BaseException as error:
            failure = error
    dist.broadcast_object_list(told, src=0)
    if failure is not None:
        raise failure
    if told[0] is None:
        raise ExperimentError("the first process has failed; its message says why", where=f"rank {rank()}")
    return told[0]


ALONE = "start every process with the same command, by torchrun or srun"


def seen_here(path: Path) -> Path:
    """A path that rank 0 has chosen, where this machine has it, too.

    Raises:
        ExperimentError: it has not.
    """
    if not path.exists():
        raise ExperimentError(
            f"rank {rank()} does not see what rank 0 works with",
            where=str(path),
            hint="the folder of the runs (meta.EXPERIMENT_FOLDER) must be the same on all machines",
        )
    return path
