"""One test, from a checkpoint to a table of metrics."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.executors.eval_pipeline import scalar_stats
from runway.executors.failures import told_failures
from runway.executors.lightning_internals import logged_steps
from runway.experiment.callbacks.progress import progress_callbacks
from runway.experiment.checkpoint_content import load_weights, misfits, read_checkpoint, trusting_own_classes
from runway.experiment.checkpoint_files import read_or_earlier
from runway.experiment.context import ExperimentContext, Result
from runway.experiment.evaluation import MEASURED, Evaluation, write_metrics
from runway.experiment.folders.file_names import RUN_LOG, TEST_RECORDER
from runway.experiment.folders.find_checkpoint import choose_checkpoint, weights_file
from runway.experiment.folders.in_use import folder_of_test
from runway.experiment.folders.run_folder import RunFolder
from runway.experiment.start_checks import check_executor
from runway.experiment.together import agreed, check_launch, join, processes_of, seen_here
from runway.experiment.trainer import build_trainer, quiet_lightning
from runway.experiment.training_key import executor_code
from runway.log import info
from runway.pipeline.keys.fingerprint import Unfingerprintable
from runway.ranks import rank

if TYPE_CHECKING:
    import lightning

    from runway.pipeline import DataPipeline
    from runway.recorder import EvalRecorder

TRAINER_SETTING = "test.trainer_paras"
WEIGHTS_SETTING = "test.load_model_path"


class Testing:
    """Tests one checkpoint of an experiment and evaluates what it predicted.

    Args:
        context: gives config, data and executor.
    """

    def __init__(self, context: ExperimentContext) -> None:
        self.context = context
        self.config = context.config.get("test") or {}
        self.paras = self.config.get("trainer_paras") or {}
        self.evaluation = Evaluation(context)
        self._read: dict[Path, Path] = {}  # {what was chosen: what is tested}

    def run(self) -> Result:
        """Choose version and checkpoint, load, test, evaluate, report."""
        context = self.context
        with quiet_lightning():
            trial = self._check()
            if processes_of(trial) == 1 and rank() != 0:
                return Result(context.root)  # it is the first process that tests
            version = self._find_version()
            pipeline, data = context.prepared_data()
            self.evaluation.check()
            join(trial, "test")
            with ExitStack() as held:
                run = context.agreed_on(version) if version else context.claim(held)
                checkpoint = seen_here(Path(agreed("CHECKPOINT", lambda: str(self._checkpoint(run)))))
                folder = held.enter_context(folder_of_test(run, context.test_suffix))
                metrics = self._test_in(folder, run, checkpoint, pipeline, data)
        self.evaluation.show(metrics, folder)
        return Result(folder, metrics, checkpoint)

    def _test_in(
        self,
        folder: Path,
        run: RunFolder,
        checkpoint: Path,
        pipeline: DataPipeline,
        data: Mapping[str, Mapping[str, Any]],
    ) -> dict[str, Any]:
        context = self.context
        context.work_on(run, folder)
        executor = context.build_executor("test", pipeline, folder / RUN_LOG)
        vars(executor)["recorders_dir"] = folder
        # Relative to the version where it stands in it: the folder may move.
        inside = checkpoint.is_relative_to(run.path)
        shown = checkpoint.relative_to(run.path).as_posix() if inside else str(checkpoint)
        with context.logging_to(folder):
            info(f"testing {checkpoint.name} of {run.path.name}")
            facts = {"checkpoint": shown, "executor": _known_code(context)}
            with context.recording("test", run, folder, data, **facts):
                return self._test(executor, run, folder, checkpoint)

    def _check(self) -> lightning.Trainer:
        """What the config says about testing, tried without writing anything; gives a Trainer of its arguments."""
        context = self.context
        context.check_flags("test")
        _ = context.logger_names
        trial = build_trainer(self.paras, TRAINER_SETTING)
        check_launch(trial, TRAINER_SETTING)
        check_executor(context.executor_class(), "test_step", "a test", context.init_kwargs)
        return trial

    def _find_version(self) -> RunFolder | None:
        """What to test; weights from elsewhere may be tested without any training of ours: None is a new version."""
        context = self.context
        if self.config.get("load_model_path"):
            self._weights()
            any_version = context.global_config.get("exp_version") is not None or context.folder.versions()
            return context.version(lambda run: True, "results", "") if any_version else None
        run = context.version(RunFolder.has_checkpoints, "checkpoints", "train it first")
        self._checkpoint(run)  # a damaged one is found out before anything is done
        return run

    def _weights(self) -> Path:
        return weights_file(self.config["load_model_path"], self.context.project, WEIGHTS_SETTING)

    def _checkpoint(self, run: RunFolder) -> Path:
        """What to test; in the place of the best or the last, if it is damaged, another one of the version."""
        if self.config.get("load_model_path"):
            return self._weights()
        chosen = choose_checkpoint(run, self.config)
        if chosen not in self._read:
            if self.config.get("checkpoint_name") in (None, "", "best", "last"):
                self._read[chosen], _ = read_or_earlier(run, chosen, lambda content: "state_dict" in content)
            else:
                read_checkpoint(chosen)
                self._read[chosen] = chosen
        return self._read[chosen]

    def _test(
        self, executor: lightning.LightningModule, run: RunFolder, folder: Path, checkpoint: Path
    ) -> dict[str, Any]:
        context = self.context
        trainer = build_trainer(
            self.paras,
            TRAINER_SETTING,
            callbacks=progress_callbacks(self.paras, lines=False),
            logger=context.build_loggers(context.logger_names, run, folder),
            root=folder,
        )
        if self.config.get("load_model_path"):
            load_weights(executor, checkpoint, WEIGHTS_SETTING)
            with told_failures(executor):
                trainer.test(executor, verbose=False)
        else:
            with told_failures(executor), misfits(checkpoint, "test.checkpoint_name"), trusting_own_classes():
                trainer.test(executor, ckpt_path=checkpoint, weights_only=True, verbose=False)
        measured: dict[str, Any] = {name: float(value) for name, value in trainer.callback_metrics.items()}
        recorder = getattr(executor, "test_eval_recorder", None)
        if rank() != 0:
            return measured
        if recorder is None or not len(recorder):
            write_metrics(folder, measured)
            return measured
        recorder.rename(TEST_RECORDER, new_base_dir=folder)
        recorder.log_stats_dict(measured)  # so that an evaluation without a test has them too
        recorder.meta_config[MEASURED] = measured
        recorder.save_to_disk()
        metrics, evaluated = self.evaluation.evaluate(recorder, folder)
        step = logged_steps(trainer)
        computed = {f"test/{name}": value for name, value in scalar_stats(evaluated).items()}
        for logger in trainer.loggers if computed else ():
            logger.log_metrics(computed, step)
            logger.save()
        if context.log_prediction_tables:
            log_table(trainer, evaluated, step)
        return metrics


def _known_code(context: ExperimentContext) -> dict[str, Any] | None:
    """The executor's code; None where it cannot be told, which the training has said."""
    try:
        return executor_code(context)
    except Unfingerprintable:
        return None


def log_table(trainer: lightning.Trainer, recorder: EvalRecorder, step: int) -> None:
    """Give the table of samples to every logger that takes tables."""
    takers = [logger for logger in trainer.loggers if hasattr(logger, "log_table")]
    if not takers:
        info("none of the loggers takes tables of predictions (wandb does)")
        return
    samples = recorder.get_sample_logs("pandas")
    for logger in takers:
        logger.log_table(key="test/predictions", dataframe=samples, step=step)
