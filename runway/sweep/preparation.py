"""Before a trial trains: its data is prepared, once for all trials that share it, and it gets its key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runway.errors import ConfigError, ExperimentError, RunFailed, RunwayError, raise_collected
from runway.experiment import RunwayExperiment
from runway.experiment.callbacks.early_stopping import early_stopping_callbacks
from runway.experiment.callbacks.monitoring import checkpoint_callback
from runway.experiment.folders import file_names
from runway.experiment.start_checks import check_training
from runway.experiment.trainer import build_trainer, quiet_lightning
from runway.experiment.training_key import training_key
from runway.log import warning
from runway.pipeline.keys.fingerprint import Unfingerprintable, combine, digest

if TYPE_CHECKING:
    from runway.experiment.context import ExperimentContext
    from runway.pipeline import DataPipeline
    from runway.pipeline.plan import Force
    from runway.sweep.trials import Trial

_NOT_TRAINED = ("experiment_name", "test", "test_suffix", "exp_version", "sweep")


def experiment_of(trial: Trial, *, use_dummy_data: bool, force: Force | None = None) -> RunwayExperiment:
    """The experiment that a trial is a version of."""
    return RunwayExperiment(trial.config, use_dummy_data=use_dummy_data, force=force or ())


def check_trainings(trials: Sequence[Trial], *, use_dummy_data: bool) -> None:
    """Find out what would stop a training before its first step: executor, optimiser, callbacks, Trainer.

    Raises:
        ConfigError: something would; each mistake once, with the trial that has it.
    """
    errors: dict[str, RunwayError] = {}
    for trial in trials:
        context = experiment_of(trial, use_dummy_data=use_dummy_data)
        train = context.config.get("train") or {}
        try:
            with quiet_lightning():
                _ = context.logger_names
                early_stopping_callbacks(train, checkpoint_callback(train, Path(file_names.SAVED_MODELS)))
                build_trainer(train.get("trainer_paras") or {}, "train.trainer_paras")
                check_training(context.executor_class(), context.config)
        except ConfigError as error:
            error.where = f"the trial {trial.label}" + (f": {error.where}" if error.where else "")
            errors.setdefault(error.message, error)
    raise_collected(list(errors.values()))


def prepare(
    trial: Trial, *, use_dummy_data: bool, force: Force | None = None, until: str | None = None
) -> RunwayError | None:
    """Bring a trial's data up to date, and give the trial its key.

    Args:
        trial: the trial.
        use_dummy_data: a few rows only.
        force: nodes that run whatever the cache holds, once for all trials.
        until: prepare this node only; the trial gets no key, as one without an executor.

    Returns:
        Why the data could not be had, which ends this trial and no other; None where it could.
    """
    context = experiment_of(trial, use_dummy_data=use_dummy_data, force=force)
    try:
        if until is not None or not context.config.get("executor"):  # which only `--only prepare` has come to
            context.prepare_data(until)
            return None
        pipeline, _ = context.prepared_data()
    except RunFailed as error:
        return error.failures[0] if len(error.failures) == 1 else error
    except RunwayError as error:
        return error
    trial.key, trial.code = key_of(context, pipeline)
    return None


def key_of(context: ExperimentContext, pipeline: DataPipeline) -> tuple[str, str]:
    """What a trial is known by: the key of its training, and the digest of its code.

    A training that has no key (of data that cannot be told by its content) is known by its config alone, which is said.
    """
    try:
        key = training_key(context, pipeline)
        return key.key(), digest(key.code)
    except (ExperimentError, Unfingerprintable) as error:
        warning(f"trials are known by their configs alone, not by their data and code: {error.message}", once=True)
    config = {name: part for name, part in context.config.to_dict().items() if name not in _NOT_TRAINED}
    config["meta"] = {"seed": context.seed}
    return combine("trial", digest(config, "the config"), str(context.use_dummy_data)), ""


def test_key_of(trial: Trial) -> str:
    """What the test of a trial is known by: the trial, what a test reads of the config, the code of its evaluation."""
    from runway.pipeline.graph import check_pipelines
    from runway.pipeline.keys.code import code_of

    config = trial.config.to_dict()
    graphs, _ = check_pipelines(trial.config)
    classes = {cls for where, graph in graphs.items() if where.startswith("eval.") for cls in graph.classes.values()}
    codes = sorted(digest(code_of(cls).parts) for cls in classes)
    read = {name: config.get(name) for name in ("test", "test_suffix", "eval")}
    return combine("test", trial.key, digest(read), *codes)
