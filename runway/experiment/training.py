"""One training, from the config to the best checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException
from lightning.pytorch.utilities.model_summary import ModelSummary

from runway.disk import replace_text
from runway.errors import ConfigError, ExperimentError
from runway.executors.base_executor import BaseExecutor
from runway.executors.data_statistics import data_statistics
from runway.experiment.callbacks.checkpointing import FirstStep, checkpoint_callback, early_stopping_callback
from runway.experiment.callbacks.interruption import Interrupted, StopRequest
from runway.experiment.callbacks.progress import progress_callbacks
from runway.experiment.callbacks.resume import ResumePoint
from runway.experiment.callbacks.stopping import Stopped, StopWhenAsked
from runway.experiment.folders import announce
from runway.experiment.folders.checkpoints import (
    best_checkpoint,
    is_misfit,
    last_checkpoint,
    load_weights,
    misfit,
    read_checkpoint,
    trusting_own_classes,
    weights_file,
)
from runway.experiment.folders.reset import Reset
from runway.experiment.folders.run_folder import RunFolder, write_json
from runway.experiment.loggers import LoggerPlace, build_loggers, check_loggers, finish_loggers
from runway.experiment.results import TrainResult
from runway.experiment.start_checks import check_training, warn_of_changes
from runway.experiment.trainer import QUIET, build_trainer, check_trainer, quiet_lightning
from runway.log import info, shown, warning
from runway.ranks import rank

if TYPE_CHECKING:
    import lightning

    from runway.experiment.experiment import RunwayExperiment

TRAINER_PLACE = "train.trainer_paras"


@dataclass(frozen=True)
class Resumed:
    """Where a training goes on."""

    run: RunFolder
    checkpoint: Path
    step: int


class Training:
    """Trains the executor of an experiment in a version of its own.

    Args:
        experiment: gives config, data and executor.
    """

    def __init__(self, experiment: RunwayExperiment) -> None:
        self.experiment = experiment
        self.config = experiment.config.get("train") or {}
        self.paras = self.config.get("trainer_paras") or {}
        self.request = StopRequest()
        self.reset = Reset(experiment.folder)
        self.steps = 0

    def run(self) -> TrainResult:
        """Check, prepare, build; then claim a version and fit.

        Nothing is written before everything that can fail early has succeeded, and a version that fails before
        its first step goes again.
        """
        experiment = self.experiment
        with quiet_lightning():
            logger_names = self._check()
            if experiment.reset and rank() == 0:
                self.reset.confirm(experiment.assume_yes)
            resumed = self._find_resumed() if experiment.resume else None
            pipeline, nodes = experiment.data()
            executor = experiment.build_executor("train", pipeline)
            self._load_pretrained(executor)

            run = resumed.run if resumed else self._claim()
            with self._kept_once_it_has_begun(run, resumed):
                experiment.place(run)
                vars(executor)["recorders_dir"] = run.recorders
                record = experiment.provenance(run.train, "train", run, pipeline, nodes)
                try:
                    with experiment.logging_to(run.train / "run.log"):
                        info(f"run: {shown(run.path)}")
                        trainer = self._build_trainer(run, logger_names, resumed)
                        experiment.write_config(run.train)
                        record.begin(experiment.project, resumed_from=resumed.checkpoint.name if resumed else None)
                        self._summarise(executor, run)
                        with record.recording((Interrupted, KeyboardInterrupt)):
                            self._fit(trainer, executor, run, resumed)
                        best = best_checkpoint(run.saved_models)
                        record.update(best_checkpoint=best and best.relative_to(run.saved_models).as_posix())
                        info(f"best checkpoint: {shown(best)}" if best else "no checkpoint was saved")
                finally:
                    finish_loggers()
                    announce.withdraw(experiment.root)
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        return TrainResult(run.train, metrics, best)

    def _check(self) -> list[str]:
        """What the config says about training, tried without writing anything."""
        experiment = self.experiment
        experiment.check_train_flags()
        version = experiment.config.get("exp_version")
        if version is not None and not experiment.resume:
            warning(f"exp_version={version} is for test, eval and --resume: training makes a new version")
        names = check_loggers(experiment.meta.get("logger_enable"))
        checkpoint = checkpoint_callback(self.config, Path("saved_models"))
        early_stopping_callback(self.config, checkpoint)
        check_trainer(self.paras, TRAINER_PLACE)
        check_training(experiment.executor_class(), experiment.config)
        return names

    def _claim(self) -> RunFolder:
        """A new version; with ``--reset`` those before it stand aside until it has begun."""
        self.reset.begin()
        try:
            run = self.experiment.claim()
            self.reset.note_claimed(run)
        except BaseException:
            self.reset.undo()
            raise
        return run

    def _load_pretrained(self, executor: lightning.LightningModule) -> None:
        given = self.config.get("load_model_path")
        if given:
            setting = "train.load_model_path"
            load_weights(executor, weights_file(given, self.experiment.project, setting), setting)

    def _find_resumed(self) -> Resumed:
        run = self.experiment.version(
            RunFolder.has_checkpoints, "a checkpoint to resume from", "train without --resume"
        )
        path = last_checkpoint(run.saved_models)
        if path is None:
            raise ExperimentError(
                f"{run.path.name} has no checkpoint to resume from",
                where=str(run.saved_models),
                hint="train without --resume",
            )
        content = read_checkpoint(path)
        if "optimizer_states" not in content:
            raise ExperimentError(
                f"{path.name} of {run.path.name} holds weights only, so training cannot go on from it",
                where=str(path),
                hint="start a new version from its weights with train.load_model_path, and leave save_weights_only out",
            )
        if rank() == 0:
            warn_of_changes(run, self.experiment.config)
        return Resumed(run, path, int(content["global_step"]))

    def _build_trainer(self, run: RunFolder, logger_names: list[str], resumed: Resumed | None) -> lightning.Trainer:
        checkpoint = checkpoint_callback(self.config, run.saved_models)
        stopping = early_stopping_callback(self.config, checkpoint)
        bars = progress_callbacks(self.paras)
        stops = [stopping] if stopping else []
        experiment = self.experiment
        place = LoggerPlace(
            run=run.path,
            folder=run.train,
            meta=experiment.meta,
            project=experiment.project,
            config=experiment.config,
            tags=run.tags,
            from_step=resumed.step if resumed else None,
        )
        return build_trainer(
            self.paras,
            TRAINER_PLACE,
            callbacks=[
                FirstStep(self.reset.finish),
                ResumePoint(),
                *bars,
                *stops,
                checkpoint,
                StopWhenAsked(self.request, checkpoint),
            ],
            logger=build_loggers([*logger_names, "metrics_history"], place),  # every run keeps its history
            default_root_dir=str(run.train),
            **QUIET | {"enable_progress_bar": any(isinstance(bar, ProgressBar) for bar in bars)},
        )

    def _summarise(self, executor: lightning.LightningModule, run: RunFolder) -> None:
        summary = ModelSummary(executor, max_depth=3)
        replace_text(run.train / "model_summary.txt", str(summary) + "\n")
        info(f"model: {summary.total_parameters:,} parameters, {summary.trainable_parameters:,} of them trained")
        if isinstance(executor, BaseExecutor) and rank() == 0:
            write_json(run.train / "data_statistics.json", data_statistics(executor.dataloaders()))
            executor.save_tokenizer(run.train / "tokenizer")

    def _fit(
        self,
        trainer: lightning.Trainer,
        executor: lightning.LightningModule,
        run: RunFolder,
        resumed: Resumed | None,
    ) -> None:
        going_on: dict[str, Any] = {"ckpt_path": str(resumed.checkpoint), "weights_only": True} if resumed else {}
        with self._stoppable(run, saves=trainer.checkpoint_callback is not None), trusting_own_classes():
            try:
                trainer.fit(executor, **going_on)
            except RuntimeError as error:
                if resumed and is_misfit(error):
                    raise misfit(error, resumed.checkpoint, "--resume") from error
                raise
            finally:
                self.steps = trainer.global_step
        if resumed and self.steps == resumed.step:
            info(f"nothing was left to train after step {self.steps}")
        for callback in trainer.early_stopping_callbacks:
            if callback.stopped_epoch:
                info(f"early stopping after epoch {callback.stopped_epoch + 1}: {callback.monitor} no longer improves")

    @contextmanager
    def _kept_once_it_has_begun(self, run: RunFolder, resumed: Resumed | None) -> Iterator[None]:
        """Remove the version again where it fails before the first step: it holds nothing but the error.

        One that is stopped by the user stays, unless earlier versions wait for its place.
        """
        try:
            yield
            self.reset.finish()
        except BaseException as error:
            stopped = isinstance(error, Interrupted) or not isinstance(error, Exception)
            if self.steps:
                self.reset.finish()
            stays = self.steps or resumed or run.has_checkpoints() or (stopped and self.reset.place is None)
            if not stays and rank() == 0:
                self.experiment.folder.remove([run])
                info(f"{run.path.name} is removed: it {'was stopped' if stopped else 'failed'} before its first step")
            raise
        finally:
            self.reset.undo()  # nothing, where the first step was made

    @contextmanager
    def _stoppable(self, run: RunFolder, *, saves: bool) -> Iterator[None]:
        """Turn every way of being stopped into an error that says how to go on.

        Without checkpoints there is nothing to wait for, so Ctrl-C stops at once.
        """
        try:
            with self.request.listening() if saves else nullcontext():
                yield
        except (Stopped, SIGTERMException, KeyboardInterrupt) as error:
            raise self._interrupted(run, saved_now=isinstance(error, Stopped)) from None
        except SystemExit as error:
            if isinstance(error.__context__, KeyboardInterrupt):  # Lightning's answer to Ctrl-C
                raise self._interrupted(run, saved_now=False) from None
            raise
        except MisconfigurationException as error:
            raise ConfigError(" ".join(str(error).split()), where="train") from error

    def _interrupted(self, run: RunFolder, *, saved_now: bool) -> Interrupted:
        last = last_checkpoint(run.saved_models)
        told = f"; its state is in {last.name}" if last and saved_now else ""
        hint = "run the same command with --resume to go on" if last else "nothing was saved yet: start again"
        return Interrupted(f"training was interrupted{told}", where=str(run.train), hint=hint)
