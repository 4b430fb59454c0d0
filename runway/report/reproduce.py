"""A run made again as a new version: first what differs here from what it was, at the end whether it came out the same.

The new version is made of the config that the run has kept, resolved, so that it does not matter whether the config's
file has changed since. The code is what stands here: what of it differs is told before anything runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.config.check import check_config
from runway.config.config import Config, LoadedFrom
from runway.config.load import load_config
from runway.config.overrides import format_path
from runway.config.reads import ABSENT, lookup
from runway.errors import ConfigError, ExperimentError, RunwayError, raise_collected
from runway.experiment import RunwayExperiment
from runway.experiment.evaluation import TESTS, Evaluation
from runway.experiment.folders import file_names
from runway.experiment.folders.read_run import ReadRun, read_run
from runway.experiment.folders.run_folder import read_json
from runway.experiment.provenance import FINISHED, describe_git, surroundings
from runway.experiment.trained_run import run_config
from runway.experiment.training_key import executor_code, training_key
from runway.masking import MASK, masked_error, note
from runway.pipeline.keys.fingerprint import Unfingerprintable
from runway.pipeline.keys.tracked import states
from runway.report.blame import blame
from runway.report.settings import flat

if TYPE_CHECKING:
    from runway.experiment.context import ExperimentContext
    from runway.pipeline import DataPipeline
    from runway.report.causes import Blame

HERE = "here"
"""The name of the present among runs."""


@dataclass(frozen=True)
class Reproduced:
    """How a run came out the second time.

    Attributes:
        path: the new version.
        metrics: ``(metric, value then, value now)``, of the training and of the test.
    """

    path: Path
    metrics: list[tuple[str, Any, Any]]

    @property
    def is_same(self) -> bool:
        """Whether every number is the same to the last digit."""
        return all(before == now for _, before, now in self.metrics)


class Reproduction:
    """A run that is to be made again.

    Args:
        path: its folder.
        test: the suffix of the test to repeat; by default the last that was finished.
        project: the project whose code is taken; by default the one that holds the run, else the one around the
            current folder, else the one that the run was made in.

    Raises:
        ExperimentError: it is no run, it did not finish, or it does not say enough of itself.
        ConfigError: its config holds what is no longer taken, or a secret that was masked.
    """

    def __init__(self, path: Path, *, test: str | None = None, project: Path | None = None) -> None:
        self.run = run = read_run(path, test)
        if run.training and run.training.get("status") != FINISHED:
            hint = "only what came to its end can be held against what comes out again"
            message = f"the training of {run.name} is {run.training.get('status', 'unknown')}, not finished"
            raise ExperimentError(message, where=str(run.path), hint=hint)
        self.project = _project(run, project)
        self.train = self._experiment(file_names.TRAIN, run.training) if run.training else None
        stage = f"{file_names.TEST}/{run.test_name}"
        is_tested = run.test_name is not None and run.test.get("status") == FINISHED
        self.test = self._experiment(stage, run.test) if is_tested else None
        if self.train is None and self.test is None:
            raise ExperimentError(f"{run.name} has neither trained nor tested to the end", where=str(run.path))

    def check(self) -> Blame:
        """What differs here from what the run was; nothing is run, and the data need not be prepared."""
        now: dict[str, Any] = {}
        git, _ = describe_git(self.project)
        around = {"git": git, **surroundings()}
        if self.train is not None:
            pipeline = self._pipeline(self.train)
            facts = {**self.run.training, **around, "seed": self.train.seed}
            now["training"] = {**facts, "training": self._training(self.train, pipeline)}
            now["lineage"] = self._lineage(self.train, pipeline, self.run.lineage)
        if self.test is not None:
            pipeline = self._pipeline(self.test)
            executor = executor_code(self.test) if self.run.test.get("executor") else None
            now["test"] = {**self.run.test, **around, "executor": executor}
            now["test_lineage"] = self._lineage(self.test, pipeline, self.run.test_lineage)
            now["evaluation"] = Evaluation(self.test).lineage() if self.run.evaluation else {}
        return blame(self.run, replace(self.run, path=Path(HERE), **now))

    def make(self) -> Reproduced:
        """Run its stages again, into a new version beside it."""
        _use_threads(self.run.provenance.get("threads"))
        version: Path | None = None
        if self.train is not None:
            version = self.train.train().path.parent
        if self.test is not None:
            if self.train is not None:
                self.test.global_config["exp_version"] = self.train.global_config["exp_version"]
            tested = self.test.test()
            version = tested.path.parent.parent
            again = read_run(version, tested.path.name)
        else:
            assert version is not None
            again = read_run(version)
        return Reproduced(again.path, _held_together(self.run, again, has_test=self.test is not None))

    # -- what it is made of

    def _experiment(self, stage: str, facts: Mapping[str, Any]) -> RunwayExperiment:
        path = self.run.path / stage / str(facts.get("config") or file_names.CONFIG)
        config = self._config(path, facts)
        config.pop("exp_version", None)
        beside = self.run.path.parent
        meta = config.setdefault("meta", Config())
        if (self.project / str(meta.get("EXPERIMENT_FOLDER") or "experiments")).resolve() != beside:
            meta["EXPERIMENT_FOLDER"] = str(beside)
        made_by = self.run.evaluation.get("pipeline")
        if stage != file_names.TRAIN and made_by and made_by != _evaluation_of(config):  # `runway eval`, later
            config["eval"] = Config({**(config.get("eval") or {}), TESTS[0]: made_by})
        experiment = RunwayExperiment(
            config,
            experiment_name=facts.get("experiment"),
            tags=facts.get("tags") or (),
            use_dummy_data=bool(facts.get("use_dummy_data")),
        )
        known = {name: facts[name] for name in ("overrides", "config_file") if name in facts}
        experiment.more_facts = {**known, "reproduces": self.run.name}
        return experiment

    def _config(self, path: Path, facts: Mapping[str, Any]) -> Config:
        """The config as the run has kept it; secrets, which it has not, come from the config's file."""
        config = run_config(path, self.project)
        masked = note(config)
        if masked:
            original = self._original(facts)
            for place in masked:
                value = lookup(original, place)
                if value is ABSENT or (isinstance(value, str) and MASK in value):
                    raise masked_error(format_path(place))
                section: Any = config if len(place) == 1 else lookup(config, place[:-1])
                section[place[-1]] = value
        raise_collected([*check_config(config, path)], where=str(path))
        config.loaded_from = LoadedFrom(path, self.project)
        return config

    def _original(self, facts: Mapping[str, Any]) -> Any:
        file = facts.get("config_file")
        if not file or not (self.project / file).is_file():
            return {}
        overrides = [text for text in facts.get("overrides") or () if MASK not in text]
        try:
            return load_config(self.project / file, overrides, project=self.project, check=False, warn=False)
        except RunwayError:
            return {}

    # -- what it would be made of here

    def _pipeline(self, experiment: ExperimentContext) -> DataPipeline:
        experiment.executor_class()
        return experiment.pipeline()

    def _training(self, experiment: ExperimentContext, pipeline: DataPipeline) -> dict[str, Any] | None:
        before = self.run.training.get("training")
        if not before:
            return None
        try:
            now = training_key(experiment, pipeline, is_partial=True).plain()
        except (ExperimentError, Unfingerprintable):
            return None
        reads = before.get("reads")  # what showed while it ran is looked at now, but for data that has yet to come
        return {**now, "reads": {**reads, "states": self._states(experiment, reads)}} if reads else now

    def _states(self, experiment: ExperimentContext, reads: Mapping[str, Any]) -> dict[str, str]:
        flags = {"use_dummy_data": experiment.use_dummy_data}
        return states(reads["set"], experiment.global_config, flags, {}, self.project)

    def _lineage(
        self, experiment: ExperimentContext, pipeline: DataPipeline, before: Mapping[str, Any]
    ) -> dict[str, Any]:
        found = pipeline.lineage(experiment.data_nodes(pipeline)) if before else {}
        for name, node in found.items():
            reads = (before.get(name) or {}).get("reads")
            if reads and node["reads"] is None:  # it has yet to run: what it has read then is looked at now
                node["reads"], node["key"] = {**reads, "states": self._states(experiment, reads)}, None
        return found


def _project(run: ReadRun, given: Path | None) -> Path:
    from runway.user_code import find_project

    if given is not None:
        if not given.is_dir():
            raise ConfigError(f"there is no folder {str(given)!r}", where="--project")
        return given.resolve()
    made_in = run.provenance.get("project")
    places = [find_project(run.path), find_project(Path.cwd() / file_names.CONFIG)]
    places += [Path(made_in)] if made_in else []
    found = [place for place in places if (place / "src").is_dir() or (place / "pyproject.toml").is_file()]
    if not found:
        hint = "go there, or say --project FOLDER"
        raise ExperimentError(f"the project of {run.name} is not here", where=str(made_in or run.path), hint=hint)
    return found[0].resolve()


def _evaluation_of(config: Mapping[str, Any]) -> Any:
    section = config.get("eval") or {}
    return next((section[name] for name in TESTS if section.get(name)), {})


def _use_threads(count: Any) -> None:
    """Let torch add up in as many threads as then: sums of floats depend on it in their last digits."""
    import torch

    if isinstance(count, int) and count > 0:
        torch.set_num_threads(count)


def _held_together(before: ReadRun, now: ReadRun, *, has_test: bool) -> list[tuple[str, Any, Any]]:
    """Every number of the training's history, its last value of each, and of the test's metrics."""
    found = []
    if before.training:
        then, again = ({f"train {name}": value for name, value in _last(run).items()} for run in (before, now))
        found += [(name, then.get(name), again.get(name)) for name in {**then, **again}]
    if has_test:
        metrics = (dict(_numbers(read_json(_metrics_file(run), {}))) for run in (before, now))
        then, again = ({f"test {name}": value for name, value in one.items()} for one in metrics)
        found += [(name, then.get(name), again.get(name)) for name in {**then, **again}]
    return found


def _last(run: ReadRun) -> dict[str, Any]:
    return {name: value for entry in run.history for name, value in (entry.get("metrics") or {}).items()}


def _metrics_file(run: ReadRun) -> Path:
    return run.path / file_names.TEST / str(run.test_name) / file_names.METRICS


def _numbers(metrics: Any) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in flat(metrics) if isinstance(value, int | float)]
