"""BaseExecutor with the attributes and the constructor of the original."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import runway.executors.base_executor as of_runway
from runway.config import Config
from runway.errors import ConfigError
from runway.executors.lightning_internals import attached_trainer
from runway_for_ml.data_module import data_transforms  # noqa: F401  # registers the ops that an old config may name
from runway_for_ml.data_module.data_pipeline import DataPipeline
from runway_for_ml.utils.eval_recorder import EvalRecorder

__all__ = ["BaseExecutor"]


class _OldName:
    """An attribute that is computed until somebody sets it."""

    def __init__(self, value: Callable[[Any], Any], *, keep: bool = False) -> None:
        self.value = value
        self.keep = keep

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, executor: Any, owner: type | None = None) -> Any:
        if executor is None:
            return self
        value = self.value(executor)
        if self.keep:
            vars(executor)[self.name] = value
        return value


def _named(split: str) -> _OldName:
    return _OldName(lambda executor: list((vars(executor).get("data_loaders") or {}).get(split) or {}))


class BaseExecutor(of_runway.BaseExecutor):
    """runway's executor, as subclasses of the original's know it.

    Args:
        data_pipeline_config: the config's ``data_pipeline``.
        model_config: the config's ``model_config``.
        mode: ``train``, ``test`` or ``eval``.
        train_config: the config's ``train``.
        test_config: the config's ``test``.
        use_data_node: the node whose output feeds the executor.
        log_file_path: the run's log file.
        valid_eval_pipeline_config: instead of the config's ``eval.valid_eval_pipeline_config``.
        test_eval_pipeline_config: taken; a test is evaluated by what the config names.
        global_config: the whole config.
        eval_recorder_config: taken, and not read.
        eval_pipeline_config: as ``valid_eval_pipeline_config``, where that is not given.
        use_dtype: kept; ``trainer_paras.precision`` decides.
        logger: taken; loggers are the Trainer's.
        *args: taken, and not read.
        **kwargs: what runway's executor takes.
    """

    valid_cnt = 0
    """How many validations have begun."""
    test_cnt = 0

    config = _OldName(lambda executor: executor.global_config)
    training_config = _OldName(lambda executor: executor.train_config)
    optimizer_config = _OldName(lambda executor: executor.train_config.get("optimizer_config"))
    additional_kwargs = _OldName(lambda executor: executor.model_config.get("additional_kwargs") or {})
    dp_config = _OldName(lambda executor: executor.data_pipeline_config)
    prepared_data = _OldName(lambda executor: executor.node_data(), keep=True)
    use_wandb = _OldName(lambda executor: executor.wandb_logger is not None)
    wandb_logger = _OldName(lambda executor: executor._runway_logger("WandbLogger"))
    tb_logger = _OldName(lambda executor: executor._runway_logger("TensorBoardLogger"))
    log_list = _OldName(lambda executor: [], keep=True)
    train_dataloader_names = _named("train")
    val_dataloader_names = _named("valid")
    test_dataloader_names = _named("test")

    def __init__(
        self,
        data_pipeline_config: Mapping[str, Any] | None,
        model_config: Mapping[str, Any] | None,
        mode: str,
        train_config: Mapping[str, Any] | None = None,
        test_config: Mapping[str, Any] | None = None,
        use_data_node: str | None = None,
        log_file_path: str | Path | None = None,
        valid_eval_pipeline_config: Mapping[str, Any] | None = None,
        test_eval_pipeline_config: Mapping[str, Any] | None = None,
        global_config: Mapping[str, Any] | None = None,
        eval_recorder_config: Mapping[str, Any] | None = None,
        *args: Any,
        eval_pipeline_config: Mapping[str, Any] | None = None,
        use_dtype: str | None = None,
        logger: Any = None,
        **kwargs: Any,
    ) -> None:
        vars(self)["valid_eval_dp_config"] = valid_eval_pipeline_config or eval_pipeline_config
        vars(self)["test_eval_dp_config"] = test_eval_pipeline_config
        vars(self)["use_dtype"] = use_dtype
        if isinstance(global_config, Config):
            global_config.setdefault("args", {"mode": mode, "experiment_name": global_config.get("experiment_name")})
        pipeline = kwargs.pop("data_pipeline", None)
        if pipeline is not None:  # runway's own, made for this run: it gets the original's attributes
            pipeline = copy.copy(pipeline)
            pipeline.__class__ = DataPipeline
        super().__init__(
            data_pipeline_config,
            model_config,
            mode,
            train_config=train_config,
            test_config=test_config,
            log_file_path=log_file_path,
            use_data_node=use_data_node or _named_node(global_config),
            global_config=global_config,
            data_pipeline=pipeline,
            **kwargs,
        )

    def _init_model(self, model_config: Config) -> None:
        """Load ``ModelLib.ModelClass`` by ``checkpoint_path`` or ``model_version``, or new if ``train_from_scratch``.

        Raises:
            ConfigError: the config names no such class.
        """
        library, name = model_config.get("ModelLib") or "transformers", model_config.get("ModelClass")
        where, hint = "model_config", "or define _init_model(self, model_config) in the executor"
        if not name:
            raise ConfigError(f"{type(self).__name__} has no model: `ModelClass` is missing", where=where, hint=hint)
        if library not in ("transformers", "models"):
            message = f"`ModelLib` must be 'transformers' or 'models', but is {library!r} instead"
            raise ConfigError(message, where=where, hint=hint)
        model_class = _class_in(library, name)
        source = model_config.get("checkpoint_path") or model_config.get("model_version")
        if model_config.get("train_from_scratch"):
            config_class = _class_in(library, model_config.get("ConfigClass") or "AutoConfig")
            config = config_class.from_pretrained(source)
            self.model = model_class.from_config(config) if hasattr(model_class, "from_config") else model_class(config)
        else:
            self.model = model_class.from_pretrained(source, **(model_config.get("load_checkpoint_kwargs") or {}))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The model's."""
        return self.model(*args, **kwargs)

    def _runway_logger(self, name: str) -> Any:
        trainer = attached_trainer(self)
        found = (one for one in (trainer.loggers if trainer else ()) if type(one).__name__ == name)
        return next(found, None)

    def _runway_new_recorder(self, name: str) -> EvalRecorder:
        """One with the original's views; the beginning of a validation is counted here, whatever hooks do."""
        recorder = super()._runway_new_recorder(name)
        if not name.startswith("test"):
            self.valid_cnt += 1
            recorder.meta_config |= {"valid_run_count": self.valid_cnt, "global_step": self.global_step}
        recorder.__class__ = EvalRecorder
        return recorder  # type: ignore[return-value]

    def _runway_validation_pipeline(self) -> tuple[Config | None, str]:
        given = vars(self).get("valid_eval_dp_config")
        if given:
            return given, "valid_eval_pipeline_config"
        return super()._runway_validation_pipeline()


def _named_node(config: Mapping[str, Any] | None) -> str | None:
    """The config's ``use_data_node``: old constructors keep it for themselves, and ``_init_model`` wants it."""
    return (((config or {}).get("executor") or {}).get("init_kwargs") or {}).get("use_data_node")


def _class_in(library: str, name: str) -> Any:
    import importlib

    module = importlib.import_module(library)
    if not hasattr(module, name):
        raise ConfigError(f"{library} has no class {name!r}", where="model_config")
    return getattr(module, name)
