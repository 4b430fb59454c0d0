"""What this machine has for nodes and trials, and how it is dealt out: cores, threads and GPUs."""

from __future__ import annotations

import functools
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from runway.errors import ConfigError

if TYPE_CHECKING:
    from runway.pipeline.graph import Node

VISIBLE = "CUDA_VISIBLE_DEVICES"
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""What numerical libraries read when they are loaded."""


class Machine(NamedTuple):
    """What there is.

    Attributes:
        cpus: the cores that this process may use.
        gpus: the names of the GPUs, as ``CUDA_VISIBLE_DEVICES`` takes them.
    """

    cpus: int
    gpus: tuple[str, ...]


def machine() -> Machine:
    """What this process may use here. Looking for GPUs imports torch, unless ``CUDA_VISIBLE_DEVICES`` tells."""
    return Machine(cpus(), gpus())


@functools.cache
def cpus() -> int:
    """The cores that this process may use: of its affinity and of its container's quota the less."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota()
    return max(1, count if quota is None else min(count, math.ceil(quota)))


def _quota() -> float | None:
    """How many cores a container's control group (version 2 or 1) lets it have; None where it does not say."""
    for limit, period in (("cpu.max", None), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            words = Path("/sys/fs/cgroup", limit).read_text().split()
            words += Path("/sys/fs/cgroup", period).read_text().split() if period else []
            allowed, per = int(words[0]), int(words[1])
        except (OSError, ValueError, IndexError):  # there is none, or it says "max"
            continue
        return allowed / per if allowed > 0 and per > 0 else None
    return None


def gpus() -> tuple[str, ...]:
    """The GPUs that this process may use: those that ``CUDA_VISIBLE_DEVICES`` names and that are there."""
    named = os.environ.get(VISIBLE)
    if named is not None and not named.strip():
        return ()
    count = _gpu_count()
    names = [name.strip() for name in named.split(",")] if named is not None else [str(n) for n in range(count)]
    return tuple(names[:count])  # CUDA ends the list at the first name that it does not know


@functools.cache
def _gpu_count() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def deal_gpus(names: Sequence[str], parallel: int, each: int | None = None) -> list[tuple[str, ...]]:
    """Deal GPUs out evenly to what runs at once.

    Args:
        names: the GPUs.
        parallel: how many run at once.
        each: how many GPUs each of them gets, which share some where there are not enough; by default all are dealt
            out: of two GPUs, four trials get one each, which two of them share; of four, two trials get two each.

    Returns:
        One tuple of GPUs for each; empty ones where there are no GPUs.

    Raises:
        ConfigError: each is to have more than there are.
    """
    if each is not None and each > len(names):
        raise ConfigError(
            f"{each} GPU{'s are' if each > 1 else ' is'} asked for, and this machine has {len(names) or 'none'}",
            hint=f"ask for fewer, or look at {VISIBLE}",
        )
    if each == 0 or not names:
        return [()] * parallel
    if each is None and len(names) < parallel:
        return [(names[number % len(names)],) for number in range(parallel)]
    size = each or len(names) // parallel
    rest = 0 if each is not None else len(names) - size * parallel
    found, start = [], 0
    for number in range(parallel):
        count = size + (number < rest)
        found.append(tuple(names[(start + place) % len(names)] for place in range(count)))
        start += count
    return found


def share_of_cpus(parallel: int, total: int | None = None) -> int:
    """How many threads each of some processes that run at once gets."""
    return max(1, (total or cpus()) // max(1, parallel))


def set_threads(count: int) -> None:
    """Let this process compute with so many threads, in libraries that are loaded and in those that will be."""
    for name in THREADS:
        os.environ[name] = str(count)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].set_cpu_count(count)
    if "numpy" in sys.modules:
        import threadpoolctl

        threadpoolctl.threadpool_limits(count)


def check_gpus(nodes: Iterable[Node], there: float | None = None, *, place: str = "this machine") -> None:
    """Raise before anything runs where a node wants more GPUs than there are.

    Args:
        nodes: those that may run.
        there: how many there are; by default they are counted here, if a node wants any.
        place: what to call where they are.

    Raises:
        ConfigError: a node wants more than there are.
    """
    for node in nodes:
        wanted = wish(node.resources, "num_gpus")
        if not wanted:
            continue
        there = len(gpus()) if there is None else there
        if wanted > there:
            raise ConfigError(
                f"the node {node.name!r} wants {wanted:g} GPU{'' if wanted == 1 else 's'}, "
                f"and {place} has {f'{there:g}' if there else 'none'}",
                where=f"data_pipeline.transforms.{node.name}.resources.num_gpus",
                hint=f"run it where there is one, look at {VISIBLE}, or set num_gpus to 0 if it can do without",
            )


def wish(resources: Mapping[str, float | None], name: str) -> float | None:
    """What a node asks for; None where it says nothing."""
    value = resources.get(name)
    return None if value is None else float(value)
