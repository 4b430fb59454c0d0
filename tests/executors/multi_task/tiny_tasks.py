"""Tasks that train in milliseconds: numbers to predict, tokens to classify; and a config of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Sequence, Value

from runway.config import load_config
from runway.experiment import RunwayExperiment
from runway.registry import register_transform_functor
from runway.transforms.base import BaseTransform
from tests.executors.tiny import BERT, TokenRows

if TYPE_CHECKING:
    from runway.config.config import Config

torch.set_num_threads(1)


@register_transform_functor
class NumberRows(BaseTransform):
    """Rows of numbers ``x`` and a number ``y`` that is their weighted sum, or a class that is its sign."""

    def setup(
        self,
        train: int = 24,
        valid: int = 7,
        test: int = 5,
        width: int = 3,
        seed: int = 0,
        outputs: int = 1,
        classes: bool = False,
        **kwargs: Any,
    ) -> None:
        super().setup(**kwargs)
        self.rows = {name: count for name, count in (("train", train), ("valid", valid), ("test", test)) if count >= 0}
        self.width, self.seed, self.outputs, self.classes = width, seed, outputs, classes

    def _call(self, data: Any) -> DatasetDict:
        random = np.random.default_rng(self.seed)
        weights = random.normal(size=(self.width, self.outputs))
        splits = {}
        for name, count in self.rows.items():
            x = random.normal(size=(count, self.width))
            y = x @ weights
            features = {"x": Sequence(Value("float32")), "y": Value("float32")}
            values: Any = y[:, 0].tolist()
            if self.classes:
                features["y"], values = ClassLabel(names=["below", "above"]), [int(number > 0) for number in y[:, 0]]
            elif self.outputs > 1:
                features["y"], values = Sequence(Value("float32")), y.tolist()
            splits[name] = Dataset.from_dict({"x": x.tolist(), "y": values}, features=Features(features))
        return DatasetDict(splits)


@register_transform_functor
class TokenSplits(BaseTransform):
    """Tokenised texts with a label that follows from them."""

    def setup(self, train: int = 24, valid: int = 7, test: int = 5, seed: int = 0, **kwargs: Any) -> None:
        super().setup(**kwargs)
        self.rows, self.seed = {"train": train, "valid": valid, "test": test}, seed

    def _call(self, data: Any) -> DatasetDict:
        splits = {}
        for place, (name, count) in enumerate(self.rows.items()):
            rows = TokenRows(count, seed=self.seed + place)
            columns = {
                "input_ids": rows.token_ids,
                "attention_mask": [[1] * len(ids) for ids in rows.token_ids],
                "label": rows.labels,
            }
            splits[name] = Dataset.from_dict(columns).cast_column("label", ClassLabel(names=["a", "b"]))
        return DatasetDict(splits)


def node(transform: str = "NumberRows", **setup_kwargs: Any) -> dict[str, Any]:
    """A node of the pipeline."""
    return {"transform_name": transform, "setup_kwargs": setup_kwargs, "cache": False}


NUMBERS = {"inputs": "x", "label_column": "y", "head": "regression"}
CLASSES = {"inputs": "x", "label_column": "y"}


def sections(**changed: Any) -> dict[str, Any]:
    """A config of two tasks over numbers: ``sign``, a class, and ``sum``, a number."""
    return {
        "experiment_name": "tasks",
        "meta": {"EXPERIMENT_FOLDER": "runs", "default_cache_dir": "cache", "seed": 3, "logger_enable": ["csv"]},
        "data_pipeline": {
            "transforms": {"output:Sum": node(train=24, seed=1), "output:Sign": node(train=8, seed=2, classes=True)}
        },
        "tasks": {"sum": {**NUMBERS, "data_node": "output:Sum"}, "sign": {**CLASSES, "data_node": "output:Sign"}},
        "model_config": {"encoder": "mlp", "encoder_kwargs": {"hidden": [8], "activation": "Tanh", "dropout": 0.2}},
        "executor": {"ExecutorClass": "MultiTaskExecutor"},
        "train": {
            "batch_size": 4,
            "trainer_paras": {
                "max_epochs": 2,
                "accelerator": "cpu",
                "enable_progress_bar": False,
                "log_every_n_steps": 1,
                "num_sanity_val_steps": 0,
            },
            "optimizer_config": {"optimizer_params": {"lr": 0.01}},
        },
        "test": {"trainer_paras": {"accelerator": "cpu", "enable_progress_bar": False}},
        **changed,
    }


TEXTS: dict[str, Any] = {
    "data_pipeline": {
        "transforms": {"output:A": node("TokenSplits", seed=1), "output:B": node("TokenSplits", train=10, seed=20)}
    },
    "tasks": {"first": {"data_node": "output:A"}, "second": {"data_node": "output:B"}},
    "model_config": {"from_config_kwargs": BERT},
}
"""Two tasks over texts."""


def tasks_config(project: Path, *overrides: str, **changed: Any) -> Config:
    """The config, loaded as a user's would be."""
    (project / "src").mkdir(parents=True, exist_ok=True)
    path = project / "tasks.jsonnet"
    path.write_text(json.dumps(sections(**changed)), encoding="utf-8")
    return load_config(path, overrides, project=project)


def experiment(project: Path, *overrides: str, changed: dict[str, Any] | None = None, **flags: Any) -> RunwayExperiment:
    """The experiment of the config."""
    return RunwayExperiment(tasks_config(project, *overrides, **(changed or {})), **flags)


def executor_of(config: Config, mode: str = "train") -> Any:
    """The executor of a config, without an experiment."""
    context = RunwayExperiment(config)
    pipeline, _ = context.prepared_data()
    return context.build_executor(mode, pipeline)
