"""What the sections that runway owns may hold: a table of keys and what each must be.

Read it top to bottom: a dict is a section whose keys are fixed, a Kind is a value, ``SECTION`` is an
object whose keys are the user's. ``check.py`` holds a config against it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Kind(NamedTuple):
    """A kind of value: how a message names it ("must be ..."), the test for it, and the smallest number."""

    says: str
    holds: Callable[[Any], bool]
    at_least: int | None = None

    def __or__(self, other: Kind) -> Kind:
        says = self.says if other.says == "null" else f"{self.says} or {other.says}"
        return Kind(says, lambda value: self.holds(value) or other.holds(value), self.at_least)

    def says_of(self, value: Any) -> str | None:
        """What ``value`` must be and is not; None where it is."""
        if not self.holds(value):
            return self.says
        if self.at_least is not None and _is_number(value) and value < self.at_least:
            return f"{self.at_least} or more"
        return None


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


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


TEXT = Kind("text", lambda value: isinstance(value, str))
TEXTS = Kind("a list of texts", _is_texts)
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
COUNT = Kind("a whole number", _is_whole, at_least=0)
SIZE = Kind("a whole number", _is_whole, at_least=1)
AMOUNT = Kind("a number", _is_number, at_least=0)
SECTION = Kind("a section", lambda value: isinstance(value, dict))
NULL = Kind("null", lambda value: value is None)
ANY = Kind("anything", lambda value: True)

NODE = {
    "input_node": TEXT | TEXTS | NULL,
    "transform_name": Required(TEXT),
    "setup_kwargs": SECTION | NULL,
    "cache": FLAG | NULL,
    "regenerate": FLAG | NULL,
    "inspect": FLAG | NULL,
    "resources": {"num_cpus": AMOUNT | NULL, "num_gpus": AMOUNT | NULL},
}

PIPELINE = {
    "name": TEXT,
    "transforms": Required(Names(NODE)),
    "out_ops": TEXTS | NULL,
    "regenerate": FLAG | NULL,
    "do_inspect": FLAG | NULL,
    "inspector_config": SECTION | NULL,
    "DataPipelineLib": TEXT | NULL,  # these two choose nothing: an old config may name them
    "DataPipelineClass": TEXT | NULL,
}

META = {
    "seed": COUNT,
    "default_cache_dir": TEXT,
    "EXPERIMENT_FOLDER": TEXT,
    "logger_enable": TEXTS,
    "WANDB": SECTION | NULL,  # keyword arguments of wandb's own: the user's section
    "cache_versions": TEXTS,
    "allow_pickle": FLAG | NULL,
    "user_modules": TEXTS,
    # of the original's configs; nothing reads them
    "DATA_FOLDER": ANY,
    "TENSORBOARD_FOLDER": ANY,
    "cuda": ANY,
    "gpu_device": ANY,
    "platform_type": ANY,
    "ignore_pretrained_weights": ANY,
}

OPTIMIZER = {
    "optimizer_name": TEXT,
    "optimizer_params": SECTION | NULL,
    "decay_biases_and_norms": FLAG,
    "scheduler": TEXT | NULL,
    "scheduler_params": SECTION | NULL,
}

TRAINER = Keywords("Trainer", "trainer/trainer.py")
CHECKPOINT = Keywords("ModelCheckpoint", "callbacks/model_checkpoint.py")
EARLY_STOPPING = Keywords("EarlyStopping", "callbacks/early_stopping.py")

TRAIN = {
    "batch_size": SIZE,
    "dataloader_workers": COUNT,
    "trainer_paras": TRAINER,
    "model_checkpoint_callback_paras": CHECKPOINT,
    "early_stopping_callback_paras": EARLY_STOPPING,
    "early_stop_patience": COUNT | NULL,
    "optimizer_config": OPTIMIZER,
    "use_lora": FLAG,
    "lora_config": SECTION | NULL,
    "compile": FLAG | SECTION | NULL,
    "load_model_path": TEXT | NULL,
    "stop_on_nan": FLAG,
}

TEST = {
    "checkpoint_name": TEXT | NULL,
    "load_best_model": FLAG,
    "load_model_path": TEXT | NULL,
    "batch_size": SIZE,
    "dataloader_workers": COUNT,
    "trainer_paras": TRAINER,
}

EVAL = {
    "pipeline_config": PIPELINE,
    "valid_eval_pipeline_config": PIPELINE,
    "test_eval_pipeline_config": PIPELINE,
}

CONFIG = {
    "experiment_name": TEXT,
    "test_suffix": TEXT,
    "exp_version": COUNT | NULL,
    "meta": META,
    "data_pipeline": PIPELINE,
    "tokenizer_config": SECTION | NULL,
    "model_config": SECTION | NULL,
    "executor": {"ExecutorClass": TEXT, "init_kwargs": SECTION | NULL},
    "train": TRAIN,
    "test": TEST,
    "eval": EVAL,
}
"""The top level. Further keys there are the user's own, and reach transforms through ``self.global_config``."""

MAY_BE_NULL = ("data_pipeline", "executor", "train", "test", "eval", "resources", *EVAL, *TRAIN)
"""Sections that a config may set to null, which is the same as leaving them out."""
