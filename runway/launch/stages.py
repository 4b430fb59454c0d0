"""What each job of a submission is to run on: processes, machines and GPUs, from the config and ``--slurm``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runway.errors import ConfigError
from runway.launch.slurm_settings import WHERE, gpus_of

PREPARE, TRAIN, TEST = "prepare", "train", "test"
STAGES = (PREPARE, TRAIN, TEST)
TRIAL, REDUCE = "trial", "reduce"
SWEEP = (PREPARE, TRIAL, REDUCE)
"""The jobs of a sweep: the data of all trials, each trial, and the choice and the test of the best."""
_ONE_TASK = ("ddp_spawn", "ddp_fork", "ddp_notebook")  # strategies that start processes themselves


def stages_of(config: Mapping[str, Any], *, can_test: bool) -> list[str]:
    """The stages that a config has something for.

    Args:
        config: the resolved config.
        can_test: whether what it trains can be tested, also without a section ``test``.
    """
    has = {PREPARE: "data_pipeline", TRAIN: "train", TEST: "test"}
    return [stage for stage in STAGES if config.get(has[stage]) is not None or (stage == TEST and can_test)]


def resources(stage: str, settings: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of one job, with processes and GPUs as its Trainer wants them.

    Args:
        stage: ``prepare``, ``train`` or ``test``, or one of a sweep's.
        settings: what was asked for it.
        config: the resolved config.

    Raises:
        ConfigError: the Trainer is for other machines than the job would have.
    """
    found = {name: value for name, value in settings.items() if name not in ("gpus", "gpus_per_node")}
    if stage == PREPARE:
        found |= {"nodes": 1, "ntasks_per_node": 1}
        return found | (_gpus(settings, 1) if _wants_gpu(config) else {})
    if stage in (TRIAL, REDUCE):
        if int(settings.get("nodes", 1)) > 1:
            message = "a trial is for one machine, but the job would have several"
            raise ConfigError(message, where=WHERE, hint="leave nodes out: the array is spread over machines")
        like = TRAIN if stage == TRIAL or config.get(TEST) is None else TEST
        return resources(like, settings, config) | {"ntasks_per_node": 1}  # Lightning starts the others
    where = f"{stage}.trainer_paras"
    paras = (config.get(stage) or {}).get("trainer_paras") or {}
    nodes = int(settings.get("nodes", 1))
    machines = int(paras.get("num_nodes") or 1)
    if stage == TEST and machines == 1:
        nodes = 1  # a test is for one machine, unless it is told otherwise
    if machines != nodes:
        raise ConfigError(
            f"the job would run on {nodes} machines, but {where}.num_nodes is {machines}",
            where=WHERE,
            hint=f"{where}.num_nodes={nodes}, or --slurm nodes={machines}",
        )
    gpus, kind = gpus_of(settings, int(settings.get("nodes", 1)))
    devices = _devices(paras.get("devices", "auto"))
    if gpus and paras.get("accelerator") == "cpu":
        message = f"the job would have {gpus} GPUs, but {where}.accelerator is 'cpu'"
        raise ConfigError(message, where=WHERE, hint=f"{where}.accelerator=auto, or leave gpus out")
    if (gpus and devices and devices > gpus) or (gpus and devices and stage == TRAIN and devices != gpus):
        raise ConfigError(
            f"each machine of the job would have {gpus} GPUs, but {where}.devices is {devices}",
            where=WHERE,
            hint=f"{where}.devices={gpus} (or auto), or --slurm gpus={devices * nodes}",
        )
    gpus = min(gpus, devices) if devices else gpus
    tasks = devices or gpus or 1
    given = settings.get("ntasks_per_node")
    if given and stage == TRAIN and given != tasks:
        message = f"--slurm ntasks_per_node={given}, but {where} asks for {tasks} processes on each machine"
        raise ConfigError(message, where=WHERE, hint=f"{where}.devices={given}, or leave ntasks_per_node out")
    tasks = 1 if str(paras.get("strategy")) in _ONE_TASK else tasks
    found |= {"nodes": nodes, "ntasks_per_node": tasks}
    return found | ({"gpus_per_node": f"{kind}:{gpus}" if kind else gpus} if gpus else {})


def _devices(value: Any) -> int | None:
    """How many processes on each machine ``devices`` means; None where it is for the machine to say."""
    if isinstance(value, list):
        return len(value)
    if isinstance(value, str) and "," in value:
        return len([part for part in value.split(",") if part.strip()])
    if str(value).lstrip("-").isdigit() and int(value) > 0:
        return int(value)
    return None


def _gpus(settings: Mapping[str, Any], nodes: int) -> dict[str, Any]:
    gpus, kind = gpus_of(settings, nodes)
    return {"gpus_per_node": f"{kind}:{gpus}" if kind else gpus} if gpus else {}


def _wants_gpu(config: Mapping[str, Any]) -> bool:
    nodes = ((config.get("data_pipeline") or {}).get("transforms") or {}).values()
    return any((node.get("resources") or {}).get("num_gpus") for node in nodes)
