"""What the sections that runway owns may hold: a table of keys and what each must be.

Read it top to bottom: a dict is a section whose keys are fixed, a text is the annotation that a value must fit,
``dict`` in it an object whose keys are the user's. ``check.py`` holds a config against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from runway.config.per_task import SHARED


class Keywords(NamedTuple):
    """An object of keyword arguments for a class of Lightning's, whose signature says which there are."""

    class_name: str
    module: str  # below lightning/pytorch


class Names(NamedTuple):
    """An object with names of the user's, each of which holds what ``of`` says."""

    of: dict[str, Any]


class Required(NamedTuple):
    """A key that must be there."""

    of: Any


class PerTask(NamedTuple):
    """A value, or an object with one for each of the config's ``tasks`` (see ``per_task.py``).

    Attributes:
        of: what the value must be.
        names: which names the object may have; none in a config without tasks, whose value is given once.
        shared: whether ``shared`` is one of them.
    """

    of: str
    names: tuple[str, ...] = ()
    shared: bool = False


class WithTasks(NamedTuple):
    """A key that means something only in a config with ``tasks``."""

    of: Any


NODE = {
    "input_node": "str | list[str] | None",
    "inputs": "dict[str, str] | None",
    "transform_name": Required("str"),
    "setup_kwargs": "dict | None",
    "cache": "bool | None",
    "regenerate": "bool | None",
    "inspect": "bool | None",
    "resources": {"num_cpus": "NonNegativeFloat | None", "num_gpus": "NonNegativeFloat | None"},
}

PIPELINE = {
    "name": "str",
    "transforms": Required(Names(NODE)),
    "out_ops": "list[str] | None",
    "regenerate": "bool | None",
    "do_inspect": "bool | None",
    "inspector_config": "dict | None",
    "DataPipelineLib": "str | None",  # these two choose nothing: an old config may name them
    "DataPipelineClass": "str | None",
}

META = {
    "seed": "Seed",
    "default_cache_dir": "str",
    "EXPERIMENT_FOLDER": "str",
    "logger_enable": "list[str]",
    "WANDB": "dict | None",  # keyword arguments of wandb's own: the user's section
    "runner": "str | dict | None",  # what it may hold each runner says itself
    "cache_versions": "list[str]",
    "allow_pickle": "bool | None",
    "import_paths": "list[str]",
    "user_modules": "list[str]",
    "trusted_packages": "list[str]",
    # of the original's configs; nothing reads them
    "DATA_FOLDER": "Any",
    "TENSORBOARD_FOLDER": "Any",
    "cuda": "Any",
    "gpu_device": "Any",
    "platform_type": "Any",
    "ignore_pretrained_weights": "Any",
    "use_versioning": "Any",
}

OPTIMIZER = {
    "optimizer_name": "str",
    "optimizer_params": "dict | None",
    "decay_biases_and_norms": PerTask("bool", shared=True),
    "scheduler": "str | None",
    "scheduler_params": "dict | None",
}

TRAINER = Keywords("Trainer", "trainer/trainer.py")
CHECKPOINT = Keywords("ModelCheckpoint", "callbacks/model_checkpoint.py")
EARLY_STOPPING = Keywords("EarlyStopping", "callbacks/early_stopping.py")

MIXING = {
    "sampling": "Literal['proportional', 'uniform', 'temperature', 'round_robin']",
    "temperature": "NonNegativeFloat",
    "batches": "Literal['mixed', 'alternating']",
    "steps_per_epoch": "PositiveInt | None",
}

TRAIN = {
    "batch_size": PerTask("PositiveInt"),
    "dataloader_workers": "NonNegativeInt",
    "trainer_paras": TRAINER,
    "model_checkpoint_callback_paras": CHECKPOINT,
    "early_stopping_callback_paras": EARLY_STOPPING,
    "early_stop_patience": "NonNegativeInt | None",
    "optimizer_config": OPTIMIZER,
    "use_lora": "bool",
    "lora_config": "dict | None",
    "compile": "bool | dict | None",
    "callbacks": "list[str | dict] | None",
    "load_model_path": "str | None",
    "on_nan": "Literal['stop', 'skip', 'warn'] | None",
    "loss": WithTasks(PerTask("str | dict | None")),
    "weight": WithTasks(PerTask("NonNegativeFloat | None")),
    "mixing": WithTasks(MIXING),
}

TEST = {
    "checkpoint_name": "str | None",
    "load_best_model": "bool",
    "load_model_path": "str | None",
    "batch_size": PerTask("PositiveInt"),
    "dataloader_workers": "NonNegativeInt",
    "trainer_paras": TRAINER,
}

TASK = {
    "data_node": Required("str"),
    "inputs": "str | list[str] | None",
    "label_column": "str",
    "head": "str | dict",
    "loss": "str | dict | None",
    "metrics": "str | list | None",
    "weight": "NonNegativeFloat | None",
}

EVAL = {
    "pipeline_config": PIPELINE,
    "valid_eval_pipeline_config": PIPELINE,
    "test_eval_pipeline_config": PIPELINE,
    "slices": "list | None",
}

SWEEP = {
    "method": "Literal['grid', 'random', 'tpe'] | None",
    "parameters": "dict | None",
    "metric": "str | None",
    "mode": "Literal['min', 'max'] | None",
    "max_trials": "PositiveInt | None",
    "parallel": "PositiveInt | None",
    "resources": {"num_cpus": "NonNegativeFloat | None", "num_gpus": "NonNegativeFloat | None"},
    "seeds": "PositiveInt | list[Seed] | None",
    "seed": "Seed | None",
    "prune": "bool | dict | None",
    "test": "Literal['best', 'all', 'none'] | None",
    "name": "str | None",
    "runner": "str | dict | None",
}

CONFIG = {
    "experiment_name": "str",
    "test_suffix": "str",
    "exp_version": "NonNegativeInt | None",
    "meta": META,
    "data_pipeline": PIPELINE,
    "tokenizer_config": "dict | None",
    "model_config": "dict | None",
    "tasks": Names(TASK),
    "executor": {"ExecutorClass": "str", "init_kwargs": "dict | None"},
    "train": TRAIN,
    "test": TEST,
    "eval": EVAL,
    "sweep": SWEEP,
}
"""The top level. Further keys there are the user's own, and reach transforms through ``self.global_config``."""

USERS_TOO = (("executor",), ("train",), ("train", "optimizer_config"), ("test",), ("eval",))
"""Sections in which users keep settings of their own, too (``test.generate_params``): a further key there is an error
only where it is close to a known one, and is told where nothing reads it."""

MAY_BE_NULL = ("data_pipeline", "tasks", "executor", "train", "test", "eval", "sweep", "resources", *EVAL, *TRAIN)
"""Sections that a config may set to null, which is the same as leaving them out."""


def schema_of(tasks: Sequence[str]) -> dict[str, Any]:
    """The top level for a config with these tasks: their names stand where a setting may be given per task."""
    return {key: _with_names(expected, tasks) for key, expected in CONFIG.items()} if tasks else CONFIG


def _with_names(expected: Any, tasks: Sequence[str]) -> Any:
    if isinstance(expected, WithTasks):
        return _with_names(expected.of, tasks)
    if isinstance(expected, PerTask):
        return expected._replace(names=(*tasks, *((SHARED,) if expected.shared else ())))
    if isinstance(expected, dict):
        return {key: _with_names(value, tasks) for key, value in expected.items()}
    return expected
