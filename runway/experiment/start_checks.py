"""What can be found out about executor, optimiser and config before any data is prepared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning

from runway.config.signatures import accepted_settings, wrong_values
from runway.errors import ConfigError, raise_collected
from runway.executors.base_executor import BaseExecutor
from runway.executors.optimizers import SCHEDULER_PARAMS, check_optimizer_config
from runway.experiment.callbacks.monitored_metric import best_mode
from runway.log import warning


def has_step(cls: type[lightning.LightningModule], name: str) -> bool:
    """Whether the executor defines ``training_step``, ``test_step`` and their like."""
    return getattr(cls, name) is not getattr(lightning.LightningModule, name)


def check_executor(cls: type[lightning.LightningModule], step: str, mode: str, init_kwargs: Mapping[str, Any]) -> None:
    """Check that the executor has the step that a mode is made of, and takes its settings.

    Args:
        cls: the executor's class.
        step: ``training_step`` or ``test_step``.
        mode: what needs it, in words.
        init_kwargs: ``executor.init_kwargs``, held against the annotations of the constructor.

    Raises:
        ConfigError: it does not.
    """
    if not has_step(cls, step):
        raise ConfigError(
            f"the executor {cls.__name__!r} has no `{step}`, which {mode} needs",
            where="executor.ExecutorClass",
            hint=f"define `{step}(self, batch, batch_idx)` in {cls.__module__}.{cls.__qualname__}",
        )
    messages = wrong_values(init_kwargs, accepted_settings(cls, "__init__"))
    hint = f"runway show {cls.__name__}"
    raise_collected([ConfigError(message, where="executor.init_kwargs", hint=hint) for message in messages])


def check_training(cls: type[lightning.LightningModule], config: Mapping[str, Any]) -> None:
    """Check the executor's steps and settings and, where it takes ``train.optimizer_config`` as it is, the optimiser.

    Raises:
        ConfigError: the training could not begin.
    """
    init_kwargs = (config.get("executor") or {}).get("init_kwargs") or {}
    check_executor(cls, "training_step", "training", init_kwargs)
    if config.get("tasks") and not getattr(cls, "takes_tasks", False):
        message = f"the config names tasks, but the executor {cls.__name__!r} does not train several"
        raise ConfigError(message, where="tasks", hint="ExecutorClass: 'MultiTaskExecutor', or `~tasks`")
    if config.get("test") and not has_step(cls, "test_step"):
        warning(
            f"the executor {cls.__name__!r} has no `test_step`: what it trains cannot be tested (`test`)", once=True
        )
    if getattr(cls, "configure_optimizers", None) is BaseExecutor.configure_optimizers:
        optimizer_config = (config.get("train") or {}).get("optimizer_config")
        check_optimizer_config(optimizer_config, cls.part_names(config) if issubclass(cls, BaseExecutor) else None)
        _check_mode_of_schedule((optimizer_config or {}).get("scheduler_params") or {})


def _check_mode_of_schedule(params: Mapping[str, Any]) -> None:
    """A schedule that watches a metric takes the lowest value for the best, unless it is told: ask for it."""
    monitor = params.get("monitor")
    if monitor is None:
        return
    mode = best_mode(monitor, params.get("mode"), SCHEDULER_PARAMS)
    if mode != params.get("mode", "min"):
        message = f"the schedule watches {monitor!r}, whose highest value is the best, but takes the lowest for it"
        raise ConfigError(message, where=f"{SCHEDULER_PARAMS}.mode", hint="add mode: 'max'")
