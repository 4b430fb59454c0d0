"""What Optuna is for: choosing points by what was found (TPE), and ending trials that will not be the best.

The list of points in the sweep's folder is the truth, and Optuna's study is made of it and of the trials' results each
time: a space that has changed, a point that is there already, a value that is a list are no trouble so, which they are
to a study that is kept. The study is written beside it for Optuna's dashboard.
"""

from __future__ import annotations

import itertools
import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.config.signatures import accepted_settings
from runway.disk import hold, replacing
from runway.errors import ConfigError, did_you_mean
from runway.experiment.folders.run_folder import RunFolder, read_if_whole, write_json
from runway.experiment.provenance import FINISHED
from runway.log import info
from runway.sweep.ledger import PRUNED
from runway.sweep.scores import Outcome, Setting, values_of
from runway.sweep.space import Choice, Parameter, Point, Space, canonical

if TYPE_CHECKING:
    from runway.sweep.settings import SweepSettings
    from runway.sweep.trials import Trial

POINTS, JOURNAL = "points.json", "optuna.journal"
MOST_DUPLICATES = 50
_PRUNERS = {"median": "MedianPruner", "hyperband": "HyperbandPruner", "halving": "SuccessiveHalvingPruner"}
_PRUNERS |= {"percentile": "PercentilePruner", "threshold": "ThresholdPruner", "patient": "PatientPruner"}


def need_optuna(what: str) -> Any:
    """The module.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        message = f"{what} needs the package optuna, which is not installed"
        hint = "pip install 'runway-for-ml[sweep]'; grid and random need nothing"
        raise ConfigError(message, where="sweep", hint=hint) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


class TpeSupply:
    """Points that Optuna's TPE chooses, as trials.

    Args:
        asked: the sweep's settings.
        folder: of the sweep's results.
        make: a point's trials, prepared; none where its config or data is of no use.
    """

    def __init__(self, asked: SweepSettings, folder: Path, make: Callable[[Point], Sequence[Trial]]) -> None:
        self.asked, self.folder, self.make = asked, folder, make
        self.optuna = need_optuna("method tpe")
        assert asked.max_trials is not None
        self.most = asked.max_trials
        self.distributions = {one.path: self._distribution(one) for one in asked.space.parameters}
        known = self._read()
        sampler = self.optuna.samplers.TPESampler(seed=asked.seed + len(known), **_constant_liar(self.optuna))
        direction = "maximize" if asked.mode == "max" else "minimize"
        self.study = self.optuna.create_study(sampler=sampler, direction=direction)
        self._trials: dict[str, Any] = {}  # {canonical point: Optuna's trial}
        self._values: dict[str, float | None] = {}
        self._open: dict[str, dict[str, Outcome | None]] = {}  # {point: {trial's key: what became of it}}
        self._queue: deque[Trial] = deque()
        self._is_exhausted = False
        for point in known[: self.most]:
            self._adopt(point)

    def next(self) -> Trial | None:
        """A trial of a point that was chosen before, else of a new one."""
        while not self._queue and len(self._trials) < self.most and not self._is_exhausted:
            self._take_next_point()
        return self._queue.popleft() if self._queue else None

    def finished(self, trial: Trial, outcome: Outcome) -> None:
        """Tell Optuna once all seeds of a point are there."""
        place = canonical(trial.setting)
        self._open[place][trial.key] = outcome
        outcomes = list(self._open[place].values())
        if None not in outcomes:
            self._tell(place, Setting(trial.setting, [one for one in outcomes if one is not None]))

    def write(self) -> None:
        """Write the study for Optuna's dashboard."""
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(self.folder / JOURNAL) as temporary:
            storage = JournalStorage(JournalFileBackend(str(temporary)))
            self.optuna.copy_study(
                from_study_name=self.study.study_name,
                from_storage=self.study._storage,
                to_storage=storage,
                to_study_name=self.asked.name,
            )

    # -- points

    def _take_next_point(self) -> None:
        """Adopt what another sweep has chosen meanwhile, else choose; both know of it from then on."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with hold(str(self.folder / ".points.lock"), lambda: None):
            listed = self._read()
            new = next((point for point in listed if canonical(point) not in self._trials), None)
            chosen = None
            if new is None:
                chosen = self._choose()
                if chosen is None:
                    self._is_exhausted = True
                    info(f"the space has no more than {len(self._trials)} points: all of them are there")
                    return
                write_json(self.folder / POINTS, [*self._all(), chosen[0]])
        if new is not None:
            self._adopt(new)
        elif chosen is not None:
            self._begin(*chosen)

    def _choose(self) -> tuple[Point, Any] | None:
        """A point that is not there yet, and Optuna's trial of it."""
        size = self.asked.space.size
        if size is not None and len(self._trials) >= self.asked.space.count_distinct():
            return None
        for _ in range(MOST_DUPLICATES):
            trial = self.study.ask(self.distributions)
            point = {one.path: _value_of(one, trial.params[one.path]) for one in self.asked.space.parameters}
            place = canonical(point)
            if place not in self._trials:
                return point, trial
            value = self._values.get(place)  # it has this point already: the answer is known, or on its way
            self.study.tell(trial, value, state=None if value is not None else self.optuna.trial.TrialState.FAIL)
        drawn = self.asked.space.drawn(self.asked.seed + len(self._trials))
        point = next(point for point in itertools.islice(drawn, 10_000_000) if canonical(point) not in self._trials)
        return point, self._asked_for(point)

    def _adopt(self, point: Point) -> None:
        """A point that was chosen before."""
        self._begin(point, self._asked_for(point))

    def _asked_for(self, point: Point) -> Any:
        """Optuna's trial of a point that it has not chosen."""
        self.study.enqueue_trial({one.path: _internal(one, point[one.path]) for one in self.asked.space.parameters})
        return self.study.ask(self.distributions)

    def _begin(self, point: Point, trial: Any) -> None:
        place = canonical(point)
        self._trials[place] = trial
        trials = self.make(point)
        self._open[place] = dict.fromkeys(one.key for one in trials)
        self._queue.extend(trials)
        if not trials:
            self._tell(place, Setting(point, []))

    def _tell(self, place: str, setting: Setting) -> None:
        states = self.optuna.trial.TrialState
        trial, value = self._trials[place], setting.mean
        self._values[place] = value
        if value is not None:
            self.study.tell(trial, value)
        elif any(one.status == PRUNED for one in setting.outcomes):
            self.study.tell(trial, state=states.PRUNED)
        elif all(one.status in ("failed", FINISHED) for one in setting.outcomes):
            self.study.tell(trial, state=states.FAIL)

    def _read(self) -> list[Point]:
        """The points that were chosen, as far as they are of this space."""
        return [point for point in self._all() if _fits(point, self.asked.space)]

    def _all(self) -> list[Point]:
        return read_if_whole(self.folder / POINTS, [], "points are chosen anew")

    # -- as Optuna has it

    def _distribution(self, one: Parameter) -> Any:
        kinds = self.optuna.distributions
        if isinstance(one, Choice):
            return kinds.CategoricalDistribution([json.dumps(value, sort_keys=True) for value in one.values])
        if one.is_whole:
            most = int(one.listed()[-1] if one.step is not None else one.high)
            return kinds.IntDistribution(int(one.low), most, log=one.log, step=int(one.step or 1))
        high = one.listed()[-1] if one.step is not None else one.high
        return kinds.FloatDistribution(one.low, high, log=one.log, step=one.step)


def _internal(one: Parameter, value: Any) -> Any:
    if not isinstance(one, Choice):
        return value
    wanted = canonical({"": value})
    same = next(known for known in one.values if canonical({"": known}) == wanted)
    return json.dumps(same, sort_keys=True)


def _constant_liar(optuna: Any) -> dict[str, Any]:
    """Trials that run at once are to differ: the default since Optuna 5, and to be asked for before."""
    return {"constant_liar": True} if int(optuna.__version__.split(".")[0]) < 5 else {}


def _value_of(one: Parameter, value: Any) -> Any:
    if isinstance(one, Choice):
        return json.loads(value)
    if one.is_whole:
        return int(value)
    return min(max(float(f"{value:.6g}"), one.low), one.high)


def _fits(point: Mapping[str, Any], space: Space) -> bool:
    """Whether a point is of a space that may have changed since."""
    parameters = {one.path: one for one in space.parameters}
    return point.keys() == parameters.keys() and all(_takes(parameters[path], value) for path, value in point.items())


def _takes(one: Parameter, value: Any) -> bool:
    if isinstance(one, Choice):
        return canonical({"": value}) in {canonical({"": known}) for known in one.values}
    if not isinstance(value, int | float) or isinstance(value, bool) or not one.low <= value <= one.high:
        return False
    if one.step is not None:
        return any(abs(value - known) <= 1e-9 * max(1.0, abs(known)) for known in one.listed())
    return not one.is_whole or float(value).is_integer()


class Pruning:
    """Ends trials early that an Optuna pruner takes for no candidates, by their validations so far.

    Args:
        asked: the sweep's settings, with ``prune``.
    """

    def __init__(self, asked: SweepSettings) -> None:
        optuna = need_optuna("prune")
        assert asked.prune is not None
        arguments = dict(asked.prune)
        name = str(arguments.pop("pruner"))
        if name not in _PRUNERS:
            raise ConfigError(f"there is no pruner {name!r}", where="sweep.prune", hint=did_you_mean(name, _PRUNERS))
        cls = getattr(optuna.pruners, _PRUNERS[name])
        known = accepted_settings(cls, "__init__").names
        for key in arguments:
            if key not in known:
                hint = did_you_mean(key, known)
                raise ConfigError(f"the pruner {name!r} has no argument {key!r}", where="sweep.prune", hint=hint)
        try:
            pruner = cls(optuna.pruners.NopPruner(), **arguments) if name == "patient" else cls(**arguments)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"the pruner {name!r}: {error}", where="sweep.prune") from error
        direction = "maximize" if asked.mode == "max" else "minimize"
        self.optuna, self.metric = optuna, asked.metric
        self.study = optuna.create_study(pruner=pruner, direction=direction)
        self._trials: dict[str, tuple[Any, int]] = {}  # {key: (Optuna's trial, validations that it knows)}

    def is_hopeless(self, key: str, run: RunFolder) -> bool:
        """Whether a running trial is to end, by what it has logged so far."""
        trial, known = self._trials.get(key) or (self.study.ask(), 0)
        values = values_of(run, self.metric)
        for number, value in enumerate(values[known:], start=known + 1):
            trial.report(value, number)
            self._trials[key] = (trial, number)
            if trial.should_prune():
                return True
        self._trials[key] = (trial, len(values))
        return False

    def finished(self, outcome: Outcome) -> None:
        """Take in a trial that has ended, or had before."""
        states = self.optuna.trial.TrialState
        if outcome.run is None or outcome.status not in (FINISHED, PRUNED):
            if outcome.key in self._trials:
                self.study.tell(self._trials.pop(outcome.key)[0], state=states.FAIL)
            return
        values = values_of(outcome.run, self.metric)
        if outcome.key in self._trials:
            trial, known = self._trials.pop(outcome.key)
        else:
            trial, known = self.study.ask(), 0
        for number, value in enumerate(values[known:], start=known + 1):
            trial.report(value, number)
        if outcome.status == FINISHED and outcome.score is not None:
            self.study.tell(trial, outcome.score)
        else:
            self.study.tell(trial, state=states.PRUNED if outcome.status == PRUNED else states.FAIL)
