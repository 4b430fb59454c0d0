"""What trials have reached: the score of a run, means and intervals over seeds, the best, and what is tied with it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runway.errors import ExperimentError, did_you_mean
from runway.experiment.folders.file_names import METRICS_HISTORY
from runway.experiment.folders.find_checkpoint import read_index
from runway.experiment.folders.run_folder import RunFolder, read_history
from runway.log import warning
from runway.sweep.space import Point, canonical

LEVEL = 0.95


@dataclass
class Outcome:
    """A trial, and what became of it.

    Args:
        setting: its point without the seed.
        seed: of ``meta.seed``; None: the config's own.
        key: the trial's.
        status: ``finished``, ``failed``, ``interrupted`` or ``pruned``.
        run: its version.
        score: the metric that the sweep is about; None where there is no finite one.
        metrics: every metric at the checkpoint that a test would take.
        seconds: what its processes took, all of them together; None where they were another's.
        error: why it failed.
        overrides: what it lays over the config.
        ran: it ran just now.
        tests: what its test has found.
        machine: where it ran, if that was elsewhere.
    """

    setting: Point
    seed: int | None
    key: str
    status: str
    run: RunFolder | None = None
    score: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: float | None = None
    error: str | None = None
    overrides: tuple[str, ...] = ()
    ran: bool = False
    tests: dict[str, Any] = field(default_factory=dict)
    machine: str | None = None


@dataclass
class Setting:
    """What is compared: a point, with the trials of all its seeds.

    Args:
        point: without the seed.
        outcomes: one for each seed.
    """

    point: Point
    outcomes: list[Outcome]

    @property
    def scores(self) -> list[float]:
        """Of the trials that have one."""
        return [one.score for one in self.outcomes if one.score is not None]

    @property
    def mean(self) -> float | None:
        """Of the scores; None where there are none."""
        return sum(self.scores) / len(self.scores) if self.scores else None

    @property
    def half_width(self) -> float | None:
        """Of the mean's 95% interval (Student's t); None with fewer than two scores."""
        return half_width(self.scores)


def half_width(values: Sequence[float]) -> float | None:
    """Half of the 95% interval of a mean, by Student's t; None with fewer than two values."""
    count = len(values)
    if count < 2:
        return None
    from scipy.stats import t

    mean = sum(values) / count
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (count - 1))
    return float(t.ppf((1 + LEVEL) / 2, count - 1)) * deviation / math.sqrt(count)


def read_metrics(run: RunFolder, metric: str, mode: str) -> tuple[float | None, dict[str, float]]:
    """A run's score, and its metrics at the checkpoint that a test would take.

    The score is the metric's best finite value where the checkpoints are chosen by it (or by nothing), else its value
    at the checkpoint that was chosen.

    Args:
        run: the version.
        metric: what the sweep is about.
        mode: ``min`` or ``max``.
    """
    history = [entry for entry in read_history(run.train / METRICS_HISTORY) if entry["metrics"]]
    index = read_index(run.saved_models, "the checkpoint is chosen by the sweep's metric")
    watched = index.get("monitor") or metric
    at = _best_entry(history, watched, (index.get("mode") if index.get("monitor") else None) or mode)
    if at is None:
        at = len(history) - 1
    metrics: dict[str, float] = {}
    for position, entry in enumerate(history):
        # Of what is logged at other steps (the training's loss), the last value before it.
        if position <= at or entry["step"] == history[at]["step"]:
            metrics |= {name: value for name, value in entry["metrics"].items() if _is_finite(value)}
    score = metrics.get(metric) if watched != metric else None
    if watched == metric and (best := _best_entry(history, metric, mode)) is not None:
        score = float(history[best]["metrics"][metric])
    return score, metrics


def logged_names(run: RunFolder) -> set[str]:
    """Every metric that a run has logged."""
    return {name for entry in read_history(run.train / METRICS_HISTORY) for name in entry["metrics"]}


def values_of(run: RunFolder, metric: str) -> list[float]:
    """Every value of a metric that a run has logged so far, one a validation."""
    history = read_history(run.train / METRICS_HISTORY)
    found = [entry["metrics"][metric] for entry in history if metric in entry["metrics"]]
    return [float(value) if value is not None else math.nan for value in found]


def _best_entry(history: Sequence[Mapping[str, Any]], metric: str, mode: str) -> int | None:
    found = [number for number, entry in enumerate(history) if _is_finite(entry["metrics"].get(metric))]
    sign = -1 if mode == "max" else 1
    return min(found, key=lambda number: sign * history[number]["metrics"][metric], default=None)


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def by_setting(outcomes: Iterable[Outcome], mode: str) -> list[Setting]:
    """The settings, the best mean first; those without a score come last."""
    groups: dict[str, Setting] = {}
    for outcome in outcomes:
        groups.setdefault(canonical(outcome.setting), Setting(outcome.setting, [])).outcomes.append(outcome)
    sign = -1 if mode == "max" else 1
    return sorted(groups.values(), key=lambda one: (one.mean is None, sign * (one.mean or 0.0)))


def tied_with(best: Setting, others: Iterable[Setting]) -> list[Setting]:
    """The settings whose difference to the best may be chance.

    With one score each only an equal one is. With several, the 95% interval of the mean difference holds 0: of the
    differences seed by seed where both have the same seeds, else Welch's.
    """
    return [other for other in others if other is not best and other.scores and _is_tied(best, other)]


def _is_tied(one: Setting, other: Setting) -> bool:
    first, second = ({o.seed: o.score for o in s.outcomes if o.score is not None} for s in (one, other))
    if one.mean == other.mean:
        return True
    if len(first) < 2 or len(second) < 2:
        return False
    if first.keys() == second.keys():
        differences = [second[seed] - first[seed] for seed in first]
        mean = sum(differences) / len(differences)
        return abs(mean) <= (half_width(differences) or 0.0)
    from scipy.stats import ttest_ind

    return bool(ttest_ind(list(first.values()), list(second.values()), equal_var=False).pvalue > 1 - LEVEL)


def check_logged(outcomes: Sequence[Outcome], metric: str) -> None:
    """Raise where there is nothing to choose by.

    Raises:
        ExperimentError: trials have finished, and none of them has logged the metric, or none a finite value of it.
    """
    runs = [one.run for one in outcomes if one.run is not None and one.status == "finished"]
    if not runs or any(one.score is not None for one in outcomes):
        return
    logged = set().union(*(logged_names(run) for run in runs))
    if metric in logged:
        message = f"no trial has a finite {metric!r}: there is no best one"
        raise ExperimentError(message, where="sweep.metric", hint="a smaller learning rate, or look at a trial's log")
    near = did_you_mean(metric, logged)
    listing = f"logged are: {', '.join(sorted(logged))}" if logged else "nothing is logged"
    hint = f"{near} {listing}" if near.startswith("did you mean") else listing
    raise ExperimentError(
        f"no trial has logged the metric {metric!r}",
        where="sweep.metric",
        hint=f"{hint}; with --metric NAME nothing is trained again",
    )


def warn_unlogged(run: RunFolder, metric: str) -> None:
    """Say after the first trial what would only be found out after the last."""
    logged = logged_names(run)
    if metric not in logged:
        hint = did_you_mean(metric, logged, listing=20)
        warning(f"{run.path.name} has not logged {metric!r}, by which the best is to be chosen ({hint})", once=True)
