"""What can be found out about executor, optimiser and config before any data is prepared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import lightning

from runway.config.overrides import format_path
from runway.config.reads import ABSENT
from runway.config.rendering import differences
from runway.config.signatures import accepted_settings, wrong_values
from runway.errors import ConfigError, ExperimentError, raise_collected
from runway.executors.base_executor import BaseExecutor
from runway.executors.optimizers import check_optimizer_config
from runway.experiment.folders.file_names import CONFIG
from runway.experiment.folders.run_folder import RunFolder, as_json, read_json
from runway.log import warning

SHOWN_CHANGES = 5

# What says how long, where and with what display to train, or is for other modes than training.
_MAY_CHANGE = {("meta",), ("exp_version",), ("test",), ("test_suffix",)} | {
    ("train", "trainer_paras", name)
    for name in ("max_epochs", "max_steps", "max_time", "enable_progress_bar", "log_every_n_steps")
}


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
    if config.get("test") and not has_step(cls, "test_step"):
        warning(f"the executor {cls.__name__!r} has no `test_step`: what it trains cannot be tested (`test`)")
    if getattr(cls, "configure_optimizers", None) is BaseExecutor.configure_optimizers:
        check_optimizer_config((config.get("train") or {}).get("optimizer_config"))


def warn_of_changes(run: RunFolder, config: Mapping[str, Any]) -> None:
    """Tell which settings differ from those that the version was trained with so far."""
    try:
        before = read_json(run.train / CONFIG)
    except ExperimentError as error:  # the checkpoint is what counts
        warning(str(error))
        return
    if not isinstance(before, Mapping):
        return
    told = [
        f"{format_path(path)} ({_short(old)} -> {_short(new)})"
        for path, old, new in differences(before, as_json(config))
        if not any(path[: len(prefix)] == prefix for prefix in _MAY_CHANGE)
    ]
    if told:
        more = f" and {len(told) - SHOWN_CHANGES} more" if len(told) > SHOWN_CHANGES else ""
        changes = ", ".join(told[:SHOWN_CHANGES])
        warning(f"--resume: the config differs from that of {run.path.name}: {changes}{more}")


def _short(value: Any) -> str:
    text = "nothing" if value is ABSENT else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:39] + "…"
