"""One test, from a checkpoint to a table of metrics."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.executors.eval_pipeline import scalar_stats
from runway.executors.lightning_internals import logged_steps
from runway.experiment.callbacks.progress import test_progress_callbacks
from runway.experiment.experiment import TEST_RECORDER
from runway.experiment.folders.checkpoints import (
    choose_checkpoint,
    is_misfit,
    load_weights,
    misfit,
    read_checkpoint,
    trusting_own_classes,
    weights_file,
)
from runway.experiment.folders.run_folder import RunFolder, write_json
from runway.experiment.loggers import LoggerPlace, build_loggers, check_loggers, finish_loggers
from runway.experiment.results import TestResult
from runway.experiment.start_checks import check_settings, check_step
from runway.experiment.trainer import QUIET, build_trainer, check_trainer, quiet_lightning
from runway.log import info

if TYPE_CHECKING:
    import lightning

    from runway.experiment.experiment import RunwayExperiment
    from runway.recorder import EvalRecorder

TRAINER_PLACE = "test.trainer_paras"


class Testing:
    """Tests one checkpoint of an experiment and evaluates what it predicted.

    Args:
        experiment: gives config, data and executor.
    """

    def __init__(self, experiment: RunwayExperiment) -> None:
        self.experiment = experiment
        self.config = experiment.config.get("test") or {}
        self.paras = self.config.get("trainer_paras") or {}

    def run(self) -> TestResult:
        """Choose version and checkpoint, load, test, evaluate, report."""
        experiment = self.experiment
        with quiet_lightning():
            logger_names = self._check()
            run, checkpoint = self._version_and_checkpoint()
            folder = run.test(experiment.test_suffix)
            pipeline, nodes = experiment.data()
            experiment.check_evaluation()
            experiment.place(run, folder)
            executor = experiment.build_executor("test", pipeline, folder / "run.log")
            vars(executor)["recorders_dir"] = folder
            with experiment.logging_to(folder / "run.log"):
                info(f"testing {checkpoint.name} of {run.path.name}")
                record = experiment.provenance(folder, "test", run, pipeline, nodes)
                record.facts["checkpoint"] = _shown(checkpoint, run)
                experiment.write_config(folder)
                record.begin(experiment.project)
                try:
                    with record.recording():
                        metrics = self._test(executor, run, folder, checkpoint, logger_names)
                finally:
                    finish_loggers()
        experiment.show(metrics, folder)
        return TestResult(folder, metrics, checkpoint)

    def _check(self) -> list[str]:
        """What the config says about testing, tried without writing anything."""
        self.experiment.no_training_flags("test")
        names = check_loggers(self.experiment.meta.get("logger_enable"))
        check_trainer(self.paras, TRAINER_PLACE)
        executor = self.experiment.executor_class()
        check_step(executor, "test_step", "a test")
        check_settings(executor, (self.experiment.config.get("executor") or {}).get("init_kwargs") or {})
        return names

    def _version_and_checkpoint(self) -> tuple[RunFolder, Path]:
        """What to test; weights from elsewhere may be tested without any training of ours."""
        experiment = self.experiment
        if self.config.get("load_model_path"):
            path = weights_file(self.config["load_model_path"], experiment.project, "test.load_model_path")
            any_version = experiment.global_config.get("exp_version") is not None or experiment.folder.versions()
            run = experiment.version(lambda run: True, "results", "") if any_version else experiment.claim()
            return run, path
        run = experiment.version(RunFolder.has_checkpoints, "checkpoints", "train it first")
        path = choose_checkpoint(run, self.config)
        read_checkpoint(path)  # a damaged one is found out before anything is done
        return run, path

    def _test(
        self,
        executor: lightning.LightningModule,
        run: RunFolder,
        folder: Path,
        checkpoint: Path,
        logger_names: list[str],
    ) -> dict[str, Any]:
        experiment = self.experiment
        place = LoggerPlace(run.path, folder, experiment.meta, experiment.project, experiment.config, run.tags)
        callbacks = test_progress_callbacks(self.paras)
        trainer = build_trainer(
            self.paras,
            TRAINER_PLACE,
            callbacks=callbacks,
            logger=build_loggers(logger_names, place),
            default_root_dir=str(folder),
            **QUIET | {"enable_progress_bar": bool(callbacks)},
        )
        if self.config.get("load_model_path"):
            load_weights(executor, checkpoint, "test.load_model_path")
            trainer.test(executor, verbose=False)
        else:
            try:
                with trusting_own_classes():
                    trainer.test(executor, ckpt_path=str(checkpoint), weights_only=True, verbose=False)
            except RuntimeError as error:
                if not is_misfit(error):
                    raise
                raise misfit(error, checkpoint, "test.checkpoint_name") from error
        measured = plain_numbers(trainer.callback_metrics)
        recorder = getattr(executor, "test_eval_recorder", None)
        if not trainer.is_global_zero:
            return measured
        if recorder is None or not len(recorder):
            write_json(folder / "metrics.json", measured)
            return measured
        recorder.rename(TEST_RECORDER, new_base_dir=folder)
        recorder.log_stats_dict(measured)  # so that an evaluation without a test has them too
        recorder.save_to_disk("eval_recorder")
        metrics, evaluated = experiment.evaluate(recorder, folder)
        step = _step_of(trainer)
        computed = {f"test/{name}": value for name, value in scalar_stats(evaluated).items()}
        for logger in trainer.loggers if computed else ():
            logger.log_metrics(computed, step)
            logger.save()
        if experiment.log_prediction_tables:
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


def plain_numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Lightning's metrics as plain numbers."""
    return {name: float(value) for name, value in metrics.items()}


def _shown(checkpoint: Path, run: RunFolder) -> str:
    """Relative to the version where it stands in it: the folder may move."""
    return checkpoint.relative_to(run.path).as_posix() if checkpoint.is_relative_to(run.path) else str(checkpoint)


def _step_of(trainer: lightning.Trainer) -> int:
    return logged_steps(trainer)
