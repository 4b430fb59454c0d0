"""The metric that a training watches: which of its values is the best, and whether it will ever be there."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from runway.errors import ConfigError, did_you_mean
from runway.executors.lightning_internals import has_validated, validation_batches
from runway.log import warning
from runway.metrics._direction import direction

if TYPE_CHECKING:
    import lightning

_LOADER = "/dataloader_idx_"
_MODES = {"max": "highest", "min": "lowest"}


def best_mode(monitor: str, given: Any, where: str) -> Any:
    """Whether the best of a metric is its highest or its lowest value: ``mode`` as Lightning's callbacks take it.

    Args:
        monitor: the metric's name.
        given: the config's ``mode``; None where it says nothing, and then the name must say it.
        where: the config section of both.

    Raises:
        ConfigError: neither says it. Lightning would take the lowest, whatever the metric is.
    """
    known = direction(monitor)
    if given is not None:
        if known and given in _MODES and given != known:
            said = f"{where}: mode={given} takes the {_MODES[given]} {monitor!r} for the best one, which is the worst"
            warning(f"{said}; leave `mode` out, unless that is meant", once=True)
        return given
    if known is None:
        raise ConfigError(
            f"whether the highest or the lowest {monitor!r} is the best is not known",
            where=f"{where}.mode",
            hint=f"add mode: 'max' (the highest) or mode: 'min' (the lowest) beside monitor: {monitor!r}",
        )
    return known


def check_monitored(
    trainer: lightning.Trainer, monitor: str, where: str, seen: Collection[str], *, chosen: bool = True
) -> None:
    """Find out before the first step whether there will be something to choose or to stop by.

    Args:
        trainer: about to train.
        monitor: the metric that is watched.
        where: its config path.
        seen: the names that the sanity check before the training has logged, none where there was none.
        chosen: somebody asked for this metric.

    Raises:
        ConfigError: it will never be logged, or under other names.
    """
    if not validation_batches(trainer):
        if chosen and monitor.startswith("val"):
            raise ConfigError(
                f"the metric {monitor!r} will never be logged, because there is nothing to validate on",
                where=where,
                hint="give the data a validation split (`dataset.split` in a config of runway/translation.libsonnet), "
                "or set `monitor` to null (and early stopping's, if there is one)",
            )
        return
    of_loaders = sorted(name for name in seen if name.startswith(monitor + _LOADER))
    if chosen and of_loaders and monitor not in seen:
        raise ConfigError(
            f"the metric {monitor!r} will be logged for each of {len(of_loaders)} validation loaders, not for all",
            where=where,
            hint=f"monitor one of them: {', '.join(of_loaders)}; or log it once, in `on_validation_epoch_end`",
        )
    never = why_never_validated(trainer)
    if never is None:
        return
    hint = "raise `train.trainer_paras.max_steps` or `max_epochs`, or lower `val_check_interval`"
    if chosen and (monitor.startswith("val") or monitor in seen):
        raise ConfigError(f"the metric {monitor!r} will never be logged: {never}", where=where, hint=hint)
    what = f"{where}: {monitor!r} will not be there, unless a training step logs it" if chosen else "train"
    warning(f"{what}: {never}; {hint}")


def why_never_validated(trainer: lightning.Trainer) -> str | None:
    """Why a training that starts afresh will end before its first validation; None where it will not, as far as known.

    Batches and steps are counted as Lightning does: an accumulated step ends with the epoch at the latest.
    """
    interval, length = trainer.val_check_batch, trainer.num_training_batches
    if trainer.global_step or not isinstance(interval, int) or length == math.inf:
        return None  # resumed, by time, or without a known length
    epochs = trainer.check_val_every_n_epoch
    first = interval if epochs is None else (epochs - 1) * int(length) + interval  # batches until the validation
    accumulated = trainer.accumulate_grad_batches

    def steps(batches: int) -> int:
        whole, rest = divmod(batches, int(length))
        return whole * math.ceil(length / accumulated) + rest // accumulated

    max_epochs = trainer.max_epochs
    if max_epochs is not None and max_epochs >= 0 and max_epochs * length < first:
        ends = f"{int(max_epochs * length)} batches (max_epochs={max_epochs})"
    elif trainer.max_steps >= 0 and steps(first - 1) >= trainer.max_steps:
        ends = f"{trainer.max_steps} steps (max_steps)"
    else:
        return None
    return (
        f"there will be no validation, since the training ends after {ends}, and the first is due after batch {first}"
    )


def unlogged(trainer: lightning.Trainer, monitor: str) -> bool:
    """Whether nothing logs a metric, though it was due: ``max_steps``, or a resume, can end an epoch unvalidated."""
    was_due = has_validated(trainer) or not validation_batches(trainer)
    return was_due and monitor not in trainer.callback_metrics


def unknown_metric(name: str, logged: Mapping[str, Any], where: str) -> ConfigError:
    """The error about a metric that is not logged, with those that are."""
    hint = did_you_mean(name, logged)
    if not hint.startswith("did you mean"):  # 'acc' for 'accuracy' is too short for difflib
        given = name.lower()
        parts = [known for known in sorted(logged) if given in known.lower() or known.lower() in given]
        if parts:
            hint = "did you mean " + " or ".join(map(repr, parts[:3])) + "?"
        elif logged:
            hint = f"logged are: {', '.join(sorted(logged))}"
        else:
            hint = "nothing is logged: a step does so with `self.log(name, value)`"
    return ConfigError(f"the metric {name!r} is not logged", where=where, hint=hint)
