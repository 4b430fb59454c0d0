"""Building Lightning's Trainer from ``trainer_paras``, with errors that name the config."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import lightning
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from runway.errors import ConfigError, did_you_mean

# What the experiment itself sets.
_OWNED = {
    "callbacks": "runway builds them from `model_checkpoint_callback_paras` and `early_stopping_callback_paras`; "
    "an executor adds its own in `configure_callbacks`",
    "logger": "choose loggers with `meta.logger_enable`",
    "default_root_dir": "set `meta.EXPERIMENT_FOLDER`",
}

# Warnings that are true of a good run, too: they hide those that matter.
_NOISE = (
    "does not have many workers",
    "callbacks used to create the checkpoint need to be provided",
    "The number of training batches",
    "Total length of .* across ranks is zero",
    "Checkpoint directory .* exists and is not empty",
    "Experiment logs directory .* exists and is not empty",
    "You're resuming from a checkpoint that ended before the epoch ended",
    "module.s. in eval mode at the start of training",
    "Trying to infer the `batch_size`",
    "The `srun` command is available",
    "`isinstance.treespec, LeafSpec.` is deprecated",
    "`is_gradient_checkpointing` is deprecated",  # peft asks for it
)


def accepted_arguments(cls: type) -> list[str]:
    """The names of the keyword arguments of a class of Lightning's."""
    return [name for name in inspect.signature(cls).parameters]


def check_arguments(given: Mapping[str, Any], accepted: Collection[str], where: str) -> None:
    """Raise a ConfigError for the first argument that is not accepted."""
    for name in given:
        if name not in accepted:
            raise ConfigError(f"unknown key {name!r}", where=f"{where}.{name}", hint=did_you_mean(name, accepted))


def build_trainer(given: Mapping[str, Any] | None, where: str, **owned: Any) -> lightning.Trainer:
    """A Trainer with the arguments of the config and those of the experiment.

    Args:
        given: the config's ``trainer_paras``, any argument of Lightning's Trainer; ``precision: 'auto'`` takes
            the best that the hardware has.
        where: the config path of ``given``, for errors.
        **owned: what the experiment sets: ``callbacks``, ``logger``, ``default_root_dir`` and defaults.

    Raises:
        ConfigError: an argument that does not exist, or a value that Lightning refuses on this machine.
    """
    arguments = dict(given or {})
    check_arguments(arguments, accepted_arguments(lightning.Trainer), where)
    for name in arguments:
        if name in _OWNED:
            raise ConfigError(f"{name!r} is not for the config", where=f"{where}.{name}", hint=_OWNED[name])
    arguments.pop("enable_progress_bar", None)  # the experiment has looked at it
    if arguments.get("precision") == "auto":
        from runway.executors.precision import best_precision

        arguments["precision"] = best_precision(str(arguments.get("accelerator", "auto")))
    if arguments.get("enable_checkpointing") is False or arguments.get("fast_dev_run"):
        owned["callbacks"] = [
            callback
            for callback in owned.get("callbacks", [])
            if not isinstance(callback, lightning.pytorch.callbacks.Checkpoint)
        ]
    try:
        return lightning.Trainer(**(owned | arguments))
    except (MisconfigurationException, ValueError, TypeError, RuntimeError) as error:
        raise _refused(error, arguments, where) from error


def check_trainer(given: Mapping[str, Any] | None, where: str) -> None:
    """Find out whether a Trainer can be built on this machine, before anything is run or written.

    Raises:
        ConfigError: it cannot.
    """
    build_trainer(given, where, logger=False, callbacks=[], **QUIET)


QUIET: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False}
"""What runway shows in its own way."""


# How Lightning says that an accelerator is not there, or not known.
_NO_ACCELERATOR = ("no supported gpu backend", "can not run on your system", "invalid accelerator name")


def _refused(error: Exception, arguments: Mapping[str, Any], where: str) -> ConfigError:
    text = " ".join(str(error).split())
    accelerator = arguments.get("accelerator")
    if accelerator not in (None, "auto", "cpu") and any(sign in text.lower() for sign in _NO_ACCELERATOR):
        return ConfigError(
            f"this machine has no accelerator {accelerator!r}",
            where=f"{where}.accelerator",
            hint=f"{where}.accelerator=auto takes what there is",
        )
    return ConfigError(text, where=where)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Without Lightning's tips and the warnings that say nothing."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric", "pytorch_lightning")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in _NOISE:
                warnings.filterwarnings("ignore", message=f".*{message}")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
