"""One training, from the config to the best checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException
from lightning.pytorch.utilities.model_summary import ModelSummary

from runway.disk import replace_text
from runway.errors import ConfigError, ExperimentError, Interrupted
from runway.executors.base_executor import BaseExecutor
from runway.executors.data_statistics import data_statistics
from runway.experiment.callbacks.monitoring import checkpoint_callback, early_stopping_callbacks
from runway.experiment.callbacks.progress import progress_callbacks
from runway.experiment.callbacks.resume import ResumePoint
from runway.experiment.callbacks.stopping import Stopped, StopWhenAsked
from runway.experiment.checkpoint_content import load_weights, misfits, read_checkpoint, trusting_own_classes
from runway.experiment.context import ExperimentContext, Result
from runway.experiment.folders import file_names
from runway.experiment.folders.find_checkpoint import best_checkpoint, last_checkpoint, weights_file
from runway.experiment.folders.reset import Reset
from runway.experiment.folders.run_folder import RunFolder, write_json
from runway.experiment.start_checks import check_training, warn_of_changes
from runway.experiment.trainer import build_trainer, quiet_lightning
from runway.log import info, shown, warning
from runway.ranks import rank

TRAINER_SETTING = "train.trainer_paras"
WEIGHTS_SETTING = "train.load_model_path"


@dataclass(frozen=True)
class Resumed:
    """Where a training goes on."""

    run: RunFolder
    checkpoint: Path
    step: int


class FirstStep(lightning.Callback):
    """Ends a reset once the training has made an optimiser step."""

    def __init__(self, reset: Reset) -> None:
        self.reset = reset

    def on_train_batch_end(self, trainer: lightning.Trainer, *args: Any) -> None:
        """End it, unless the first step is still being accumulated."""
        if trainer.global_step:
            self.reset.finish()


class Training:
    """Trains the executor of an experiment in a version of its own.

    Args:
        context: gives config, data and executor.
    """

    def __init__(self, context: ExperimentContext) -> None:
        self.context = context
        self.config = context.config.get("train") or {}
        self.paras = self.config.get("trainer_paras") or {}
        self.stop = StopWhenAsked()
        self.reset = Reset(context.folder)
        self.resumed: Resumed | None = None
        self.steps = 0

    def run(self) -> Result:
        """Check, prepare, build; then claim a version and fit.

        Nothing is written before everything that can fail early has succeeded, and a version that fails before
        its first step goes again.
        """
        context = self.context
        with quiet_lightning():
            self._check()
            if context.reset and rank() == 0:
                self.reset.confirm(context.assume_yes)
            if context.resume:
                self.resumed = self._find_resumed()
            pipeline, data = context.prepared_data()
            executor = context.build_executor("train", pipeline)
            if self.config.get("load_model_path"):
                weights = weights_file(self.config["load_model_path"], context.project, WEIGHTS_SETTING)
                load_weights(executor, weights, WEIGHTS_SETTING)

            run = self.resumed.run if self.resumed else self._claim()
            with self._kept_once_it_has_begun(run):
                context.work_on(run)
                vars(executor)["recorders_dir"] = run.recorders
                facts = {"resumed_from": self.resumed.checkpoint.name} if self.resumed else {}
                with context.logging_to(run.train):
                    info(f"run: {shown(run.path)}")
                    trainer = self._build_trainer(run)
                    with context.recording("train", run, run.train, data, **facts) as record:
                        self._summarise(executor, run)
                        self._fit(trainer, executor, run)
                        best = best_checkpoint(run.saved_models)
                        record["best_checkpoint"] = best and best.relative_to(run.saved_models).as_posix()
                    info(f"best checkpoint: {shown(best)}" if best else "no checkpoint was saved")
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        return Result(run.train, metrics, best)

    def _check(self) -> None:
        """What the config says about training, tried without writing anything."""
        context = self.context
        context.check_flags("train")
        version = context.config.get("exp_version")
        if version is not None and not context.resume:
            warning(f"exp_version={version} is for test, eval and --resume: training makes a new version")
        _ = context.logger_names
        early_stopping_callbacks(self.config, checkpoint_callback(self.config, Path(file_names.SAVED_MODELS)))
        build_trainer(self.paras, TRAINER_SETTING)
        check_training(context.executor_class(), context.config)

    def _claim(self) -> RunFolder:
        """A new version; with ``--reset`` those before it stand aside until it has begun."""
        self.reset.begin()
        try:
            run = self.context.claim()
            self.reset.record_claimed(run)
        except BaseException:
            self.reset.undo()
            raise
        return run

    def _find_resumed(self) -> Resumed:
        what, hint = "a checkpoint to resume from", "train without --resume"
        run = self.context.version(RunFolder.has_checkpoints, what, hint)
        path = last_checkpoint(run.saved_models)
        if path is None:
            message = f"{run.path.name} has no checkpoint to resume from"
            raise ExperimentError(message, where=str(run.saved_models), hint=hint)
        content = read_checkpoint(path)
        if "optimizer_states" not in content:
            raise ExperimentError(
                f"{path.name} of {run.path.name} holds weights only, so training cannot go on from it",
                where=str(path),
                hint="start a new version from its weights with train.load_model_path, and leave save_weights_only out",
            )
        if rank() == 0:
            warn_of_changes(run, self.context.config)
        return Resumed(run, path, int(content["global_step"]))

    def _build_trainer(self, run: RunFolder) -> lightning.Trainer:
        checkpoint = checkpoint_callback(self.config, run.saved_models)
        names = [*self.context.logger_names, "metrics_history"]  # every run keeps its history
        return build_trainer(
            self.paras,
            TRAINER_SETTING,
            callbacks=[
                FirstStep(self.reset),
                ResumePoint(),
                *progress_callbacks(self.paras),
                *early_stopping_callbacks(self.config, checkpoint),
                checkpoint,
                self.stop,
            ],
            logger=self.context.build_loggers(names, run, run.train, self.resumed.step if self.resumed else None),
            root=run.train,
        )

    def _summarise(self, executor: lightning.LightningModule, run: RunFolder) -> None:
        summary = ModelSummary(executor, max_depth=3)
        replace_text(run.train / file_names.MODEL_SUMMARY, str(summary) + "\n")
        info(f"model: {summary.total_parameters:,} parameters, {summary.trainable_parameters:,} of them trained")
        if isinstance(executor, BaseExecutor) and rank() == 0:
            write_json(run.train / file_names.DATA_STATISTICS, data_statistics(executor.dataloaders()))
            executor.save_tokenizer(run.train / file_names.TOKENIZER)

    def _fit(self, trainer: lightning.Trainer, executor: lightning.LightningModule, run: RunFolder) -> None:
        resumed = self.resumed
        fitting = misfits(resumed.checkpoint, "--resume") if resumed else nullcontext()
        with self._stoppable(run, saves=trainer.checkpoint_callback is not None), fitting, trusting_own_classes():
            try:
                path = resumed.checkpoint if resumed else None
                trainer.fit(executor, ckpt_path=path, weights_only=True)
            finally:
                self.steps = trainer.global_step
        if resumed and self.steps == resumed.step:
            info(f"nothing was left to train after step {self.steps}")
        for callback in trainer.early_stopping_callbacks:
            if callback.stopped_epoch:
                info(f"early stopping after epoch {callback.stopped_epoch + 1}: {callback.monitor} no longer improves")

    @contextmanager
    def _kept_once_it_has_begun(self, run: RunFolder) -> Iterator[None]:
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
            stays = self.steps or self.resumed or run.has_checkpoints() or (stopped and self.reset.aside is None)
            if not stays and rank() == 0:
                self.context.folder.remove([run])
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
            with self.stop.listening() if saves else nullcontext():
                yield
        except (Stopped, SIGTERMException, KeyboardInterrupt, SystemExit) as error:
            if isinstance(error, SystemExit) and not isinstance(error.__context__, KeyboardInterrupt):
                raise  # the other is Lightning's answer to Ctrl-C
            last = last_checkpoint(run.saved_models)
            told = f"; its state is in {last.name}" if last and isinstance(error, Stopped) else ""
            hint = "run the same command with --resume to go on" if last else "nothing was saved yet: start again"
            raise Interrupted(f"training was interrupted{told}", where=str(run.train), hint=hint) from None
        except MisconfigurationException as error:
            raise ConfigError(" ".join(str(error).split()), where="train") from error
