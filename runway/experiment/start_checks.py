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


def check_step(cls: type[lightning.LightningModule], name: str, mode: str) -> None:
    """Raise where the executor lacks the step that a mode is made of.

    Raises:
        ConfigError: it does.
    """
    if not has_step(cls, name):
        raise ConfigError(
            f"the executor {cls.__name__!r} has no `{name}`, which {mode} needs",
            where="executor.ExecutorClass",
            hint=f"define `{name}(self, batch, batch_idx)` in {cls.__module__}.{cls.__qualname__}",
        )


def check_training(cls: type[lightning.LightningModule], config: Mapping[str, Any]) -> None:
    """Check the executor's steps and settings and, where it takes ``train.optimizer_config`` as it is, the optimiser.

    Raises:
        ConfigError: the training could not begin.
    """
    check_step(cls, "training_step", "training")
    check_settings(cls, (config.get("executor") or {}).get("init_kwargs") or {})
    if config.get("test") and not has_step(cls, "test_step"):
        warning(f"the executor {cls.__name__!r} has no `test_step`: what it trains cannot be tested (`test`)")
    if getattr(cls, "configure_optimizers", None) is BaseExecutor.configure_optimizers:
        check_optimizer_config((config.get("train") or {}).get("optimizer_config"))


def check_settings(cls: type[lightning.LightningModule], init_kwargs: Mapping[str, Any]) -> None:
    """Hold the values of ``executor.init_kwargs`` against the annotations of the executor's constructor.

    Raises:
        ConfigError: it does not take one of them.
    """
    messages = wrong_values(init_kwargs, accepted_settings(cls, "__init__"))
    hint = f"runway show {cls.__name__}"
    raise_collected([ConfigError(message, where="executor.init_kwargs", hint=hint) for message in messages])


def warn_of_changes(run: RunFolder, config: Mapping[str, Any]) -> None:
    """Tell which settings differ from those that the version was trained with so far."""
    try:
        before = read_json(run.train / CONFIG)
    except ExperimentError as error:  # the checkpoint is what counts
        warning(str(error))
        return
    if not isinstance(before, Mapping):
        return
    changes = [change for change in differences(before, as_json(config)) if not _may_change(change[0])]
    if not changes:
        return
    told = [f"{format_path(path)} ({_short(old)} -> {_short(new)})" for path, old, new in changes[:SHOWN_CHANGES]]
    more = f" and {len(changes) - SHOWN_CHANGES} more" if len(changes) > SHOWN_CHANGES else ""
    warning(f"--resume: the config differs from that of {run.path.name}: {', '.join(told)}{more}")


def _may_change(path: tuple) -> bool:
    return any(path[: len(prefix)] == prefix for prefix in _MAY_CHANGE)


def _short(value: Any) -> str:
    text = "nothing" if value is ABSENT else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:39] + "…"
