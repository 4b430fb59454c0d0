"""Optimisers and learning-rate schedules by name, from ``train.optimizer_config``."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch
from torch import nn

from runway.config.per_task import SHARED
from runway.errors import ConfigError, did_you_mean, must_be, must_be_known, must_be_whole, told_as_config_error
from runway.library_internals import schedule_function
from runway.log import warning
from runway.registry import Registry

SECTION = "train.optimizer_config"
OPTIMIZER_PARAMS, SCHEDULER_PARAMS = f"{SECTION}.optimizer_params", f"{SECTION}.scheduler_params"

# Schedules of torch that take functions or other schedules, which a config cannot hold.
_UNUSABLE = {"LambdaLR", "MultiplicativeLR", "SequentialLR", "ChainedScheduler", "SWALR"}
_STEPPED_PER_BATCH = {"OneCycleLR", "CyclicLR"}
_NEED_A_METRIC = {"ReduceLROnPlateau", "reduce_lr_on_plateau", "greedy"}
_FUSED, _FUSED_ON = ("Adam", "AdamW"), ("cpu", "cuda")
_STEPS_OF_A_PROBE = 1_000_000
_LIGHTNING_KEYS = ("interval", "frequency", "monitor", "strict")


def known_optimizers() -> dict[str, type[torch.optim.Optimizer]]:
    """Every optimiser that a config can name: all of ``torch.optim``, and transformers' Adafactor."""
    from transformers import Adafactor

    return {**_classes(torch.optim, torch.optim.Optimizer), "Adafactor": Adafactor}


def named_class(place: str, base: type, where: str) -> type:
    """The class at ``package.module:Class``.

    Raises:
        ConfigError: there is none, or it is of another kind.
    """
    try:
        cls = Registry(base.__name__).get(place)
    except ConfigError as error:
        error.where = where
        raise
    if not issubclass(cls, base):
        raise ConfigError(f"{place} is no {base.__name__}", where=where, hint=f"derive it from {base.__module__}")
    return cls


def classes_named(train: Mapping | None) -> list[type]:
    """The optimiser, scheduler and callbacks that ``train`` names by their place: their code counts too."""
    train = train or {}
    config = train.get("optimizer_config") or {}
    named = [config.get("optimizer_name"), config.get("scheduler")]
    named += [item.get("name") if isinstance(item, Mapping) else item for item in train.get("callbacks") or ()]
    return [Registry("class").get(name) for name in named if isinstance(name, str) and ":" in name]


def _classes(module: Any, base: type) -> dict[str, type]:
    """What a module has of a kind, without what a config cannot give."""
    found = {name: cls for name, cls in vars(module).items() if isinstance(cls, type) and issubclass(cls, base)}
    return {name: cls for name, cls in found.items() if cls is not base and name[0] != "_" and name not in _UNUSABLE}


def build_optimizer(
    model: nn.Module,
    config: Mapping | None,
    *,
    fused: bool = False,
    parts: Mapping[str, Sequence[nn.Parameter]] | None = None,
) -> torch.optim.Optimizer:
    """The optimiser over the model's trainable parameters.

    Args:
        model: frozen parameters (LoRA's base weights) are left out.
        config: ``optimizer_name`` (``AdamW`` where none is given), ``optimizer_params`` (its keyword
            arguments), and ``decay_biases_and_norms``: weight decay also on one-dimensional parameters,
            false by default.
        fused: take the fused kernel of Adam and AdamW, where the parameters are on a device that has one.
        parts: the model's parameters by the names of its parts. Each argument may then be an object with a value for
            each part; a group of the optimiser has its part's name as ``name``.

    Raises:
        ConfigError: an unknown optimiser, or arguments that it does not take.
    """
    config = config or {}
    name = config.get("optimizer_name") or "AdamW"
    optimizers = known_optimizers()
    cls: Any = named_class(name, torch.optim.Optimizer, f"{SECTION}.optimizer_name") if ":" in name else None
    if cls is None:
        hint = "your own: package.module:Class"
        must_be_known([name], optimizers, "unknown optimiser", where=f"{SECTION}.optimizer_name", listing=20, hint=hint)
        cls = optimizers[name]
    params = dict(config.get("optimizer_params") or {})
    accepted = _arguments(cls, but=("params",))
    what = f"the optimiser {name}"
    must_be_known(params, accepted, f"{what} has no argument", where=OPTIMIZER_PARAMS, listing=20)

    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trained:
        raise ConfigError("the model has no parameter to train", where=SECTION, hint="every parameter is frozen")
    if fused and name in _FUSED and not params.keys() & {"fused", "foreach", "differentiable"}:
        fits = all(parameter.device.type in _FUSED_ON and parameter.is_floating_point() for parameter in trained)
        params["fused"] = fits or None
    hint = f"it takes: {', '.join(accepted)}"
    if name == "Adafactor":
        hint += "; with an `lr` of your own, it needs `relative_step: false`"
    taking = partial(_taking, what, OPTIMIZER_PARAMS, hint)
    decays_all = config.get("decay_biases_and_norms", False)
    if parts is None:
        with taking():
            return cls(_groups(trained, params, accepted, decays_all), **_tuples(params))
    groups = []
    each = {key: _of_parts(value, parts, f"{OPTIMIZER_PARAMS}.{key}") for key, value in params.items()}
    decays = _of_parts(decays_all, parts, f"{SECTION}.decay_biases_and_norms")
    for part, parameters in parts.items():
        own = {key: values[part] for key, values in each.items() if part in values}
        own_trained = [parameter for parameter in parameters if parameter.requires_grad]
        if own_trained:
            with taking():  # an optimiser of the part alone: it looks at its arguments, and fills in those not given
                alone = cls(_groups(own_trained, own, accepted, decays.get(part, False)), **_tuples(own))
            groups += [{**group, "name": part} for group in alone.param_groups]
    return cls(groups, **_tuples({key: value for key, value in params.items() if not isinstance(value, Mapping)}))


def _of_parts(value: Any, parts: Collection[str], where: str) -> dict[str, Any]:
    """``{part: value}`` of a setting that is given once or per part; a task that it leaves out has the default."""
    if not isinstance(value, Mapping):
        return dict.fromkeys(parts, value)
    must_be_known(value, parts, "there is no task", where=where)
    if SHARED in parts and SHARED not in value:
        message = (
            f"the setting has a value for each task, but none for the encoder that they share: `{SHARED}` is missing"
        )
        raise ConfigError(
            message, where=where, hint=f"write {{ {SHARED}: …, {', '.join(f'{key}: …' for key in value)} }}"
        )
    return dict(value)


def _tuples(params: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with lists as tuples: jsonnet has none, and `betas` must be one."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in params.items()}


def _groups(parameters: list[nn.Parameter], params: Mapping, accepted: Mapping, decays_all: bool) -> list[Any]:
    decay = params.get("weight_decay", accepted.get("weight_decay"))
    return parameters if not decay or decays_all else _decay_groups(parameters)


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
        ConfigError: an unknown schedule, or arguments that it does not take, or arguments without a schedule.
    """
    config = config or {}
    name = config.get("scheduler")
    if name in (None, "", "none", "None"):
        _without_schedule(config)
        return None
    from transformers import SchedulerType

    params = {key: value for key, value in dict(config.get("scheduler_params") or {}).items() if value is not None}
    lightning = {key: params.pop(key) for key in _LIGHTNING_KEYS if key in params}
    of_transformers = {kind.value for kind in SchedulerType}
    of_torch = _classes(torch.optim.lr_scheduler, torch.optim.lr_scheduler.LRScheduler)
    if name in _NEED_A_METRIC:
        lightning = {"monitor": "val_loss", "interval": "epoch", **lightning}
    if any(group.get("lr") is None for group in optimizer.param_groups):
        raise ConfigError(
            f"the scheduler {name!r} needs a learning rate to change, but the optimiser sets its own",
            where=f"{SECTION}.scheduler",
            hint="give `optimizer_params.lr` and `relative_step: false`, or no scheduler",
        )
    if ":" in name:
        own = named_class(name, torch.optim.lr_scheduler.LRScheduler, f"{SECTION}.scheduler")
        return {"scheduler": _torch_schedule(own, optimizer, params, total_steps), "interval": "epoch", **lightning}
    if name in of_transformers:
        scheduler = _transformers_schedule(name, optimizer, params, total_steps)
        return {"scheduler": scheduler, "interval": "step", **lightning}
    if name in of_torch:
        scheduler = _torch_schedule(of_torch[name], optimizer, params, total_steps)
        return {"scheduler": scheduler, "interval": "step" if name in _STEPPED_PER_BATCH else "epoch", **lightning}
    hint = did_you_mean(str(name), {*of_transformers, *of_torch}, listing=40)
    raise ConfigError(f"unknown scheduler {name!r}", where=f"{SECTION}.scheduler", hint=hint)


def _without_schedule(config: Mapping) -> None:
    """Say that a warm-up and its like do nothing; where `scheduler` is not even null it is forgotten, and an error."""
    params = config.get("scheduler_params") or {}
    lost = ", ".join(name for name, value in params.items() if value and name not in _LIGHTNING_KEYS)
    if not lost:
        return
    hint = "`scheduler: 'constant_with_warmup'` warms up and then stays; 'linear' and 'cosine' decay"
    if "scheduler" not in config:
        raise ConfigError(f"no `scheduler` is named that could take {lost}", where=SCHEDULER_PARAMS, hint=hint)
    warning(f"{SCHEDULER_PARAMS} is not used ({lost}), as there is no `scheduler`; {hint}", once=True)


def check_optimizer_config(config: Mapping | None, parts: Collection[str] | None = None) -> None:
    """Find out whether optimiser and schedule can be made, on a parameter of its own: no model is needed.

    Args:
        config: ``train.optimizer_config``.
        parts: the names of the model's parts, where each may have settings of its own.

    Raises:
        ConfigError: an unknown name, an argument that is not taken, or a value of a wrong type.
    """
    sections = [(config, SECTION)]
    if isinstance(config, Mapping):
        sections += [(config.get(name), f"{SECTION}.{name}") for name in ("optimizer_params", "scheduler_params")]
    for section, where in sections:
        must_be(section is None or isinstance(section, Mapping), where, "a mapping", section, where=where)
    config = config or {}
    for name in ("optimizer_name", "scheduler"):
        value, where = config.get(name), f"{SECTION}.{name}"
        must_be(value is None or isinstance(value, str), where, "a name", value, where=where)
    weights = {name: [nn.Parameter(torch.zeros(2, 2))] for name in parts or ("model",)}
    probe = nn.ParameterList(weight for weights_of_part in weights.values() for weight in weights_of_part)
    optimizer = build_optimizer(probe, config, parts=weights if parts else None)
    schedule = build_scheduler(optimizer, config, lambda: _STEPS_OF_A_PROBE)
    if schedule is None:
        return
    interval, monitor, where = schedule["interval"], schedule.get("monitor"), SCHEDULER_PARAMS
    must_be(interval in ("step", "epoch"), "interval", "'step' or 'epoch'", interval, where=where)
    must_be_whole("frequency", schedule.get("frequency", 1), least=1, where=where)
    must_be(monitor is None or isinstance(monitor, str), "monitor", "a metric's name", monitor, where=where)
    name, scheduler = config["scheduler"], schedule["scheduler"]
    by_metric = isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau)
    if by_metric or name not in _NEED_A_METRIC:
        with _taking(f"the scheduler {name!r}", where), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a step before the optimiser's
            scheduler.step(*([0.0] if by_metric else []))  # torch looks at many arguments only then


def _transformers_schedule(
    name: str, optimizer: torch.optim.Optimizer, params: dict[str, Any], total_steps: Callable[[], float]
) -> Any:
    from transformers import get_scheduler

    what, own = f"the scheduler {name!r}", _arguments(schedule_function(name), but=("optimizer", "last_epoch"))
    known = {"num_warmup_steps", "warmup_ratio", "num_training_steps", *own}
    must_be_known(params, known, f"{what} has no argument", where=SCHEDULER_PARAMS, listing=20)

    steps = params.pop("num_training_steps", None)
    must_be(steps is None or _is_number(steps), "num_training_steps", "a whole number", steps, where=SCHEDULER_PARAMS)
    training_steps: float = steps or total_steps()
    warmup_steps = _warmup_steps(params, training_steps)
    if warmup_steps >= training_steps > 0:
        warning(
            f"{SCHEDULER_PARAMS}: the warm-up takes {warmup_steps} steps, but the training has {int(training_steps)}: "
            "the learning rate never reaches its peak",
            once=True,
        )
    if training_steps == math.inf and own.keys() & {"num_training_steps", "num_decay_steps"}:
        raise ConfigError(
            f"{what} must know how many steps there are, but the training has no end",
            where="train.trainer_paras",
            hint="set `max_epochs` or `max_steps`, or `scheduler_params.num_training_steps`",
        )
    if name == "constant" and warmup_steps:
        name = "constant_with_warmup"  # transformers' `constant` would drop the warm-up without a word
    with _taking(what, SCHEDULER_PARAMS):
        return get_scheduler(
            name,
            optimizer,
            num_warmup_steps=warmup_steps,
            num_training_steps=None if training_steps == math.inf else int(training_steps),
            scheduler_specific_kwargs=params or None,
        )


def _warmup_steps(params: dict[str, Any], training_steps: float) -> int:
    steps, ratio, where = params.pop("num_warmup_steps", None), params.pop("warmup_ratio", None), SCHEDULER_PARAMS
    if steps is not None:
        fits = _is_number(steps) and 0 <= steps < math.inf and steps == int(steps)
        hint = "for a part of the training, say `warmup_ratio: 0.1`"
        must_be(fits, "num_warmup_steps", "a whole number from 0", steps, where=where, hint=hint)
        return int(steps)
    if ratio is None:
        return 0
    must_be(_is_number(ratio) and 0 <= ratio <= 1, "warmup_ratio", "between 0 and 1", ratio, where=where)
    if training_steps == math.inf:
        raise ConfigError(
            "`warmup_ratio` is a part of all steps, but the training has no end",
            where=where,
            hint="say `num_warmup_steps`, or set `train.trainer_paras.max_epochs` or `max_steps`",
        )
    return round(ratio * training_steps)


def _torch_schedule(
    cls: type, optimizer: torch.optim.Optimizer, params: dict[str, Any], total_steps: Callable[[], float]
) -> Any:
    what, accepted = f"the scheduler {cls.__name__}", _arguments(cls, but=("optimizer", "last_epoch", "verbose"))
    must_be_known(params, accepted, f"{what} has no argument", where=SCHEDULER_PARAMS, listing=20)
    if cls.__name__ == "OneCycleLR":
        params.setdefault("max_lr", max(group["lr"] for group in optimizer.param_groups))
        if not params.keys() & {"total_steps", "epochs"}:
            params["total_steps"] = int(total_steps())
    with _taking(what, SCHEDULER_PARAMS, f"it takes: {', '.join(accepted)}"):
        return cls(optimizer, **params)


def _taking(what: str, where: str, hint: str | None = None) -> AbstractContextManager[None]:
    """What torch and transformers raise in it for a wrong argument becomes a ConfigError."""
    kinds = (TypeError, ValueError, ArithmeticError, RuntimeError)  # RuntimeError: `fused` and `foreach` at once
    return told_as_config_error(f"{what} does not take these arguments", *kinds, where=where, hint=hint)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _arguments(function: Callable, *, but: Collection[str]) -> dict[str, Any]:
    """The names that ``function`` can be called with, each with its default."""
    parameters = inspect.signature(function).parameters.values()
    return {
        parameter.name: parameter.default
        for parameter in parameters
        if parameter.name not in but and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }
