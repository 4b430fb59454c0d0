"""Sweep: the face. Points become trials, trials run, the best is chosen on validation and tested."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from runway.errors import ConfigError
from runway.experiment.folders.file_names import METRICS, PROVENANCE
from runway.experiment.folders.run_folder import read_if_whole
from runway.experiment.provenance import FAILED, FINISHED, INTERRUPTED
from runway.experiment.start_checks import has_step
from runway.log import human_seconds, info, warning
from runway.pipeline.plan import ALL, Force
from runway.sweep import report
from runway.sweep.ledger import NEW, PRUNED, Ledger
from runway.sweep.places import places_here
from runway.sweep.preparation import check_trainings, experiment_of, prepare, test_key_of
from runway.sweep.processes import Job, Process
from runway.sweep.schedule import POLL_SECONDS, ListSupply, Schedule, stoppable
from runway.sweep.scores import Outcome, Setting, by_setting, check_logged
from runway.sweep.settings import GRID, RANDOM, RAY, TPE, SweepSettings
from runway.sweep.trials import Source, Trial, check_paths, make_trials

if TYPE_CHECKING:
    from runway.errors import RunwayError
    from runway.pipeline.graph import Graph
    from runway.sweep.ray import RayTrials
    from runway.sweep.space import Point
    from runway.sweep.study import Pruning, TpeSupply


TRAIN = "train"
"""What ``--force`` calls the trainings."""


class Sweep:
    """One sweep: a config, and the trainings that are made of it with other values.

    Args:
        source: the config's file, and what every trial takes.
        config: the config without any trial's overrides.
        graphs: of its pipelines.
        asked: the settings.
        force: what is computed again: data nodes; ``train``, the trainings; ``all``, everything.
    """

    def __init__(
        self,
        source: Source,
        config: Any,
        graphs: Mapping[str, Graph],
        asked: SweepSettings,
        *,
        force: Sequence[str] = (),
    ) -> None:
        self.source, self.config, self.asked = source, config, asked
        nodes = graphs["data_pipeline"].nodes if "data_pipeline" in graphs else {}
        words = tuple(word for word in force if word != TRAIN or word in nodes)
        self.force = Force(words, time.time()) if words else None
        trains_again = len(words) < len(force) or (ALL in words and ALL not in nodes)
        self.since = time.time() if trains_again else 0.0
        check_paths(asked.space, config, graphs)
        base = experiment_of(Trial({}, None, (), config), use_dummy_data=source.use_dummy_data)
        self.ledger = Ledger(base.root, base.name)
        self.folder = self.ledger.folder / asked.name
        self.lost: list[Outcome] = []  # whose data could not be had
        self._trials: dict[str, Trial] = {}

    def prepare(self, until: str | None = None) -> bool:
        """Prepare the data of all trials, and no more.

        Args:
            until: this node only, and what it needs.

        Returns:
            Whether it could be prepared for every trial; what could not has been told.
        """
        return all([self.prepare_one(trial, until) for trial in self.trials()])

    def run(self) -> list[Setting]:
        """Check all, prepare all, train what must be trained, test the best, and write it down.

        Returns:
            The settings, the best first.

        Raises:
            ConfigError: a trial's config has mistakes; nothing has run then.
            ExperimentError: there is nothing to choose by.
            Interrupted: it was asked to stop, and can go on.
        """
        trials = self.trials()
        check_trainings(trials, use_dummy_data=self.source.use_dummy_data)
        on_ray = self.asked.runner["name"] == RAY
        here = places_here(None if on_ray else self.asked.parallel, {} if on_ray else self.asked.resources)
        pruning = self._pruning()
        supply, total = self._supply(trials)
        with self._elsewhere(supply) if on_ray else nullcontext() as elsewhere:
            places = here if elsewhere is None else [{}] * (self.asked.parallel or elsewhere.at_once)
            schedule = Schedule(
                *(self.source, self.asked, self.ledger, places[:total], self._folder_of, pruning, self.since),
                start=Process if elsewhere is None else elsewhere.start,
            )
            outcomes = [*schedule.run(supply, total), *self.lost]
        settings = by_setting(outcomes, self.asked.mode)
        check_logged(outcomes, self.asked.metric)
        self._test(settings, here)
        report.write_files(self.folder, settings, self.asked)
        if not isinstance(supply, ListSupply):
            supply.write()
        return settings

    def _pruning(self) -> Pruning | None:
        if self.asked.prune is None:
            return None
        from runway.sweep.study import Pruning

        return Pruning(self.asked)

    def _elsewhere(self, supply: ListSupply | TpeSupply) -> AbstractContextManager[RayTrials | None]:
        """Ray, unless every trial is there already."""
        from runway.pipeline.runners.ray import need_ray
        from runway.sweep.ray import ray_trials

        need_ray()
        if isinstance(supply, ListSupply) and not any(self._is_due(trial) for trial in supply.left):
            return nullcontext()
        base = experiment_of(Trial({}, None, (), self.config), use_dummy_data=self.source.use_dummy_data)
        address = self.asked.runner.get("address")
        return ray_trials(address, self.asked.resources, self.source.project, base.folder, base.pipeline().store)

    def _is_due(self, trial: Trial) -> bool:
        status = self.ledger.state(trial, self._folder_of(trial), self.since).status
        return status in (NEW, INTERRUPTED) or (status == FAILED and self.asked.retry)

    def run_one(self, number: int) -> Outcome:
        """Train one trial, as a job of an array does: nothing is tested, and no table is written.

        Args:
            number: of ``trials()``, from 1.

        Returns:
            What became of it; where another process trains the same, what became of that.

        Raises:
            ConfigError: there is no such trial.
            Interrupted: it was asked to stop; the training has saved its state.
        """
        trials = self.trials()
        if self.asked.method == TPE:
            raise ConfigError("tpe chooses a trial by those before it, so it has none of its own", where="--trial")
        if not 1 <= number <= len(trials):
            hint = f"there are {len(trials)}, from 1"
            raise ConfigError(f"the sweep has no trial {number}", where="--trial", hint=hint)
        trial = trials[number - 1]
        check_trainings([trial], use_dummy_data=self.source.use_dummy_data)
        if not self.prepare_one(trial):
            return self.lost[0]
        places = places_here(1, {})  # the job's GPUs are all for it
        schedule = Schedule(self.source, self.asked, self.ledger, places, self._folder_of, since=self.since)
        return schedule.run(ListSupply([trial]), len(trials))[0]

    def trials(self) -> list[Trial]:
        """The trials to check before anything runs: all there will be, or of ``tpe`` one for each end of the space."""
        trials = make_trials(self.source, self._points(), self.asked.space.seeds)
        for number, trial in enumerate(trials, start=1):
            trial.number = number
        return trials

    def _points(self) -> list[Point]:
        asked, space = self.asked, self.asked.space
        if asked.method == GRID:
            return space.grid()[: asked.max_trials]
        if asked.method == RANDOM:
            return list(itertools.islice(space.drawn(asked.seed), asked.max_trials))
        first = {one.path: one.ends()[0] for one in space.parameters}
        return [{**first, one.path: end} for one in space.parameters for end in one.ends()]

    def _supply(self, trials: list[Trial]) -> tuple[ListSupply | TpeSupply, int]:
        """Where the trials come from, and how many there will be; their data is prepared, of ``tpe`` one by one."""
        if self.asked.method != TPE:
            prepared = self._prepared(trials)
            return ListSupply(prepared), len(prepared)
        from runway.sweep.study import TpeSupply

        assert self.asked.max_trials is not None
        count = min(self.asked.max_trials, self.asked.space.size or self.asked.max_trials)
        return TpeSupply(self.asked, self.folder, self._made), count * max(1, len(self.asked.space.seeds))

    def _made(self, point: Point) -> list[Trial]:
        """The trials of a point that was chosen just now; without those whose config or data is of no use."""
        try:
            trials = make_trials(self.source, [point], self.asked.space.seeds)
            check_trainings(trials, use_dummy_data=self.source.use_dummy_data)
        except ConfigError as error:
            warning(f"a point that was chosen is no config: {error}")
            return []
        made = [trial for trial in trials if self.prepare_one(trial)]
        for trial in made:
            known = self._trials.get(trial.key)
            if known is not None:
                warning(f"{trial.label} trains the same as {known.label}: it runs once")
            self._trials.setdefault(trial.key, trial)
            trial.number = len(self._trials)
        return made

    def _folder_of(self, trial: Trial) -> Any:
        return experiment_of(trial, use_dummy_data=self.source.use_dummy_data).folder

    # -- data

    def _prepared(self, trials: Sequence[Trial]) -> list[Trial]:
        """The trials whose data is there, each key once."""
        started = time.perf_counter()
        found: dict[str, Trial] = {}
        for trial in trials:
            self.prepare_one(trial)
            if trial.key and trial.key in found:
                first = found[trial.key]
                warning(f"{trial.label} trains the same as {first.label}: it runs once")
            elif trial.key:
                found[trial.key] = trial
        info(f"data prepared for {len(found)} trials, {human_seconds(time.perf_counter() - started)}")
        self._trials.update(found)
        for number, trial in enumerate(found.values(), start=1):
            trial.number = number
        return list(found.values())

    def prepare_one(self, trial: Trial, until: str | None = None) -> bool:
        """Prepare one trial's data; a failure is told, and ends this trial only."""
        error = prepare(trial, use_dummy_data=self.source.use_dummy_data, force=self.force, until=until)
        if error is None:
            return True
        warning(f"the data of {trial.label} cannot be prepared: {_brief(error)}")
        outcome = Outcome(trial.setting, trial.seed, "", FAILED, overrides=trial.overrides, error=_brief(error))
        self.lost.append(outcome)
        return False

    # -- the test

    def _test(self, settings: Sequence[Setting], places: Sequence[Mapping[str, str]]) -> None:
        """Test the best setting's trials, or all that were trained."""
        if self.asked.test == "none" or not self._has_test():
            self._read_tests(settings)
            return
        chosen = settings[:1] if self.asked.test == "best" else settings
        wanted = [one for setting in chosen for one in setting.outcomes if one.score is not None and one.run]
        self._read_tests(settings)
        due = [one for one in wanted if not self._is_tested(one)]
        self._run_tests(due, places)
        self._read_tests(settings)

    def _has_test(self) -> bool:
        cls = experiment_of(Trial({}, None, (), self.config), use_dummy_data=False).executor_class()
        if not has_step(cls, "test_step"):
            warning(f"nothing is tested: the executor {cls.__name__!r} has no `test_step`")
            return False
        return True

    def _run_tests(self, due: Sequence[Outcome], places: Sequence[Mapping[str, str]]) -> None:
        waiting = list(due)
        running: dict[int, tuple[Outcome, Process]] = {}
        with stoppable():
            try:
                while waiting or running:
                    for place, (one, process) in list(running.items()):
                        code = process.poll()
                        if code is not None:
                            del running[place]
                            self._end_test(one, code, process)
                    free = [place for place in range(len(places)) if place not in running]
                    for place in free[: len(waiting)]:
                        one = waiting.pop(0)
                        running[place] = (one, self._start_test(one, places[place]))
                    time.sleep(POLL_SECONDS)
            except KeyboardInterrupt:
                for _, process in running.values():
                    process.kill()
                raise

    def _start_test(self, one: Outcome, place: Mapping[str, str]) -> Process:
        assert one.run is not None
        info(f"testing {one.run.path.name}")
        words = [*self.source.overrides, *one.overrides, f"exp_version={one.run.version}"]
        words += ["--use_dummy_data"] if self.source.use_dummy_data else []
        log = self.ledger.log_of(one.key)
        return Process(Job("test", self.source.path, self.source.project, words, log, place))

    def _end_test(self, one: Outcome, code: int, process: Process) -> None:
        assert one.run is not None
        if code == 0:
            self.ledger.note_tested(one.key, test_key_of(self._trials[one.key]))
            info(f"tested {one.run.path.name}, {human_seconds(process.seconds)}")
            return
        one.error = f"the test ended with exit code {code}"
        warning(f"the test of {one.run.path.name} failed: see {self.ledger.log_of(one.key)}")

    def _is_tested(self, one: Outcome) -> bool:
        trial = self._trials[one.key]
        return bool(one.tests) and self.ledger.tested(one.key) == test_key_of(trial)

    def _read_tests(self, settings: Sequence[Setting]) -> None:
        """Take in what tests have found, of the runs that were tested; not what other settings of a test have."""
        for one in (outcome for setting in settings for outcome in setting.outcomes):
            if one.run is None or one.key not in self._trials:
                continue
            if self.ledger.tested(one.key) not in (None, test_key_of(self._trials[one.key])):
                continue
            suffix = self._trials[one.key].config.get("test_suffix") or "default_test"
            folder = one.run.test(suffix)
            instead = "what the test has found is not known"
            if read_if_whole(folder / PROVENANCE, {}, instead).get("status") == FINISHED:
                found = read_if_whole(folder / METRICS, {}, instead)
                one.tests = {k: v for k, v in found.items() if isinstance(v, int | float) and not isinstance(v, bool)}


def failures(settings: Sequence[Setting]) -> list[Outcome]:
    """The trials that did not come to their end, or whose test did not."""
    return [
        one for setting in settings for one in setting.outcomes if one.status not in (FINISHED, PRUNED) or one.error
    ]


def _brief(error: RunwayError) -> str:
    return " ".join(error.message.split())
