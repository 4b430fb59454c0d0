"""Predictions of a trained run for rows that are given: its executor, built from its own config, runs its test step."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.config.signatures import accepted_settings
from runway.errors import ConfigError, DataError, ExperimentError, RunwayError, must_be_known
from runway.executors.failures import told_failures
from runway.experiment.checkpoint_content import misfits, trusting_own_classes, weights_digest
from runway.experiment.context import ExperimentContext
from runway.experiment.start_checks import check_executor
from runway.experiment.trainer import build_trainer, quiet_lightning
from runway.pipeline import DataPipeline
from runway.pipeline.graph import inputs_of
from runway.pretrained import open_pretrained
from runway.transforms.base import BaseTransform

if TYPE_CHECKING:
    from runway.executors.base_executor import BaseExecutor
    from runway.experiment.trained_run import TrainedRun
    from runway.recorder import EvalRecorder

GIVEN = "input:given"
TRAINER_SETTING = "test.trainer_paras"


class GivenRows(BaseTransform):
    """Stands in the run's pipeline for the rows that are given."""

    def _call(self, data: Any) -> Any:
        return data


class Predictor:
    """A trained run's executor with its weights, ready to predict.

    Args:
        run: what LoadRun gives.
        project: the folder that relative paths are taken against.
        through: the run's node that takes the rows instead of its first input; None where they need no preparing.
        init_kwargs: over the run's ``executor.init_kwargs``.
        batch_size: instead of the run's ``test.batch_size``.
        trainer_paras: over the run's ``test.trainer_paras``.
        where: what wants predictions, for errors.

    Raises:
        ConfigError: the run's executor is not known here, or does not take its settings.
        ExperimentError: the run is not here, or its weights are not those that the reference was made of.
    """

    def __init__(
        self,
        run: TrainedRun,
        project: Path,
        *,
        through: str | None = None,
        init_kwargs: Mapping[str, Any] | None = None,
        batch_size: int | None = None,
        trainer_paras: Mapping[str, Any] | None = None,
        where: str = "Predict",
    ) -> None:
        self.run, self.project, self.through, self.where = run, project, through, where
        self.checkpoint = run.checkpoint_path(project)
        config = run.config(project)
        section = config.get("executor") or {}
        config["executor"] = {**section, "init_kwargs": {**(section.get("init_kwargs") or {}), **(init_kwargs or {})}}
        test = config.get("test") or {}
        paras = {"accelerator": "auto", "devices": 1, **(trainer_paras or {})}
        config["test"] = {**test, "trainer_paras": {**(test.get("trainer_paras") or {}), **paras}}
        if batch_size is not None:
            config["test"]["batch_size"] = batch_size
        self.context = ExperimentContext(config)
        try:
            self.executor_class = self.context.executor_class()
        except ConfigError as error:
            error.where = f"{where}: the config of {run.name}, {error.where}"
            raise
        check_executor(self.executor_class, "test_step", "predicting", self.context.init_kwargs)
        self._executor: BaseExecutor | None = None

    def predict(self, rows: Any) -> EvalRecorder:
        """What the test step records for some rows, in their order.

        Args:
            rows: a Dataset, dataloaders, or what the node ``through`` takes.

        Raises:
            DataError: nothing was recorded, or the rows are not such as the executor takes.
        """
        with quiet_lightning(), tempfile.TemporaryDirectory() as scratch:
            executor = self._executor = self._executor or self.build()
            loaders = self._loaders(executor, rows)
            vars(executor)["test_dataloader"] = lambda: loaders
            paras = self.context.config["test"]["trainer_paras"]
            trainer = build_trainer({**paras, "enable_checkpointing": False}, TRAINER_SETTING, root=Path(scratch))
            fitting = misfits(self.checkpoint, self.where)
            with told_failures(executor), fitting, trusting_own_classes(), self._noting_own_batches():
                trainer.test(executor, ckpt_path=self.checkpoint, weights_only=True, verbose=False)
            recorder = executor.test_eval_recorder
        if not len(recorder):
            raise DataError(
                f"{self.executor_class.__name__} has recorded nothing",
                where=self.where,
                hint="its test_step must log rows: self.test_eval_recorder.log_sample_dict_batch({...})",
            )
        recorder.rename("predictions", new_base_dir=None)
        return recorder

    @contextmanager
    def _noting_own_batches(self) -> Iterator[None]:
        """Where the executor's code fails, say how the batches were made: its ``setup`` may make others."""
        from runway.executors.base_executor import BaseExecutor

        cls = self.executor_class
        try:
            yield
        except Exception as error:
            default = getattr(cls, "loaders_for", None) is BaseExecutor.loaders_for
            if default and not isinstance(error, RunwayError):
                error.add_note(
                    f"(the batches of {self.where} are those of `loaders_for` of {cls.__name__}; where its `setup` or "
                    "`test_dataloader` makes them in another way, override `loaders_for(self, data)`)"
                )
            raise

    def build(self) -> BaseExecutor:
        """The executor, without its weights yet.

        Raises:
            ConfigError: it is no BaseExecutor.
            ExperimentError: the weights have changed since the run was loaded.
        """
        from runway.executors.base_executor import BaseExecutor

        if weights_digest(self.checkpoint) != self.run.weights:
            hint = "run again: LoadRun sees the new file"
            message = f"the weights in {self.checkpoint.name} have changed since {self.run.name} was loaded"
            raise ExperimentError(message, where=str(self.checkpoint), hint=hint)
        pipeline = self.context.pipeline() if self.context.config.get("data_pipeline") else None
        executor = self.context.build_executor("test", pipeline, tokenizer=self._tokenizer())
        if not isinstance(executor, BaseExecutor):
            message = f"{self.executor_class.__name__} is no BaseExecutor, so nothing records its predictions"
            raise ConfigError(message, where=self.where, hint="inherit from runway.BaseExecutor")
        if type(executor).prepare_data is BaseExecutor.prepare_data:
            vars(executor)["prepare_data"] = lambda: None  # the rows are given
        return executor

    def _tokenizer(self) -> Any:
        """The tokenizer that the run has saved: its pipeline need not be run for it."""
        folder = self.run.tokenizer_folder(self.project)
        takes_one = "tokenizer" in accepted_settings(self.executor_class, "__init__").names
        if folder is None or not folder.is_dir() or not takes_one:
            return None
        from transformers import AutoTokenizer

        sides = [side for side in ("source", "target") if (folder / side).is_dir()]
        load = partial(open_pretrained, AutoTokenizer, where=str(folder), local_files_only=True)
        return {side: load(folder / side) for side in sides} if sides else load(folder)

    def _loaders(self, executor: BaseExecutor, rows: Any) -> list[Any]:
        if self.through is None:
            return executor.loaders_for(rows)
        if not executor.use_data_node:
            message = f"the executor of {self.run.name} names no data node, so no node prepares rows for it"
            raise ConfigError(message, where=f"{self.where}, through", hint="leave it out, and give prepared rows")
        section = self._prepared_by_the_run(self.through)
        config, project = self.context.global_config, self.context.project
        where = f"{self.where}: the pipeline of {self.run.name}"
        pipeline = DataPipeline(section, global_config=config, project=project, where=where, quiet=True, live=False)
        if hasattr(rows, "column_names"):
            from datasets import DatasetDict

            rows = DatasetDict({"test": rows})
        prepared = pipeline.get_data([executor.use_data_node], explode=True, input_data_dict={GIVEN: rows})
        return executor.loaders_for(prepared)

    def _prepared_by_the_run(self, through: str) -> dict[str, Any]:
        """The run's pipeline, in which the given rows take the place of what ``through`` takes first."""
        section = self.context.config["data_pipeline"].to_dict()
        nodes: dict[str, Any] = section["transforms"]
        what = f"the pipeline of {self.run.name} has no node"
        must_be_known([through], nodes, what, where=f"{self.where}, through")
        inputs, named = nodes[through].get("input_node"), nodes[through].get("inputs") or {}
        if inputs is None and named:
            nodes[through]["inputs"] = {**named, "data" if "data" in named else min(named): GIVEN}
        else:
            nodes[through]["input_node"] = [GIVEN, *inputs[1:]] if isinstance(inputs, list) else GIVEN
        nodes[GIVEN] = {"transform_name": f"{GivenRows.__module__}:{GivenRows.__qualname__}"}
        below, found = {GIVEN}, {GIVEN}
        while found:  # what comes of these rows is of no use to anybody else
            for name in found:
                nodes[name]["cache"] = False
            found = {name for name, node in nodes.items() if below & set(inputs_of(node))} - below
            below |= found
        return section
