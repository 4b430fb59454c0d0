"""Building Lightning's Trainer from ``trainer_paras``, with errors that name the config."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint, ProgressBar
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from runway.errors import ConfigError
from runway.executors.precision import best_precision
from runway.experiment.checkpoint_files import WholeCheckpointIO

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

# What the experiment itself sets.
_OWNED = {
    "callbacks": "name them in `train.callbacks`; runway builds checkpoints and early stopping from "
    "`model_checkpoint_callback_paras` and `early_stopping_callback_paras`, and an executor adds its own in "
    "`configure_callbacks`",
    "logger": "choose loggers with `meta.logger_enable`",
    "default_root_dir": "set `meta.EXPERIMENT_FOLDER`",
}

# Warnings that are true of a good run, too: they hide those that matter.
_NOISE = (
    "does not have many workers",
    "callbacks used to create the checkpoint need to be provided",
    "The number of training batches",
    "Using `DistributedSampler` with the dataloaders",  # what it means is told when rows are merged
    "Total length of .* across ranks is zero",
    "Checkpoint directory .* exists and is not empty",
    "Experiment logs directory .* exists and is not empty",
    "You're resuming from a checkpoint that ended before the epoch ended",
    "module.s. in eval mode at the start of training",
    "The `srun` command is available",
    "`isinstance.treespec, LeafSpec.` is deprecated",
    "`is_gradient_checkpointing` is deprecated",  # peft asks for it
)


# How Lightning says that an accelerator is not there, or not known.
_NO_ACCELERATOR = ("no supported gpu backend", "can not run on your system", "invalid accelerator name")


@contextmanager
def refusals(where: str, accelerator: Any = None) -> Iterator[None]:
    """While something of Lightning's is built: what it refuses becomes an error that names the config.

    Args:
        where: the config path of its arguments.
        accelerator: the one that is asked for.

    Raises:
        ConfigError: Lightning refuses an argument, or this machine does not have the accelerator.
    """
    try:
        yield
    except KeyError as error:
        if not str(error.args[0]).startswith("SLURM_"):
            raise
        message = f"this looks like a task of Slurm's srun, but has no {error.args[0]}"
        raise ConfigError(message, where=where, hint="start it by srun, or unset SLURM_NTASKS") from error
    except (MisconfigurationException, ValueError, TypeError, RuntimeError) as error:
        text = " ".join(str(error).split())
        if accelerator not in (None, "auto", "cpu") and any(sign in text.lower() for sign in _NO_ACCELERATOR):
            raise ConfigError(
                f"this machine has no accelerator {accelerator!r}",
                where=f"{where}.accelerator",
                hint=f"{where}.accelerator=auto takes what there is",
            ) from error
        raise ConfigError(text, where=where, hint=_told_more(text)) from error


def _told_more(text: str) -> str | None:
    """What Lightning does not say of what it refuses."""
    if "your machine only has" in text and os.environ.get("SLURM_STEP_ID"):
        return "each task sees its own GPU only: ask Slurm for --gpus-per-node instead of --gpus-per-task"
    if "`--ntasks-per-node=" in text and os.environ.get("SLURM_NTASKS"):
        return "sbatch and srun take --ntasks-per-node, as many as `devices`"
    return None


def build_trainer(
    given: Mapping[str, Any],
    where: str,
    *,
    callbacks: Sequence[lightning.Callback] = (),
    logger: Sequence[Logger] = (),
    root: Path | None = None,
) -> lightning.Trainer:
    """A Trainer with the arguments of the config and those of the experiment.

    Built with the first two arguments only, before anything is run or written, it says whether this machine can.

    Args:
        given: the config's ``trainer_paras``, any argument of Lightning's Trainer; ``precision: 'auto'`` takes
            the best that the hardware has.
        where: the config path of ``given``, for errors.
        callbacks: what the experiment adds.
        logger: the loggers of the run.
        root: the folder of the run.

    Raises:
        ConfigError: an argument that does not exist, or a value that Lightning refuses on this machine.
    """
    arguments = dict(given)
    for name in arguments:
        if name in _OWNED:
            raise ConfigError(f"{name!r} is not for the config", where=f"{where}.{name}", hint=_OWNED[name])
    arguments.pop("enable_progress_bar", None)  # the experiment has looked at it
    if arguments.get("precision") == "auto":
        arguments["precision"] = best_precision(str(arguments.get("accelerator", "auto")))
    if arguments.get("enable_checkpointing") is False or arguments.get("fast_dev_run"):
        callbacks = [callback for callback in callbacks if not isinstance(callback, Checkpoint)]
    owned: dict[str, Any] = {
        "callbacks": list(callbacks),
        "logger": list(logger),
        "default_root_dir": root,
        "enable_progress_bar": any(isinstance(callback, ProgressBar) for callback in callbacks),
        "enable_model_summary": False,  # runway writes its own
    }
    with refusals(where, arguments.get("accelerator")):
        if not arguments.get("plugins"):
            arguments["plugins"] = slurm_without_requeue()
        trainer = lightning.Trainer(**(owned | arguments))
    if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:  # a strategy may bring another
        trainer.strategy.checkpoint_io = WholeCheckpointIO()
    return trainer


def slurm_without_requeue() -> list[Any]:
    """In a task of Slurm's, Lightning's way into its environment, but without its answer to signals.

    Lightning would save a checkpoint inside the signal handler, in the midst of a step or of another save, and requeue
    the job itself. ``StopWhenAsked`` waits for the end of the step; ``launch/`` requeues.
    """
    from lightning.fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment

    if TorchElasticEnvironment.detect() or not SLURMEnvironment.detect():
        return []
    return [SLURMEnvironment(auto_requeue=False)]


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
