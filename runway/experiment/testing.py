"""One test, from a checkpoint to a table of metrics."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.executors.eval_pipeline import scalar_stats
from runway.executors.lightning_internals import logged_steps
from runway.experiment.callbacks.progress import progress_callbacks
from runway.experiment.checkpoint_content import load_weights, misfits, read_checkpoint, trusting_own_classes
from runway.experiment.context import ExperimentContext, Result
from runway.experiment.evaluation import Evaluation
from runway.experiment.folders.file_names import METRICS, RUN_LOG, TEST_RECORDER
from runway.experiment.folders.find_checkpoint import choose_checkpoint, weights_file
from runway.experiment.folders.run_folder import RunFolder, write_json
from runway.experiment.start_checks import check_executor
from runway.experiment.trainer import build_trainer, quiet_lightning
from runway.log import info
from runway.ranks import rank

if TYPE_CHECKING:
    import lightning

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

    def run(self) -> Result:
        """Choose version and checkpoint, load, test, evaluate, report."""
        context = self.context
        with quiet_lightning():
            self._check()
            run, checkpoint = self._version_and_checkpoint()
            folder = run.test(context.test_suffix)
            pipeline, data = context.prepared_data()
            self.evaluation.check()
            context.work_on(run, folder)
            executor = context.build_executor("test", pipeline, folder / RUN_LOG)
            vars(executor)["recorders_dir"] = folder
            # Relative to the version where it stands in it: the folder may move.
            inside = checkpoint.is_relative_to(run.path)
            shown = checkpoint.relative_to(run.path).as_posix() if inside else str(checkpoint)
            with context.logging_to(folder):
                info(f"testing {checkpoint.name} of {run.path.name}")
                with context.recording("test", run, folder, data, checkpoint=shown):
                    metrics = self._test(executor, run, folder, checkpoint)
        self.evaluation.show(metrics, folder)
        return Result(folder, metrics, checkpoint)

    def _check(self) -> None:
        """What the config says about testing, tried without writing anything."""
        context = self.context
        context.check_flags("test")
        _ = context.logger_names
        build_trainer(self.paras, TRAINER_SETTING)
        check_executor(context.executor_class(), "test_step", "a test", context.init_kwargs)

    def _version_and_checkpoint(self) -> tuple[RunFolder, Path]:
        """What to test; weights from elsewhere may be tested without any training of ours."""
        context = self.context
        if self.config.get("load_model_path"):
            path = weights_file(self.config["load_model_path"], context.project, WEIGHTS_SETTING)
            any_version = context.global_config.get("exp_version") is not None or context.folder.versions()
            run = context.version(lambda run: True, "results", "") if any_version else context.claim()
            return run, path
        run = context.version(RunFolder.has_checkpoints, "checkpoints", "train it first")
        path = choose_checkpoint(run, self.config)
        read_checkpoint(path)  # a damaged one is found out before anything is done
        return run, path

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
            trainer.test(executor, verbose=False)
        else:
            with misfits(checkpoint, "test.checkpoint_name"), trusting_own_classes():
                trainer.test(executor, ckpt_path=checkpoint, weights_only=True, verbose=False)
        measured: dict[str, Any] = {name: float(value) for name, value in trainer.callback_metrics.items()}
        recorder = getattr(executor, "test_eval_recorder", None)
        if rank() != 0:
            return measured
        if recorder is None or not len(recorder):
            write_json(folder / METRICS, measured)
            return measured
        recorder.rename(TEST_RECORDER, new_base_dir=folder)
        recorder.log_stats_dict(measured)  # so that an evaluation without a test has them too
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


def log_table(trainer: lightning.Trainer, recorder: EvalRecorder, step: int) -> None:
    """Give the table of samples to every logger that takes tables."""
    takers = [logger for logger in trainer.loggers if hasattr(logger, "log_table")]
    if not takers:
        info("none of the loggers takes tables of predictions (wandb does)")
        return
    samples = recorder.get_sample_logs("pandas")
    for logger in takers:
        logger.log_table(key="test/predictions", dataframe=samples, step=step)
