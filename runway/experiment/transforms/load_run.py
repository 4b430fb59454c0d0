"""LoadRun: a trained run as a value in a pipeline, kept by the digest of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.disk import expanded
from runway.errors import ConfigError, ExperimentError, did_you_mean
from runway.log import info, shown, warning
from runway.registry import register_transform_functor
from runway.transforms.base import BaseTransform

if TYPE_CHECKING:
    from runway.experiment.folders.run_folder import RunFolder
    from runway.experiment.trained_run import TrainedRun


@register_transform_functor
class LoadRun(BaseTransform):
    """Gives a trained run as a value: a small reference, of which Predict and your own transforms load weights.

    It takes no input. Its output counts by the weights and the run's config: a run that was moved, or trained again to
    the same bits, re-runs no consumer, and new weights do. The files that it reads are tracked.
    """

    def setup(
        self,
        run: str = "",
        version: int | None = None,
        checkpoint: str = "best",
        best_by: str | None = None,
        mode: str | None = None,
        experiments: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Say which run, and which of its weights.

        Args:
            run: the path of a run's folder, its name (``small_V3``), or an experiment's name or path (``small``).
            version: of an experiment; by default the newest that has checkpoints.
            checkpoint: ``best`` by what the run has monitored, ``last``, or the name of a file in ``saved_models``.
            best_by: of an experiment, the finished version whose value of this metric, logged in validations, is the
                best at that checkpoint; of versions that tie the earliest.
            mode: ``max`` or ``min``, where the metric's name does not say which value is the best.
            experiments: the folder in which names are looked up; by default ``meta.EXPERIMENT_FOLDER``.
            **kwargs: the settings of BaseTransform.
        """
        super().setup(**kwargs)
        if not isinstance(run, str) or not run:
            hint = "a run's folder, its name, or an experiment's name"
            raise ConfigError("LoadRun must name a run", where=f"{self.where}, run", hint=hint)
        if mode not in (None, "max", "min"):
            raise ConfigError(f"`mode` must be 'max' or 'min', but is {mode!r} instead", where=f"{self.where}, mode")
        if version is not None and best_by is not None:
            message = "`version` names one version, and `best_by` chooses among all"
            raise ConfigError(message, where=self.where, hint="leave one of them out")
        self.run, self.version, self.checkpoint = run, version, checkpoint
        self.best_by, self.mode, self.experiments = best_by, mode, experiments

    def _call(self, data: Any) -> TrainedRun:
        from runway.experiment.checkpoint_content import read_checkpoint, weights_digest
        from runway.experiment.folders.file_names import TOKENIZER
        from runway.experiment.resume_checks import config_file_of
        from runway.experiment.trained_run import TrainedRun, run_config, settings_digest
        from runway.pipeline.keys.tracked import path_digest

        run = self._find()
        checkpoint = self._checkpoint_of(run)
        self.track_file(checkpoint)
        name = config_file_of(read_checkpoint(checkpoint))
        config = run_config(self.track_file(run.train / name), self.project)
        tokenizer = run.train / TOKENIZER
        self._runway_reads.note_file("file", str(tokenizer))
        inside = run.path.is_relative_to(self.project)
        found = TrainedRun(
            name=run.path.name,
            folder=str(run.path.relative_to(self.project) if inside else run.path),
            checkpoint=checkpoint.relative_to(run.saved_models).as_posix(),
            config_file=name,
            weights=weights_digest(checkpoint),
            settings=settings_digest(config),
            tokenizer=path_digest(tokenizer) if tokenizer.is_dir() else None,
        )
        info(f"{self.name}: {found.checkpoint} of {shown(run.path)}")
        self.note("run", {"name": found.name, "checkpoint": found.checkpoint, "weights": found.weights})
        return found

    # Which run

    def _find(self) -> RunFolder:
        from runway.experiment.folders.run_folder import ExperimentFolder
        from runway.experiment.trained_run import as_run

        asked = expanded(self.run)
        folder = self.experiments or self.from_config("meta", "EXPERIMENT_FOLDER", default="experiments")
        root = self.resolve_path(folder) if asked.name == self.run else self.resolve_path(asked.parent)
        for path in (self.resolve_path(asked), root / asked.name):
            if (path / "train").is_dir():
                self._only_of_experiments(path)
                return as_run(path)
        self._runway_reads.note_file("names", str(root))
        versions = ExperimentFolder(root, asked.name) if asked.name not in ("", ".", "..") else None
        if versions is None or not versions.versions():
            raise self._no_run(root)
        if self.version is not None:
            return versions.get(self.version)
        for version in versions.versions():  # which have checkpoints
            self._runway_reads.note_file("names", str(version.saved_models))
        if self.best_by is not None:
            return self._best(versions.versions())
        return versions.latest(type(versions.versions()[0]).has_checkpoints, "weights", "train it first")

    def _only_of_experiments(self, path: Path) -> None:
        for setting in ("version", "best_by"):
            if getattr(self, setting) is not None:
                message = f"`{setting}` chooses among an experiment's versions, but {path.name} is one run"
                raise ConfigError(message, where=self.where, hint=f"leave `{setting}` out, or name the experiment")

    def _no_run(self, root: Path) -> ExperimentError:
        import re

        from runway.experiment.folders.in_use import VERSION

        runs = [path.name for path in root.iterdir() if (path / "train").is_dir()] if root.is_dir() else []
        names = dict.fromkeys([*(re.split(f"{VERSION}$", name)[0] for name in runs), *runs])
        hint = did_you_mean(self.run, names) if names else "train it first, or name the folder of runs in `experiments`"
        return ExperimentError(f"there is no run {self.run!r}", where=f"{self.where}, {root}", hint=hint)

    # Which of several versions

    def _best(self, versions: list[RunFolder]) -> RunFolder:
        from runway.experiment.provenance import FINISHED
        from runway.experiment.trained_before import training_record
        from runway.metrics._direction import direction

        metric = str(self.best_by)
        scores: dict[int, float] = {}
        logged: set[str] = set()
        for number, run in enumerate(versions):
            self.track_file(run.train / "provenance.json")
            if not run.has_checkpoints() or training_record(run).get("status") != FINISHED:
                warning(f"{self.name}: {run.path.name} is left out: its training is not finished")
                continue
            values = self._values_at_checkpoint(run)
            logged |= set(values)
            if metric in values:
                scores[number] = values[metric]
            else:
                warning(f"{self.name}: {run.path.name} is left out: it has no {metric!r} at its checkpoint")
        if not scores:
            message = f"no finished version of {self.run!r} has logged {metric!r} in a validation"
            hint = did_you_mean(metric, logged) if logged else "train it first"
            raise ExperimentError(message, where=f"{self.where}, best_by", hint=hint)
        mode = self.mode or direction(metric)
        if mode is None:
            message = f"whether the highest or the lowest {metric!r} is the best is not known"
            raise ConfigError(message, where=f"{self.where}, mode", hint="add mode: 'max' or mode: 'min'")
        best = (max if mode == "max" else min)(scores.values())
        ties = [versions[number].path.name for number, score in scores.items() if score == best]
        if len(ties) > 1:
            info(f"{self.name}: {', '.join(ties)} tie at {metric} {best:g}: the earliest is taken")
        chosen = next(versions[number] for number, score in scores.items() if score == best)
        info(f"{self.name}: {chosen.path.name} is the best of {len(scores)} by {metric}: {best:g}")
        return chosen

    def _values_at_checkpoint(self, run: RunFolder) -> dict[str, float]:
        """What was logged for the weights of the chosen checkpoint: of each metric the last value up to its step."""
        from runway.experiment.checkpoint_content import read_checkpoint
        from runway.experiment.folders.file_names import METRICS_HISTORY
        from runway.experiment.folders.find_checkpoint import read_index
        from runway.experiment.folders.run_folder import read_history

        history = read_history(self.track_file(run.train / METRICS_HISTORY))
        checkpoint = self._checkpoint_of(run)
        self.track_file(checkpoint)
        step = read_checkpoint(checkpoint).get("global_step")
        found: dict[str, float] = {}
        for entry in history:
            if step is None or entry["step"] is None or entry["step"] <= step:
                found |= {name: float(value) for name, value in entry["metrics"].items() if value is not None}
        index: Mapping[str, Any] = read_index(run.saved_models, "the logged scores count")
        score, best = index.get("best_model_score"), str(index.get("best_model_path"))
        if isinstance(score, int | float) and index.get("monitor") and checkpoint.name == Path(best).name:
            found[str(index["monitor"])] = float(score)
        return found

    # Which checkpoint

    def _checkpoint_of(self, run: RunFolder) -> Path:
        from runway.experiment.folders.file_names import CHECKPOINT_INDEX
        from runway.experiment.folders.find_checkpoint import choose_checkpoint

        self._runway_reads.note_file("names", str(run.saved_models))
        self.track_file(run.saved_models / CHECKPOINT_INDEX)
        if not run.has_checkpoints():
            raise ExperimentError(
                f"the run {run.path.name} has no weights: there is no checkpoint in it",
                where=f"{self.where}, {run.saved_models}",
                hint="train it (without `enable_checkpointing: false`), or name another run or version",
            )
        try:
            return choose_checkpoint(run, {"checkpoint_name": self.checkpoint})
        except ExperimentError as error:
            error.where = f"{self.where}, checkpoint ({run.saved_models})"
            raise
