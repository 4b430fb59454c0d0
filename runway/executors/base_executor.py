"""BaseExecutor: the LightningModule that a pipeline feeds and whose predictions a recorder keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning
import torch
from torch import nn

from runway.assets import assets_cache
from runway.config.config import Config, project_of
from runway.config.signatures import accepted_settings
from runway.disk import replacing
from runway.errors import ConfigError, DataError, must_be, must_be_known
from runway.executors.callbacks.on_nan import STOP, OnNaN
from runway.executors.callbacks.recording import Recording, with_recording
from runway.executors.data_attributes import as_list, given_loaders, loaders_of_splits, own_loaders
from runway.executors.eval_pipeline import run_eval_pipeline
from runway.executors.lightning_internals import attached_trainer
from runway.executors.optimizers import build_optimizer, build_scheduler, classes_named
from runway.executors.precision import scales_gradients
from runway.executors.pretrained import loading_a_model, resolve_source
from runway.recorder import EvalRecorder

if TYPE_CHECKING:
    from runway.pipeline import DataPipeline

SHARDED = ("FSDPStrategy", "DeepSpeedStrategy", "ModelParallelStrategy")
SPLITS = {"train": "train", "sanity_check": "validation", "validate": "validation", "test": "test"}


class BaseExecutor(lightning.LightningModule):
    """What every executor does; a subclass says what the model is and what a step computes.

    Write ``_init_model`` (sets ``self.model``), ``training_step``, ``validation_step`` and ``test_step``;
    every other hook of a LightningModule may be overridden too. What a recorder is for does not need ``super()``.
    In a step, ``self.log(name, value)`` reaches every logger, and
    ``self.valid_eval_recorder.log_sample_dict_batch({column: values})`` (``test_eval_recorder`` in a test)
    keeps the predictions. After a validation the recorder is put into the dataset's order, evaluated by
    ``eval.valid_eval_pipeline_config`` (else ``eval.pipeline_config``) and saved; what the pipeline
    computes is logged under its own name, so ``monitor: 'accuracy'`` works.

    The model starts in training mode, whatever its loader left it in.

    Args:
        data_pipeline_config: the config's ``data_pipeline``.
        model_config: the config's ``model_config``; given to ``_init_model``.
        mode: ``train``, ``test`` or ``eval``.
        train_config: the config's ``train``: optimiser, LoRA, ``compile``.
        test_config: the config's ``test``.
        log_file_path: the run's log file.
        use_data_node: the node whose output feeds the executor.
        tokenizer: the tokenizer; by default the one of ``tokenizer_config``, loaded on first use.
        global_config: the whole config.
        data_pipeline: a pipeline that is there already; by default one is made of ``data_pipeline_config``.
        record_columns: columns of the dataset to record beside the predictions of a validation and a test; by default
            ``usual_columns``, as far as the dataset has them.
        **kwargs: none is taken; a setting that no constructor takes is told by its name.

    Raises:
        ConfigError: there is such a setting.
    """

    recorders_dir: Path | None = None
    """Where recorders are saved; the experiment sets it. Without it: ``recorders`` in the trainer's root folder."""

    step_losses: Mapping[str, torch.Tensor] | None = None
    """The parts of the loss of the training step at hand, which it may set: told where the loss is no number."""

    usual_columns: Sequence[str] = ()
    """The columns of the dataset that are recorded beside predictions where ``record_columns`` names none."""

    takes_tasks = False
    """Whether it trains what a config names under ``tasks``."""

    lora_task_type: str | None = None
    """peft's task type, where ``train.lora_config`` names none."""

    def __init__(
        self,
        data_pipeline_config: Mapping[str, Any] | None,
        model_config: Mapping[str, Any] | None,
        mode: str,
        train_config: Mapping[str, Any] | None = None,
        test_config: Mapping[str, Any] | None = None,
        log_file_path: str | Path | None = None,
        use_data_node: str | None = None,
        tokenizer: Any = None,
        global_config: Mapping[str, Any] | None = None,
        data_pipeline: DataPipeline | None = None,
        record_columns: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        known = set(accepted_settings(type(self), "__init__").names) - kwargs.keys()
        must_be_known(kwargs, known, f"{type(self).__name__} has no setting", where="executor.init_kwargs", listing=20)
        self.data_pipeline_config = _as_config(data_pipeline_config)
        self.mode = mode
        self.train_config = _as_config(train_config)
        self.test_config = _as_config(test_config)
        self.log_file_path = log_file_path
        fits = record_columns is None or not isinstance(record_columns, str)
        where = "executor.init_kwargs.record_columns"
        must_be(fits, "record_columns", "a list of columns", record_columns, where=where)
        self.record_columns = record_columns if record_columns is None else list(record_columns)
        self.use_data_node = use_data_node
        self.global_config = _as_config(global_config)
        self.model_config = resolve_source(_as_config(model_config), **self._runway_asset_folders())
        if data_pipeline is None and self.data_pipeline_config:
            from runway.pipeline import DataPipeline

            config, project = self.global_config, self.project_dir
            data_pipeline = DataPipeline(self.data_pipeline_config, global_config=config, project=project, live=False)
        self.dp = data_pipeline
        self.valid_eval_recorder = EvalRecorder("validation")
        self.test_eval_recorder = EvalRecorder("test-evaluation")
        self._runway_made_loaders: dict[str | None, Mapping[str, Any]] = {}
        self._runway_tokenizer = tokenizer
        self._runway_recording = Recording()
        # Also where a subclass's configure_callbacks does not call this class's.
        vars(self)["configure_callbacks"] = partial(with_recording, self.configure_callbacks, self._runway_recording)

        self.model: Any = None
        with loading_a_model(self.model_config):
            self._init_model(self.model_config)
        self.train()  # from_pretrained gives a model in eval mode, and Lightning leaves it there: no dropout
        if self.train_config.get("lora_config") and "use_lora" not in self.train_config:
            message = "`lora_config` is given, but nothing asks for LoRA"
            hint = "set train.use_lora=true, or false to leave it out"
            raise ConfigError(message, where="train.lora_config", hint=hint)
        if self.train_config.get("use_lora"):
            from runway.executors.lora import add_lora

            add_lora(self, self.train_config.get("lora_config"), task_type=self.lora_task_type)
        if self.train_config.get("compile") and isinstance(self.model, nn.Module):
            options = self.train_config["compile"]
            self.model.compile(**(options if isinstance(options, Mapping) else {}))

    def _init_model(self, model_config: Config) -> None:
        """Set ``self.model``."""
        raise NotImplementedError(f"{type(self).__name__} must define _init_model(self, model_config)")

    @property
    def project_dir(self) -> Path:
        """The project's folder, against which relative paths in the config are taken."""
        return project_of(self.global_config)

    def _runway_asset_folders(self) -> dict[str, Path]:
        return {"project": self.project_dir, "cache_dir": assets_cache(self.global_config, self.project_dir)}

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of ``tokenizer_config``, or the one that was given."""
        if self._runway_tokenizer is None:
            from runway.transforms.loading.tokenizer import load_tokenizer

            tokenizer_config = self.global_config.get("tokenizer_config")
            if not tokenizer_config:
                message = f"{type(self).__name__} asks for a tokenizer, but the config names none"
                raise ConfigError(message, where="tokenizer_config")
            self._runway_tokenizer = load_tokenizer(tokenizer_config, **self._runway_asset_folders())
        return self._runway_tokenizer

    @tokenizer.setter
    def tokenizer(self, tokenizer: Any) -> None:
        self._runway_tokenizer = tokenizer

    def save_tokenizer(self, folder: Path) -> None:
        """Save the tokenizer as transformers does, if one was used."""
        if hasattr(self._runway_tokenizer, "save_pretrained"):
            with replacing(folder) as beside:
                self._runway_tokenizer.save_pretrained(beside)

    def make_room_for_tokens(self, model: Any) -> None:
        """Give a model of transformers embeddings for the config's ``tokenizer_config.additional_tokens``."""
        if (self.global_config.get("tokenizer_config") or {}).get("additional_tokens"):
            size = len(self.tokenizer)
            if size > model.get_input_embeddings().num_embeddings:
                model.resize_token_embeddings(size)

    # Data

    @classmethod
    def data_nodes(cls, config: Mapping[str, Any]) -> list[str] | None:
        """The nodes whose output feeds the executor of a config; None where the config names none."""
        init_kwargs = (config.get("executor") or {}).get("init_kwargs") or {}
        return [init_kwargs["use_data_node"]] if init_kwargs.get("use_data_node") else None

    @classmethod
    def named_classes(cls, config: Mapping[str, Any]) -> list[type]:
        """The classes of the executor's parts that a config names; their code counts in the key of a training."""
        return classes_named(config.get("train"))

    def prepare_data(self) -> None:
        """Run what must run for ``use_data_node``; Lightning calls this in one process per machine."""
        if self.dp is not None:
            self.dp.prepare([self.use_data_node] if self.use_data_node else None, run_uncached=False)

    def node_data(self) -> Any:
        """The output of ``use_data_node``, which the pipeline computes once."""
        if not self.use_data_node or self.dp is None:
            message = f"{type(self).__name__} has no data: it does not know which node to use"
            hint = "name the node that makes the dataloaders, such as 'output:MakeDataloaders'"
            raise ConfigError(message, where="executor.init_kwargs.use_data_node", hint=hint)
        return self.dp.get_data([self.use_data_node], explode=True)

    def train_dataloader(self) -> Any:
        """The training data that ``setup`` has set, else that of the data node; see ``own_loaders``."""
        loaders = self._runway_loaders("train", needed_as="training")
        return loaders[0] if len(loaders) == 1 else loaders

    def val_dataloader(self) -> Any:
        """The validation data that ``setup`` has set, else that of the data node; see ``own_loaders``."""
        return self._runway_loaders("val")

    def test_dataloader(self) -> Any:
        """The test data that ``setup`` has set, else that of the data node; see ``own_loaders``."""
        return self._runway_loaders("test", needed_as="test")

    def loaders_for(self, data: Any) -> list[Any]:
        """The loaders of rows that are given instead of the executor's own, for a test of them (``Predict``).

        Override it where batches are made in a way of your own.

        Args:
            data: what a data node gives (of it the test's loaders), a Dataset of such rows as the data node's splits
                have, dataloaders, or a dataset of torch.
        """
        return given_loaders(self, data)

    def dataloaders(self) -> Mapping[str, Any]:
        """``{train_dataloaders, val_dataloaders, test_dataloaders}``, as far as ``setup`` has set them or the data
        node gives them; empty where it gives other things, of which an executor makes its own."""
        own = {f"{role}_dataloaders": own_loaders(self, role) for role in ("train", "val", "test")}
        own = {name: loaders for name, loaders in own.items() if loaders is not None}
        found: Mapping[str, Any] = {}
        if self.use_data_node and self.dp is not None:
            with suppress(DataError):
                found = self._runway_node_loaders()
        return {**found, **own} if own else found

    def _runway_loaders(self, role: str, needed_as: str | None = None) -> list[Any]:
        loaders = own_loaders(self, role)
        if loaders is None:
            loaders = as_list(self._runway_node_loaders().get(f"{role}_dataloaders"))
        if needed_as and not loaders:
            message = f"there is no {needed_as} data: the data node gives no '{role}_dataloaders'"
            hint = f"or set `self.{role}_dataset` or `self.{role}_dataloaders` in `setup`"
            raise DataError(message, where=f"{self.use_data_node}", hint=hint)
        return loaders

    def _runway_node_loaders(self) -> Mapping[str, Any]:
        """``{train_dataloaders, val_dataloaders, test_dataloaders}`` of what the data node gives, made once."""
        if self.use_data_node not in self._runway_made_loaders:
            self._runway_made_loaders[self.use_data_node] = self._runway_make_loaders(self.node_data())
        return self._runway_made_loaders[self.use_data_node]

    def _runway_make_loaders(self, data: Any) -> Mapping[str, Any]:
        if isinstance(data, Mapping) and any(str(name).endswith("_dataloaders") for name in data):
            return data
        if isinstance(data, Mapping) and data and all(hasattr(split, "column_names") for split in data.values()):
            return loaders_of_splits(self, data)
        raise DataError(
            f"{type(self).__name__} needs a DatasetDict, or a dict with 'train_dataloaders', 'val_dataloaders' and "
            f"'test_dataloaders', but the node gives a {type(data).__name__} instead",
            where=f"{self.use_data_node}",
            hint="put a node of MakeDataloaders after it, set `self.train_dataset` and its like in `setup`, or define "
            "`train_dataloader` and its like",
        )

    def split_at_hand(self) -> str:
        """The split that the current batch is of, and the node that gives it, for errors."""
        trainer = attached_trainer(self)
        stage = trainer.state.stage if trainer else None
        return f"the {SPLITS.get(getattr(stage, 'value', ''), '')} split of {self.use_data_node!r}"

    def require_in_batch(self, batch: Mapping[str, Any], name: str, hint: str) -> None:
        """Raise a DataError where the batches lack what a step needs, with what they have."""
        if name not in batch:
            message = f"the batches have no {name!r} (they have: {', '.join(map(str, batch))})"
            raise DataError(message, where=self.split_at_hand(), hint=hint)

    # Optimisation

    def configure_optimizers(self) -> Any:
        """The optimiser and the schedule of ``train.optimizer_config``."""
        config = self.train_config.get("optimizer_config")
        trainer = self.trainer
        fused = not (trainer.gradient_clip_val and scales_gradients(trainer))  # Lightning refuses that
        optimizer = build_optimizer(self, config, fused=fused, parts=self.parameter_parts())
        schedule = build_scheduler(optimizer, config, lambda: trainer.estimated_stepping_batches)
        return optimizer if schedule is None else {"optimizer": optimizer, "lr_scheduler": schedule}

    @classmethod
    def part_names(cls, config: Mapping[str, Any]) -> list[str] | None:
        """The names of ``parameter_parts``, as far as the config says them."""
        return None

    def parameter_parts(self) -> Mapping[str, Sequence[nn.Parameter]] | None:
        """The parameters of each part of the model that may have optimiser settings of its own; None: none may."""
        return None

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip as Lightning does, and with a fused optimiser too.

        Under mixed precision Lightning refuses to clip for one. That is right in fp16, whose gradients the optimiser
        would unscale; in bf16 there is nothing to unscale.
        """
        sharded = type(self.trainer.strategy).__name__ in SHARDED  # a process holds a part of each gradient
        by_norm = gradient_clip_algorithm in (None, "norm")
        if gradient_clip_val and by_norm and not sharded and not scales_gradients(self.trainer):
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            nn.utils.clip_grad_norm_(parameters, gradient_clip_val)
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def configure_callbacks(self) -> list[lightning.Callback]:
        """The callbacks of every training: the look for a loss that is no number, as ``train.on_nan`` says."""
        given = any(isinstance(callback, OnNaN) for callback in self.trainer.callbacks)  # type: ignore[attr-defined]
        return [] if given else [OnNaN(self.train_config.get("on_nan") or STOP)]

    def log(self, name: str, value: Any, *args: Any, **kwargs: Any) -> None:
        """Lightning's, which weighs by the rows of the loader's batch where no ``batch_size`` is given."""
        if kwargs.get("batch_size") is None:
            kwargs["batch_size"] = self._runway_recording.batch_size(name)
        super().log(name, value, *args, **kwargs)

    # Recording and evaluation: see ``Recording``, which does it whatever an executor's own hooks do

    def on_validation_epoch_end(self) -> None:
        """Evaluate the recorder now: an executor that calls ``super()`` can read what came of it."""
        self._runway_recording.finish_validation(self.trainer, self)

    def on_test_epoch_end(self) -> None:
        """Put the recorder into the dataset's order now; the experiment evaluates and saves it."""
        self._runway_recording.finish_test(self.trainer, self)

    def recorded_metrics(self, prefix: str, recorder: EvalRecorder) -> dict[str, float]:
        """Numbers over all rows of a validation or a test, to be logged; a subclass may compute some.

        Args:
            prefix: ``val`` or ``test``.
            recorder: every row of every rank, once, in the dataset's order.
        """
        return {}

    def _runway_new_recorder(self, name: str) -> EvalRecorder:
        """A recorder to fill, with its place in the run's folder."""
        return EvalRecorder(name, base_dir=self.recorders_dir or Path(self.trainer.default_root_dir) / "recorders")

    def _runway_validation_pipeline(self) -> tuple[Config | None, str]:
        """The pipeline that evaluates a validation, and its name in the config."""
        section = self.global_config.get("eval") or {}
        names = ("valid_eval_pipeline_config", "pipeline_config")
        name = next((name for name in names if section.get(name)), names[-1])
        return section.get(name), f"eval.{name}"

    def _runway_evaluate(self, recorder: EvalRecorder) -> EvalRecorder:
        """Run the validation's evaluation pipeline and leave one recorder on disk, evaluated."""
        pipeline, where = self._runway_validation_pipeline()
        if not pipeline and not len(recorder):
            return recorder
        evaluated = recorder
        try:
            if pipeline:
                config, project = self.global_config, self.project_dir
                evaluated = run_eval_pipeline(pipeline, recorder, global_config=config, project=project, where=where)
        finally:  # a metric that fails must not cost the predictions
            if not evaluated.is_saved:  # by a node of the pipeline, under a name of its own
                if evaluated.name != recorder.name or evaluated.base_dir != recorder.base_dir:
                    evaluated.rename(str(recorder.name), new_base_dir=recorder.base_dir)
                evaluated.save_to_disk("eval_recorder")
        return evaluated


def _as_config(section: Mapping[str, Any] | None) -> Config:
    return section if isinstance(section, Config) else Config(section or {})
