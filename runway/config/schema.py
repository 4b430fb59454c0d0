"""What the sections that runway owns may hold: a table of keys and what each must be.

Read it top to bottom: a dict is a section whose keys are fixed, a text is the annotation that a value must fit,
``dict`` in it an object whose keys are the user's. ``check.py`` holds a config against it.
"""

from __future__ import annotations

from typing import Any, NamedTuple


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


NODE = {
    "input_node": "str | list[str] | None",
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
    "seed": "NonNegativeInt",
    "default_cache_dir": "str",
    "EXPERIMENT_FOLDER": "str",
    "logger_enable": "list[str]",
    "WANDB": "dict | None",  # keyword arguments of wandb's own: the user's section
    "cache_versions": "list[str]",
    "allow_pickle": "bool | None",
    "user_modules": "list[str]",
    # of the original's configs; nothing reads them
    "DATA_FOLDER": "Any",
    "TENSORBOARD_FOLDER": "Any",
    "cuda": "Any",
    "gpu_device": "Any",
    "platform_type": "Any",
    "ignore_pretrained_weights": "Any",
}

OPTIMIZER = {
    "optimizer_name": "str",
    "optimizer_params": "dict | None",
    "decay_biases_and_norms": "bool",
    "scheduler": "str | None",
    "scheduler_params": "dict | None",
}

TRAINER = Keywords("Trainer", "trainer/trainer.py")
CHECKPOINT = Keywords("ModelCheckpoint", "callbacks/model_checkpoint.py")
EARLY_STOPPING = Keywords("EarlyStopping", "callbacks/early_stopping.py")

TRAIN = {
    "batch_size": "PositiveInt",
    "dataloader_workers": "NonNegativeInt",
    "trainer_paras": TRAINER,
    "model_checkpoint_callback_paras": CHECKPOINT,
    "early_stopping_callback_paras": EARLY_STOPPING,
    "early_stop_patience": "NonNegativeInt | None",
    "optimizer_config": OPTIMIZER,
    "use_lora": "bool",
    "lora_config": "dict | None",
    "compile": "bool | dict | None",
    "load_model_path": "str | None",
    "stop_on_nan": "bool",
}

TEST = {
    "checkpoint_name": "str | None",
    "load_best_model": "bool",
    "load_model_path": "str | None",
    "batch_size": "PositiveInt",
    "dataloader_workers": "NonNegativeInt",
    "trainer_paras": TRAINER,
}

EVAL = {
    "pipeline_config": PIPELINE,
    "valid_eval_pipeline_config": PIPELINE,
    "test_eval_pipeline_config": PIPELINE,
}

CONFIG = {
    "experiment_name": "str",
    "test_suffix": "str",
    "exp_version": "NonNegativeInt | None",
    "meta": META,
    "data_pipeline": PIPELINE,
    "tokenizer_config": "dict | None",
    "model_config": "dict | None",
    "executor": {"ExecutorClass": "str", "init_kwargs": "dict | None"},
    "train": TRAIN,
    "test": TEST,
    "eval": EVAL,
}
"""The top level. Further keys there are the user's own, and reach transforms through ``self.global_config``."""

MAY_BE_NULL = ("data_pipeline", "executor", "train", "test", "eval", "resources", *EVAL, *TRAIN)
"""Sections that a config may set to null, which is the same as leaving them out."""
