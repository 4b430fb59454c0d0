"""Many runs as a table: what each is, what it reached, how long it took; sorted and chosen by metrics and settings."""

from __future__ import annotations

import operator as operators
import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from runway.errors import ConfigError, ExperimentError, did_you_mean
from runway.experiment.folders import file_names
from runway.experiment.folders.run_folder import read_json
from runway.experiment.folders.runs import FoundRun, find_runs
from runway.log import human_seconds
from runway.report.durations import took
from runway.transforms.datasets.conditions import Condition, parse_conditions

MAIN = 4
"""Metrics that are shown where none is named."""
_LARGEST_HISTORY = 5_000_000  # bytes; the validations of a longer training are in its report


@dataclass(frozen=True)
class ListedRun:
    """A run, as a list shows it; its files are read when something of them is asked for."""

    found: FoundRun

    @property
    def name(self) -> str:
        """The version's name."""
        return self.found.path.name

    @property
    def state(self) -> str:
        """How its training has ended, or what it is doing."""
        return str(self.found.training.get("status", "not trained"))

    @cached_property
    def tested(self) -> tuple[str, dict[str, Any]]:
        """What its metrics are of, in words, and the metrics: of its last finished test, else of its training."""
        path = self.found.path
        files = [path / file_names.TEST / name / file_names.METRICS for name in self.found.tests]
        there = [(file.stat().st_mtime_ns, file) for file in files if file.exists()]
        if there:
            newest = max(there)[1]
            return newest.parent.name, _numbers(_read(newest, {}))
        history = path / file_names.TRAIN / file_names.METRICS_HISTORY
        metrics: dict[str, Any] = {}
        if history.exists() and history.stat().st_size <= _LARGEST_HISTORY:
            for entry in _read(history, []):
                metrics |= entry.get("metrics", {})
        return ("none: of the training" if metrics else ""), _numbers(metrics)

    @cached_property
    def config(self) -> dict[str, Any]:
        """The config that it was trained with, else tested with."""
        path, training = self.found.path, self.found.training
        if training:
            return _read(path / file_names.TRAIN / str(training.get("config") or file_names.CONFIG), {})
        return _read(next(iter(sorted((path / file_names.TEST).glob(f"*/{file_names.CONFIG}"))), path), {})

    @cached_property
    def seconds(self) -> float | None:
        """How long its training took."""
        return took(self.found.training)

    @property
    def report(self) -> Path | None:
        """Its report, where one was written."""
        path = self.found.path / file_names.REPORT
        return path if path.is_file() else None

    def value(self, name: str) -> Any:
        """A fact, a metric or a setting.

        Args:
            name: ``run``, ``experiment``, ``version``, ``state``, ``tags``, ``seed``; a metric; a setting's path.

        Raises:
            KeyError: it has no such thing.
        """
        training = self.found.training
        facts = {"run": self.name, "experiment": training.get("experiment"), "version": training.get("version")}
        facts |= {"state": self.state, "tags": training.get("tags"), "seed": training.get("seed")}
        if name in facts:
            return facts[name]
        metrics = self.tested[1]
        if name in metrics:
            return metrics[name]
        value: Any = self.config
        for key in name.split("."):
            if not isinstance(value, dict):
                raise KeyError(name)
            value = value[key]
        return value

    def plain(self) -> dict[str, Any]:
        """Everything but the config, for JSON."""
        training = self.found.training
        return {
            "run": self.name,
            "experiment": training.get("experiment"),
            "version": training.get("version"),
            "status": self.state,
            "started": training.get("started", ""),
            "seconds": self.seconds,
            "tags": training.get("tags", []),
            "metrics": self.tested[1],
            "metrics_of": self.tested[0],
            "tests": list(self.found.tests),
            "other_tests": dict(self.found.other_tests),
            "path": str(self.found.path.resolve()),
        }


def list_runs(root: Path, *, where: str | None = None, sort: str | None = None) -> list[ListedRun]:
    """The runs under a folder, the one that was touched last first.

    Args:
        root: the folder.
        where: conditions that a run must meet: ``train.batch_size > 32 and accuracy >= 0.8``.
        sort: a metric, the best first where it is known which that is; or a setting, the highest first.

    Raises:
        ConfigError: a condition cannot be read, or no run has what it or ``sort`` names.
        ExperimentError: there is no such folder.
    """
    if not root.is_dir():
        raise ExperimentError("there is no such folder", where=str(root.resolve()), hint="it is meta.EXPERIMENT_FOLDER")
    runs = [ListedRun(found) for found in find_runs(root)]
    if where:
        conditions = parse_conditions(where, "--where")
        for one in conditions:
            _check_known(runs, one.column, "--where")
        runs = [run for run in runs if all(_meets(run, condition) for condition in conditions)]
    if sort and runs:
        _check_known(runs, sort, "--sort")
        runs = _sorted(runs, sort)
    return runs


def _check_known(runs: Sequence[ListedRun], name: str, where: str) -> None:
    """Raise where no run has such a thing."""
    if not runs or any(_value(run, name) is not _MISSING for run in runs):
        return
    from runway.report.settings import flat

    known = {*runs[0].tested[1], *(path for path, _ in flat(runs[0].config)), "state", "run", "experiment"}
    message = f"no run has a metric or a setting {name!r}"
    raise ConfigError(message, where=where, hint=did_you_mean(name, sorted(known)))


_MISSING = object()
_ORDERS = {"<": operators.lt, "<=": operators.le, ">": operators.gt, ">=": operators.ge}


def _value(run: ListedRun, name: str) -> Any:
    try:
        return run.value(name)
    except KeyError:
        return _MISSING


def _meets(run: ListedRun, condition: Condition) -> bool:
    name, operator, operand = condition
    value = _value(run, name)
    if value is _MISSING:
        return False
    if operator == "==":
        return value == operand
    if operator == "!=":
        return value != operand
    if operator in ("in", "not_in"):
        return (value in operand) is (operator == "in")
    if value is None:
        return False
    try:
        if operator == "contains":
            return operand in value if isinstance(value, list) else str(operand) in str(value)
        if operator == "regex":
            return re.search(str(operand), str(value)) is not None
        if operator in ("min_length", "max_length"):
            return len(value) >= operand if operator == "min_length" else len(value) <= operand
        return _ORDERS[operator](value, operand)
    except (TypeError, re.error) as error:
        message = f"{name} of {run.name} is {value!r}, which cannot be held against {operator} {operand!r}"
        raise ConfigError(message, where="--where", hint=str(error)) from error


def _sorted(runs: list[ListedRun], name: str) -> list[ListedRun]:
    from runway.metrics._direction import direction

    values = {run.name + str(run.found.path): _value(run, name) for run in runs}
    numbers = {key: value for key, value in values.items() if isinstance(value, int | float)}
    lowest = any(name in run.tested[1] for run in runs) and direction(name) == "min"

    def key(run: ListedRun) -> tuple[bool, float | str]:
        one = run.name + str(run.found.path)
        if len(numbers) and one in numbers:
            return False, numbers[one] if lowest else -numbers[one]
        return True, 0.0

    if numbers:
        return sorted(runs, key=key)
    return sorted(runs, key=lambda run: str(_value(run, name)))


def main_metrics(runs: Iterable[ListedRun], most: int = MAIN) -> list[str]:
    """The metrics to show where none is named: those that most runs have, losses last."""
    counts = Counter(name for run in runs for name in run.tested[1] if name not in ("lr", "epoch"))
    first = list(counts)
    order = sorted(counts, key=lambda name: ("loss" in name or "perplexity" in name, -counts[name], first.index(name)))
    return order[:most]


def list_rows(runs: Sequence[ListedRun], columns: Sequence[str]) -> list[list[Any]]:
    """A row of each run: its name, state, the columns, its tests, its age, how long it took."""
    now = time.time()
    rows = []
    for run in runs:
        values = [None if (value := _value(run, name)) is _MISSING else value for name in columns]
        seconds = "" if run.seconds is None else human_seconds(run.seconds)
        rows.append([run.name, run.state, *values, told_tests(run), age(now - run.found.touched), seconds])
    return rows


HEADS = ("run", "state"), ("tests", "age", "took")
"""What stands over the columns of ``list_rows``, before and after the chosen ones."""


def told_tests(run: ListedRun) -> str:
    """The tests, those that were not finished with their status; what the metrics are of where there is none."""
    others = [f"{name} ({status})" for name, status in run.found.other_tests.items()]
    return ", ".join([*run.found.tests, *others]) or run.tested[0]


def age(seconds: float) -> str:
    """``7200`` as ``2 h``."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "now"


def _numbers(metrics: Any) -> dict[str, Any]:
    if not isinstance(metrics, dict):
        return {}
    return {name: value for name, value in metrics.items() if isinstance(value, int | float) and value is not True}


def _read(path: Path, default: Any) -> Any:
    """A file of one run; a damaged one hides no other run."""
    try:
        return read_json(path, default)
    except (ExperimentError, OSError):
        return default
