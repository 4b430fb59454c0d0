"""The metric that checkpoints and early stopping watch: what to say where nothing logs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runway.errors import ConfigError, did_you_mean
from runway.executors.lightning_internals import has_validated, validation_batches

if TYPE_CHECKING:
    import lightning


def check_validation(trainer: lightning.Trainer, monitor: str, where: str) -> None:
    """Raise before the first step, where a metric of the validation is watched and there will be no validation.

    Raises:
        ConfigError: it is.
    """
    if monitor.startswith("val") and not validation_batches(trainer):
        raise ConfigError(
            f"the metric {monitor!r} will never be logged, because there is nothing to validate on",
            where=where,
            hint="give the data a validation split (`dataset.split` in a config of runway/translation.libsonnet), or "
            "set `monitor` to null (and early stopping's, if there is one)",
        )


def validation_was_due(trainer: lightning.Trainer) -> bool:
    """Whether a validation has been: ``max_steps``, or a resume, can end an epoch without one."""
    return has_validated(trainer) or not validation_batches(trainer)


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
