"""One training, from the config to the best checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException
from lightning.pytorch.utilities.model_summary import ModelSummary

from runway.disk import replace_text, tidy
from runway.errors import ConfigError, ExperimentError, Interrupted
from runway.executors.base_executor import BaseExecutor
from runway.executors.callbacks.on_nan import NonFiniteLossError
from runway.executors.failures import told_failures
from runway.experiment.callbacks.data_facts import DataFacts
from runway.experiment.callbacks.early_stopping import early_stopping_callbacks
from runway.experiment.callbacks.monitoring import checkpoint_callback
from runway.experiment.callbacks.named import named_callbacks
from runway.experiment.callbacks.progress import progress_callbacks
from runway.experiment.callbacks.resume import ResumePoint
from runway.experiment.callbacks.stopping import Stopped, StopWhenAsked
from runway.experiment.callbacks.take_new import TakeNewOptimizer
from runway.experiment.callbacks.timings import Timings
from runway.experiment.checkpoint_content import load_weights, misfits, read_checkpoint, trusting_own_classes
from runway.experiment.checkpoint_files import read_or_earlier
from runway.experiment.context import ExperimentContext, Result
from runway.experiment.folders import file_names
from runway.experiment.folders.find_checkpoint import best_checkpoint, last_checkpoint, weights_file
from runway.experiment.folders.in_use import only_training
from runway.experiment.folders.reset import Reset
from runway.experiment.folders.run_folder import RunFolder
from runway.experiment.resume_checks import OPTIMIZER, OPTIMIZER_NAME, check_changes, config_of
from runway.experiment.start_checks import check_training
from runway.experiment.submission import job_facts
from runway.experiment.together import agreed, check_launch, join, processes_of, seen_here
from runway.experiment.trained_before import TrainedBefore, last_metrics, trained_before, training_record
from runway.experiment.trainer import build_trainer, quiet_lightning
from runway.experiment.training_key import TrainingKey, training_key
from runway.experiment.training_reads import TrainingReads
from runway.library_internals import free_logging
from runway.log import info, shown, warning
from runway.pipeline.keys.code import forgive_what_training_changed
from runway.pipeline.keys.fingerprint import Unfingerprintable
from runway.ranks import rank

if TYPE_CHECKING:
    import lightning

    from runway.pipeline import DataPipeline

TRAINER_SETTING = "train.trainer_paras"
WEIGHTS_SETTING = "train.load_model_path"


_WAIT, _WAIT_IN_JOB = 1.0, 120.0
"""Seconds for a version's lock: a job that goes on may come before a file server has let a dead machine's go."""


@dataclass(frozen=True)
class Resumed:
    """Where a training goes on."""

    run: RunFolder
    checkpoint: Path
    step: int
    config_file: str
    taken: tuple[str, ...] = ()  # what `--take-new` has changed


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
        self.before = TrainedBefore()
        self.steps = 0
        self._held = ExitStack()
        """Keeps the version's lock."""

    def run(self) -> Result:
        """Check, prepare, build; then claim a version and fit.

        Nothing is written before everything that can fail early has succeeded, and a version that fails before
        its first step goes again. A version that trains is locked.
        """
        context = self.context
        with quiet_lightning(), self._held:
            trial = self._check()
            if context.reset and rank() == 0:
                self.reset.confirm(context.assume_yes)
            if context.resume:
                self.resumed = self._find_resumed()
            if processes_of(trial) == 1 and rank() != 0:
                return Result(context.root)  # started for a stage of several processes that comes later
            pipeline, data = context.prepared_data()
            join(trial, "train")
            key = self._find_key(pipeline)
            if context.reuse and (taken := self._take_same()) is not None:
                return taken
            reads = TrainingReads(context, pipeline, key) if key else None
            with reads.noting() if reads else nullcontext():
                executor = context.build_executor("train", pipeline)
            if self.config.get("load_model_path"):
                weights = weights_file(self.config["load_model_path"], context.project, WEIGHTS_SETTING)
                load_weights(executor, weights, WEIGHTS_SETTING)

            run = self._agreed_on(self.resumed) if self.resumed else self._claim()
            with self._kept_once_it_has_begun(run):
                context.work_on(run)
                vars(executor)["recorders_dir"] = run.recorders
                facts: dict[str, Any] = {"training": key.plain() if key else None}
                if self.resumed:
                    facts |= {"resumed_from": self.resumed.checkpoint.name, "config": self.resumed.config_file}
                    facts["take_new"] = list(context.take_new)
                with context.logging_to(run.train):
                    info(f"run: {shown(run.path)}")
                    trainer = self._build_trainer(run)
                    with context.recording("train", run, run.train, data, **facts) as record:
                        self._summarise(executor, run)
                        with reads.noting() if reads else nullcontext():
                            self._fit(trainer, executor, run)
                        if reads and record["training"]:
                            record["training"]["reads"] = reads.plain(run.path)
                        best = best_checkpoint(run.saved_models)
                        record["best_checkpoint"] = best and best.relative_to(run.saved_models).as_posix()
                    info(f"best checkpoint: {shown(best)}" if best else "no checkpoint was saved")
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        return Result(run.train, metrics, best)

    def _check(self) -> lightning.Trainer:
        """What the config says about training, tried without writing anything; gives a Trainer of its arguments."""
        context = self.context
        context.check_flags("train")
        version = context.config.get("exp_version")
        if version is not None and not context.resume:
            warning(f"exp_version={version} is for test, eval and --resume: training makes a new version")
        _ = context.logger_names
        early_stopping_callbacks(self.config, checkpoint_callback(self.config, Path(file_names.SAVED_MODELS)))
        named_callbacks(self.config)
        trial = build_trainer(self.paras, TRAINER_SETTING)
        check_launch(trial, TRAINER_SETTING)
        check_training(context.executor_class(), context.config)
        return trial

    def _find_key(self, pipeline: DataPipeline) -> TrainingKey | None:
        """The training's key, and a word about the versions before it; None where it has none, and on other ranks."""
        if rank() != 0:
            return None
        context, resumed = self.context, self.resumed
        try:
            key = training_key(context, pipeline)
            if resumed:
                before = training_record(resumed.run).get("training")
                if not before:
                    raise ExperimentError(f"{resumed.run.path.name}, which it goes on with, has none")
                key = _after(key, before, resumed, context.take_new)
            key.key()
        except (ExperimentError, Unfingerprintable) as error:
            warning(f"this training has no key by which it could be found again: {error.message}")
            return None
        if not resumed:
            self.before = trained_before(context, key, pipeline)
            self.before.tell(reuse=context.reuse)
        return key

    def _take_same(self) -> Result | None:
        """A finished version of the same training, in place of a new one; None where there is none."""
        context = self.context
        name = agreed("REUSED", self._same)
        if not name:
            return None
        run = next(run for run in context.folder.versions() if run.path == seen_here(context.root / name))
        context.work_on(run)
        info(f"run: {shown(run.path)}")
        return Result(run.train, last_metrics(run), best_checkpoint(run.saved_models))

    def _same(self) -> str:
        """The name of that version; empty where there is none."""
        run = self.before.same
        best = best_checkpoint(run.saved_models) if run else None
        if run is None or best is None:
            return ""
        read_checkpoint(best)  # a damaged one is no training
        return run.path.name

    def _claim(self) -> RunFolder:
        """A new version; with ``--reset`` those before it stand aside until it has begun."""
        self.reset.begin()
        try:
            run = self.context.claim(self._held)
            self.reset.record_claimed(run)
        except BaseException:
            self.reset.undo()
            raise
        return run

    def _find_resumed(self) -> Resumed:
        what, hint = "a checkpoint to resume from", "train without --resume"
        run = self.context.version(RunFolder.has_checkpoints, what, hint)
        if rank() == 0:
            self._held.enter_context(only_training(run.path, _WAIT_IN_JOB if job_facts() else _WAIT))
            tidy(run.train)  # what a killed training has left
        path = last_checkpoint(run.saved_models)
        if path is None:
            message = f"{run.path.name} has no checkpoint to resume from"
            raise ExperimentError(message, where=str(run.saved_models), hint=hint)
        path, content = read_or_earlier(run, path, _can_go_on)
        if not _can_go_on(content):
            raise ExperimentError(
                f"{path.name} of {run.path.name} holds weights only, so training cannot go on from it",
                where=str(path),
                hint="start a new version from its weights with train.load_model_path, and leave save_weights_only out",
            )
        before = config_of(run, content)
        taken = check_changes(run.path.name, before, self.context.config, self.context.take_new, content)
        return Resumed(run, path, int(content["global_step"]), run.next_resume_config(), taken)

    def _agreed_on(self, resumed: Resumed) -> RunFolder:
        """The version to go on with; every rank must have found the same checkpoint in it."""
        run = self.context.agreed_on(resumed.run)
        name = agreed("CHECKPOINT", lambda: resumed.checkpoint.name)
        if name != resumed.checkpoint.name:
            message = f"rank {rank()} sees {resumed.checkpoint.name}, but rank 0 goes on from {name}"
            raise ExperimentError(message, where=str(run.saved_models), hint="start all of them again")
        return run

    def _build_trainer(self, run: RunFolder) -> lightning.Trainer:
        config_file = self.resumed.config_file if self.resumed else file_names.CONFIG
        checkpoint = checkpoint_callback(
            self.config, run.saved_models, config_file=config_file, after_save=self.reset.finish
        )
        taken = self.resumed.taken if self.resumed else ()
        new_optimizer = [TakeNewOptimizer(keeps_state=OPTIMIZER_NAME not in taken)] if OPTIMIZER in taken else []
        names = [*self.context.logger_names, "metrics_history"]  # every run keeps its history
        return build_trainer(
            self.paras,
            TRAINER_SETTING,
            callbacks=[
                ResumePoint(self.stop),  # the first, to know where the training is before any other
                *new_optimizer,
                *progress_callbacks(self.paras),
                DataFacts(run.train / file_names.DATA_STATISTICS),
                Timings(run.train / file_names.TIMINGS, goes_on=self.resumed is not None),
                *early_stopping_callbacks(self.config, checkpoint),
                *named_callbacks(self.config),
                checkpoint,
                self.stop,
            ],
            logger=self.context.build_loggers(names, run, run.train, self.resumed.step if self.resumed else None),
            root=run.train,
        )

    def _summarise(self, executor: lightning.LightningModule, run: RunFolder) -> None:
        summary = ModelSummary(executor, max_depth=3)
        if rank() != 0:
            return
        replace_text(run.train / file_names.MODEL_SUMMARY, str(summary) + "\n")
        info(f"model: {summary.total_parameters:,} parameters, {summary.trainable_parameters:,} of them trained")
        if isinstance(executor, BaseExecutor):
            executor.save_tokenizer(run.train / file_names.TOKENIZER)

    def _fit(self, trainer: lightning.Trainer, executor: lightning.LightningModule, run: RunFolder) -> None:
        resumed = self.resumed
        fitting = misfits(resumed.checkpoint, "--resume") if resumed else nullcontext()
        stoppable = self._stoppable(run, saves=trainer.checkpoint_callback is not None)
        with stoppable, told_failures(executor), fitting, trusting_own_classes():
            try:
                path = resumed.checkpoint if resumed else None
                trainer.fit(executor, ckpt_path=path, weights_only=True)
            finally:
                self.steps = trainer.global_step
                forgive_what_training_changed(type(executor))
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
            if run.has_checkpoints():
                self.reset.finish()
            saved = error.batch_file if isinstance(error, NonFiniteLossError) else None
            stays = bool(self.steps or self.resumed or run.has_checkpoints())
            stays |= bool((stopped or saved) and self.reset.aside is None)
            if not stays and rank() == 0:
                if saved:  # the earlier versions take the place back, and it is all that there is to look at
                    info(f"the batch is moved to {shown(saved.replace(self.context.root / saved.name))}")
                self.context.folder.remove([run])
                info(f"{run.path.name} is removed: it {'was stopped' if stopped else 'failed'} before its first step")
            raise
        finally:
            self.reset.undo(run)  # nothing, where there is a checkpoint

    @contextmanager
    def _stoppable(self, run: RunFolder, *, saves: bool) -> Iterator[None]:
        """Turn every way of being stopped into an error that says how to go on.

        Without checkpoints there is nothing to wait for, so Ctrl-C stops at once.
        """
        try:
            with self.stop.listening() if saves else nullcontext():
                yield
        except (Stopped, SIGTERMException, KeyboardInterrupt, SystemExit) as error:
            free_logging()
            if isinstance(error, SystemExit) and not isinstance(error.__context__, KeyboardInterrupt):
                raise  # the other is Lightning's answer to Ctrl-C
            last = last_checkpoint(run.saved_models)
            told = f"; its state is in {last.name}" if last and isinstance(error, Stopped) else ""
            hint = "run the same command with --resume to go on" if last else "nothing was saved yet: start again"
            raise Interrupted(f"training was interrupted{told}", where=str(run.train), hint=hint) from None
        except MisconfigurationException as error:
            raise ConfigError(" ".join(str(error).split()), where="train") from error
        except ValueError as error:
            if "`val_check_interval`" not in str(error):
                raise
            where = f"{TRAINER_SETTING}.val_check_interval"  # longer than an epoch: Lightning knows before step 1
            raise ConfigError(" ".join(str(error).split()), where=where) from error


def _can_go_on(content: Mapping[str, Any]) -> bool:
    """Whether a checkpoint holds more than weights."""
    return "optimizer_states" in content and "global_step" in content


def _after(key: TrainingKey, before: Any, resumed: Resumed, take_new: Sequence[str]) -> TrainingKey:
    """The key of a training that goes on.

    Raises:
        ExperimentError: the record of the version is damaged.
    """
    try:
        return key.after(before, resumed.step, take_new)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ExperimentError(f"the record of {resumed.run.path.name} is damaged: {error!r}") from error
