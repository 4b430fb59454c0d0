"""What a sweep is asked to do: the config's ``sweep`` section, and what the command says instead."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runway.config.check import check_value
from runway.errors import ConfigError, did_you_mean, must_be
from runway.experiment.folders.run_folder import folder_name
from runway.metrics._direction import direction
from runway.sweep.space import Space, read_space

DEFAULT_METRIC = "val_loss"
GRID, RANDOM, TPE = "grid", "random", "tpe"
PROCESSES, RAY = "processes", "ray"
_LONGEST_NAME = 80


@dataclass(frozen=True)
class SweepSettings:
    """What a sweep is asked to do.

    Args:
        method: ``grid``, ``random`` or ``tpe``.
        space: what it goes over.
        metric: what the best is chosen by, as the training logs it.
        mode: ``min`` or ``max``.
        name: of the folder of its results.
        max_trials: at most so many points (of a grid the first); each is trained once for each seed.
        parallel: so many trials at a time; None: one for each GPU, or one.
        resources: ``num_cpus`` and ``num_gpus`` of one trial.
        prune: which of Optuna's pruners ends trials early, and its arguments; None: none.
        test: ``best``, ``all`` or ``none``: which trials are tested in the end.
        seed: of the points that are drawn.
        runner: where trials run, ``processes`` or ``ray``, and its arguments.
        retry: run those again that failed.
    """

    method: str
    space: Space
    metric: str
    mode: str
    name: str
    max_trials: int | None = None
    parallel: int | None = None
    resources: Mapping[str, float] = field(default_factory=dict)
    prune: Mapping[str, Any] | None = None
    test: str = "best"
    seed: int = 0
    runner: Mapping[str, Any] = field(default_factory=lambda: {"name": PROCESSES})
    retry: bool = False


def read_settings(
    config: Mapping[str, Any], *, grid: Sequence[str] = (), retry: bool = False, **given: Any
) -> SweepSettings:
    """Settings from a config's ``sweep`` section and what a command gives instead.

    Args:
        config: the resolved config, its form checked.
        grid: ``path=values`` each.
        retry: run failed trials again.
        **given: keys of the section; None leaves the section's.

    Raises:
        ConfigError: there is nothing to sweep over, or a setting does not fit.
    """
    section = {**(config.get("sweep") or {}), **{key: value for key, value in given.items() if value is not None}}
    for key, value in section.items():
        wrong = check_value(value, ("sweep", key))
        if wrong is not None:
            wrong.where = wrong.where or f"sweep.{key}"
            raise wrong
    own = (config.get("sweep") or {}).get("runner")
    if isinstance(own, Mapping) and own.get("name") == given.get("runner"):
        section["runner"] = own  # what it says besides of the runner stays
    method = section.get("method") or GRID
    space = read_space(section.get("parameters") or {}, grid, _seeds(section.get("seeds"), config))
    if not space.parameters and not space.seeds:
        hint = "--grid train.batch_size=64,128, or `sweep: { parameters: {...} }` in the config"
        raise ConfigError("there is nothing to sweep over", where="sweep.parameters", hint=hint)
    most = section.get("max_trials")
    if method != GRID and most is None:
        hint = f"--{method} N, or `max_trials: N`"
        raise ConfigError(f"how many trials? {method} draws as many as it is told", where="sweep", hint=hint)
    metric, mode = _objective(section, config)
    return SweepSettings(
        method=method,
        space=space,
        metric=metric,
        mode=mode,
        name=folder_name(section.get("name") or _name_of(space), "sweep.name"),
        max_trials=most,
        parallel=section.get("parallel"),
        resources={key: value for key, value in (section.get("resources") or {}).items() if value is not None},
        prune=_pruner(section.get("prune")),
        test=section.get("test") or "best",
        seed=section.get("seed") or 0,
        runner=_runner(section.get("runner")),
        retry=retry,
    )


def _seeds(given: Any, config: Mapping[str, Any]) -> list[int] | None:
    """``seeds: 3`` are the config's own and the two after it."""
    if given is None or isinstance(given, list):
        return given
    first = int((config.get("meta") or {}).get("seed", 2022))
    return list(range(first, first + given))


def _objective(section: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[str, str]:
    """The metric and its mode: the sweep's own, else what the checkpoints are chosen by."""
    watched = (config.get("train") or {}).get("model_checkpoint_callback_paras") or {}
    metric = section.get("metric") or watched.get("monitor") or DEFAULT_METRIC
    mode = section.get("mode") or (watched.get("mode") if metric == watched.get("monitor") else None)
    mode = mode or direction(metric)
    if mode is None:
        message = f"whether the highest or the lowest {metric!r} is the best is not known"
        hint = "a metric of your own? --mode max (the highest), or --mode min; else see how its name is written"
        raise ConfigError(message, where="sweep.mode", hint=hint)
    must_be(mode in ("min", "max"), "mode", "'min' or 'max'", mode, where="sweep")
    return metric, mode


def _name_of(space: Space) -> str:
    """A name by what is swept over, which stays where values are added: ``batch_size+lr``."""
    paths = sorted(parameter.path for parameter in space.parameters) or ["seed"]
    words = [re.split(r"[.\[\]\"']+", path.rstrip("\"']"))[-1] for path in paths]
    name = "+".join(re.sub(r"[^\w.=-]+", "-", word).strip("-.") or "value" for word in words)
    if len(set(words)) < len(words) or len(name) > _LONGEST_NAME:
        name = f"{name[:_LONGEST_NAME]}-{hashlib.blake2b(repr(paths).encode(), digest_size=4).hexdigest()}"
    return name


def _pruner(given: Any) -> dict[str, Any] | None:
    if not given:
        return None
    return {"pruner": "median"} if given is True else {"pruner": "median", **given}


def _runner(given: Any) -> dict[str, Any]:
    found = {"name": given} if isinstance(given, str) else {"name": PROCESSES, **(given or {})}
    for key in found:
        if key not in ("name", "address"):
            raise ConfigError(
                f"unknown key `sweep.runner.{key}`", where="sweep", hint=did_you_mean(key, ["name", "address"])
            )
    must_be(found["name"] in (PROCESSES, RAY), "runner", "'processes' or 'ray'", found["name"], where="sweep")
    return found
