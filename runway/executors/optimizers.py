"""Optimisers and learning-rate schedules by name, from ``train.optimizer_config``."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn

from runway.errors import ConfigError, did_you_mean
from runway.log import warning

PLACE = "train.optimizer_config"

# Schedules of torch that take functions or other schedules, which a config cannot hold.
_NOT_FROM_CONFIG = {"LambdaLR", "MultiplicativeLR", "SequentialLR", "ChainedScheduler", "LRScheduler", "SWALR"}
_STEPPED_PER_BATCH = {"OneCycleLR", "CyclicLR"}
_NEED_A_METRIC = {"ReduceLROnPlateau", "reduce_lr_on_plateau", "greedy"}
_FUSED, _FUSED_ON = ("Adam", "AdamW"), ("cpu", "cuda")
_STEPS_OF_A_PROBE = 1_000_000
_LIGHTNING_KEYS = ("interval", "frequency", "monitor", "strict")


def known_optimizers() -> dict[str, type[torch.optim.Optimizer]]:
    """Every optimiser that a config can name: all of ``torch.optim``, and transformers' Adafactor."""
    from transformers.optimization import Adafactor

    known = {
        name: cls
        for name, cls in vars(torch.optim).items()
        if isinstance(cls, type) and issubclass(cls, torch.optim.Optimizer) and cls is not torch.optim.Optimizer
    }
    return {**known, "Adafactor": Adafactor}


def build_optimizer(model: nn.Module, config: Mapping | None, *, fused: bool = False) -> torch.optim.Optimizer:
    """The optimiser over the model's trainable parameters.

    Args:
        model: frozen parameters (LoRA's base weights) are left out.
        config: ``optimizer_name`` (``AdamW`` where none is given), ``optimizer_params`` (its keyword
            arguments), and ``decay_biases_and_norms``: weight decay also on one-dimensional parameters,
            false by default.
        fused: take the fused kernel of Adam and AdamW, where the parameters are on a device that has one.

    Raises:
        ConfigError: an unknown optimiser, or arguments that it does not take.
    """
    config = config or {}
    name = config.get("optimizer_name") or "AdamW"
    optimizers = known_optimizers()
    if name not in optimizers:
        raise ConfigError(
            f"unknown optimiser {name!r}",
            where=f"{PLACE}.optimizer_name",
            hint=did_you_mean(name, optimizers, listing=20),
        )
    cls = optimizers[name]
    params = dict(config.get("optimizer_params") or {})
    accepted = _arguments(cls, but=("params",))
    _check_names(params, accepted, what=f"the optimiser {name}", where=f"{PLACE}.optimizer_params")

    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trained:
        raise ConfigError("the model has no parameter to train", where=PLACE, hint="every parameter is frozen")
    if fused and name in _FUSED and not params.keys() & {"fused", "foreach", "differentiable"}:
        fits = all(parameter.device.type in _FUSED_ON and parameter.is_floating_point() for parameter in trained)
        params["fused"] = fits or None
    decay = params.get("weight_decay", accepted.get("weight_decay"))
    split = bool(decay) and not config.get("decay_biases_and_norms", False)
    try:
        return cls(_decay_groups(trained) if split else trained, **_tuples(params))
    except (TypeError, ValueError, RuntimeError) as error:  # RuntimeError: `fused` and `foreach` at once
        hint = f"it takes: {', '.join(accepted)}"
        if "relative_step" in str(error):
            hint = "with an `lr` of your own, Adafactor needs `relative_step: false`"
        raise ConfigError(
            f"the optimiser {name} does not take these arguments: {error}", where=f"{PLACE}.optimizer_params", hint=hint
        ) from error


def _decay_groups(parameters: list[nn.Parameter]) -> list[dict[str, Any]]:
    """Weight decay on matrices only: on biases and norms it pulls towards nothing useful."""
    groups: list[dict[str, Any]] = [
        {"params": [parameter for parameter in parameters if parameter.ndim >= 2]},
        {"params": [parameter for parameter in parameters if parameter.ndim < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def build_scheduler(
    optimizer: torch.optim.Optimizer, config: Mapping | None, total_steps: Callable[[], float]
) -> dict[str, Any] | None:
    """The schedule, as the dict that Lightning's ``configure_optimizers`` gives.

    Args:
        optimizer: what it drives.
        config: ``scheduler``, a name of ``transformers.get_scheduler`` (linear, cosine, constant, …) or a
            class of ``torch.optim.lr_scheduler``, and ``scheduler_params``: ``num_warmup_steps`` or
            ``warmup_ratio`` (a part of all steps), ``num_training_steps`` (all steps of the run by
            default), the schedule's own arguments, and Lightning's ``interval``, ``frequency``, ``monitor``.
        total_steps: gives the optimiser steps of the whole run; called only where a schedule needs them.

    Returns:
        None where the config names no scheduler.

    Raises:
        ConfigError: an unknown schedule, or arguments that it does not take.
    """
    config = config or {}
    name = config.get("scheduler")
    if name in (None, "", "none", "None"):
        return None
    from transformers import SchedulerType

    params = {key: value for key, value in dict(config.get("scheduler_params") or {}).items() if value is not None}
    lightning = {key: params.pop(key) for key in _LIGHTNING_KEYS if key in params}
    of_transformers = {kind.value for kind in SchedulerType}
    of_torch = _torch_schedules()
    if name in _NEED_A_METRIC:
        lightning = {"monitor": "val_loss", "interval": "epoch", **lightning}
    if any(group.get("lr") is None for group in optimizer.param_groups):
        raise ConfigError(
            f"the scheduler {name!r} needs a learning rate to change, but the optimiser sets its own",
            where=f"{PLACE}.scheduler",
            hint="give `optimizer_params.lr` and `relative_step: false`, or no scheduler",
        )
    if name in of_transformers:
        scheduler = _transformers_schedule(name, optimizer, params, total_steps)
        return {"scheduler": scheduler, "interval": "step", **lightning}
    if name in of_torch:
        scheduler = _torch_schedule(of_torch[name], optimizer, params, total_steps)
        return {"scheduler": scheduler, "interval": "step" if name in _STEPPED_PER_BATCH else "epoch", **lightning}
    hint = did_you_mean(str(name), {*of_transformers, *of_torch}, listing=40)
    raise ConfigError(f"unknown scheduler {name!r}", where=f"{PLACE}.scheduler", hint=hint)


def check_optimizer_config(config: Mapping | None) -> None:
    """Find out whether optimiser and schedule can be made, on a parameter of its own: no model is needed.

    Raises:
        ConfigError: an unknown name, an argument that is not taken, or a value of a wrong type.
    """
    sections = [(config, PLACE)]
    if isinstance(config, Mapping):
        sections += [(config.get(name), f"{PLACE}.{name}") for name in ("optimizer_params", "scheduler_params")]
    for section, place in sections:
        if section is not None and not isinstance(section, Mapping):
            raise ConfigError(f"`{place}` must be a mapping, but is {section!r} instead", where=place)
    config = config or {}
    for name in ("optimizer_name", "scheduler"):
        if config.get(name) is not None and not isinstance(config[name], str):
            place = f"{PLACE}.{name}"
            raise ConfigError(f"`{place}` must be a name, but is {config[name]!r} instead", where=place)
    probe = nn.Module()
    probe.weight = nn.Parameter(torch.zeros(2, 2))
    optimizer = build_optimizer(probe, config)
    schedule = build_scheduler(optimizer, config, lambda: _STEPS_OF_A_PROBE)
    if schedule is not None:
        _check_for_lightning(schedule)
        _probe_schedule(schedule["scheduler"], str(config["scheduler"]))


def _check_for_lightning(schedule: Mapping[str, Any]) -> None:
    place = f"{PLACE}.scheduler_params"
    interval, frequency, monitor = schedule["interval"], schedule.get("frequency", 1), schedule.get("monitor")
    if interval not in ("step", "epoch"):
        raise ConfigError(f"`interval` must be 'step' or 'epoch', but is {interval!r} instead", where=place)
    if isinstance(frequency, bool) or not isinstance(frequency, int) or frequency < 1:
        raise ConfigError(f"`frequency` must be a whole number from 1, but is {frequency!r} instead", where=place)
    if monitor is not None and not isinstance(monitor, str):
        raise ConfigError(f"`monitor` must be a metric's name, but is {monitor!r} instead", where=place)


def _probe_schedule(scheduler: Any, name: str) -> None:
    """Make a step: torch looks at many arguments only then."""
    by_metric = isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau)
    if name in _NEED_A_METRIC and not by_metric:
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a step before the optimiser's
            scheduler.step(*([0.0] if by_metric else []))
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise ConfigError(
            f"the scheduler {name!r} does not take these arguments: {error}", where=f"{PLACE}.scheduler_params"
        ) from error


def _transformers_schedule(
    name: str, optimizer: torch.optim.Optimizer, params: dict[str, Any], total_steps: Callable[[], float]
) -> Any:
    from transformers import SchedulerType, get_scheduler
    from transformers.optimization import TYPE_TO_SCHEDULER_FUNCTION

    place = f"{PLACE}.scheduler_params"
    steps_keys = ("num_warmup_steps", "warmup_ratio", "num_training_steps")
    function: Any = TYPE_TO_SCHEDULER_FUNCTION[SchedulerType(name)]
    own = _arguments(function, but=("optimizer", "last_epoch"))
    _check_names(params, [*steps_keys, *own], what=f"the scheduler {name!r}", where=place)

    given_steps = params.pop("num_training_steps", None)
    if given_steps is not None and (isinstance(given_steps, bool) or not isinstance(given_steps, int | float)):
        raise ConfigError(f"`num_training_steps` must be a whole number, but is {given_steps!r} instead", where=place)
    training_steps: float = given_steps or total_steps()
    warmup_steps = _warmup_steps(params, training_steps, place)
    if warmup_steps >= training_steps > 0:
        warning(
            f"{place}: the warm-up takes {warmup_steps} steps, but the training has {int(training_steps)}: "
            "the learning rate never reaches its peak",
            once=True,
        )
    if training_steps == float("inf") and ("num_training_steps" in own or "num_decay_steps" in own):
        raise ConfigError(
            f"the scheduler {name!r} must know how many steps there are, but the training has no end",
            where="train.trainer_paras",
            hint="set `max_epochs` or `max_steps`, or `scheduler_params.num_training_steps`",
        )
    if name == "constant" and warmup_steps:
        name = "constant_with_warmup"  # transformers' `constant` would drop the warm-up without a word
    try:
        return get_scheduler(
            name,
            optimizer,
            num_warmup_steps=warmup_steps,
            num_training_steps=None if training_steps == float("inf") else int(training_steps),
            scheduler_specific_kwargs=params or None,
        )
    except (TypeError, ValueError) as error:
        raise ConfigError(f"the scheduler {name!r} cannot be made: {error}", where=place) from error


def _warmup_steps(params: dict[str, Any], training_steps: float, place: str) -> int:
    steps, ratio = params.pop("num_warmup_steps", None), params.pop("warmup_ratio", None)
    if steps is not None:
        if isinstance(steps, bool) or not isinstance(steps, int | float) or steps < 0 or steps != int(steps):
            raise ConfigError(
                f"`num_warmup_steps` must be a whole number from 0, but is {steps!r} instead",
                where=place,
                hint="for a part of the training, say `warmup_ratio: 0.1`",
            )
        return int(steps)
    if ratio is None:
        return 0
    if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 0 <= ratio <= 1:
        raise ConfigError(f"`warmup_ratio` must be between 0 and 1, but is {ratio!r} instead", where=place)
    if training_steps == float("inf"):
        raise ConfigError(
            "`warmup_ratio` is a part of all steps, but the training has no end",
            where=place,
            hint="say `num_warmup_steps`, or set `train.trainer_paras.max_epochs` or `max_steps`",
        )
    return round(ratio * training_steps)


def _torch_schedule(
    cls: type, optimizer: torch.optim.Optimizer, params: dict[str, Any], total_steps: Callable[[], float]
) -> Any:
    place = f"{PLACE}.scheduler_params"
    accepted = _arguments(cls, but=("optimizer", "last_epoch", "verbose"))
    _check_names(params, accepted, what=f"the scheduler {cls.__name__}", where=place)
    if cls.__name__ == "OneCycleLR":
        params.setdefault("max_lr", max(group["lr"] for group in optimizer.param_groups))
        if not params.keys() & {"total_steps", "epochs"}:
            params["total_steps"] = int(total_steps())
    try:
        return cls(optimizer, **params)
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigError(
            f"the scheduler {cls.__name__} does not take these arguments: {error}",
            where=place,
            hint=f"it takes: {', '.join(accepted)}",
        ) from error


def _torch_schedules() -> dict[str, type]:
    schedules = torch.optim.lr_scheduler
    return {
        name: cls
        for name, cls in vars(schedules).items()
        if isinstance(cls, type) and issubclass(cls, schedules.LRScheduler) and name[0] != "_"
        if name not in _NOT_FROM_CONFIG
    }


def _arguments(function: Callable, *, but: Iterable[str]) -> dict[str, Any]:
    """The names that ``function`` can be called with, each with its default."""
    parameters = inspect.signature(function).parameters.values()
    return {
        parameter.name: parameter.default
        for parameter in parameters
        if parameter.name not in but and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }


def _check_names(given: Iterable[str], accepted: Iterable[str], *, what: str, where: str) -> None:
    known = sorted(set(accepted))
    for name in given:
        if name not in known:
            close = did_you_mean(name, known, listing=0)
            hint = f"it takes: {', '.join(known)}"
            raise ConfigError(
                f"{what} has no argument {name!r}", where=where, hint=f"{close} {hint}" if "mean" in close else hint
            )


def _tuples(params: dict[str, Any]) -> dict[str, Any]:
    """Lists as tuples: jsonnet has no tuples, and ``betas`` must be one."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in params.items()}
