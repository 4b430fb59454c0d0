"""Tiny things that train in milliseconds: rows of token ids, dataloaders over them, a model, a config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import lightning
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from runway.config.config import Config, LoadedFrom
from runway.registry import register_transform_functor
from runway.transforms.base import BaseTransform

VOCABULARY = 40
BERT = {
    "model_type": "bert",
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}


class TokenRows(Dataset):
    """Rows whose label says which half of the vocabulary most of their tokens come from; lengths differ."""

    def __init__(self, rows: int, seed: int, num_labels: int = 2) -> None:
        random = np.random.default_rng(seed)
        self.labels = [int(label) for label in random.integers(0, num_labels, rows)]
        width = VOCABULARY // num_labels
        self.token_ids = [
            random.integers(max(1, label * width), (label + 1) * width, random.integers(3, 12)).tolist()
            for label in self.labels
        ]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return {"index": row, "input_ids": self.token_ids[row], "label": self.labels[row]}


def collate_without_index(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """As many people's collate functions are."""
    batch = collate(rows)
    del batch["index"]
    return batch


def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Pad to the longest of the batch."""
    longest = max(len(row["input_ids"]) for row in rows)
    padded = [row["input_ids"] + [0] * (longest - len(row["input_ids"])) for row in rows]
    input_ids = torch.tensor(padded)  # [B, T]
    return {
        "input_ids": input_ids,
        "attention_mask": (input_ids != 0).long(),
        "labels": torch.tensor([row["label"] for row in rows]),
        "index": torch.tensor([row["index"] for row in rows]),
    }


def longest_first(dataset: TokenRows, batch_size: int) -> list[list[int]]:
    """Batches in another order than the dataset's, as length buckets give them."""
    order = sorted(range(len(dataset)), key=lambda row: -len(dataset.token_ids[row]))
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


@register_transform_functor
class MakeTinyLoaders(BaseTransform):
    """Dataloaders over a few rows that are made up."""

    def setup(
        self, rows: int = 32, valid_rows: int = 9, batch_size: int = 8, num_labels: int = 2, **kwargs: Any
    ) -> None:
        self.rows, self.valid_rows, self.batch_size, self.num_labels = rows, valid_rows, batch_size, num_labels
        super().setup(**kwargs)

    def _call(self, data: Any) -> dict[str, list[DataLoader]]:
        train, valid, test = (
            TokenRows(rows, seed, self.num_labels)
            for seed, rows in enumerate((self.rows, self.valid_rows, self.valid_rows))
        )
        return {
            "train_dataloaders": [DataLoader(train, batch_size=self.batch_size, shuffle=True, collate_fn=collate)],
            "val_dataloaders": [
                DataLoader(valid, batch_sampler=longest_first(valid, self.batch_size), collate_fn=collate)
            ],
            "test_dataloaders": [DataLoader(test, batch_size=self.batch_size, collate_fn=collate_without_index)],
        }


@register_transform_functor
class MakeTinyDataset(BaseTransform):
    """A tokenised DatasetDict with named classes."""

    def setup(self, names: list[str], **kwargs: Any) -> None:
        self.names = names
        super().setup(**kwargs)

    def _call(self, data: Any) -> datasets.DatasetDict:
        features = datasets.Features(
            input_ids=datasets.Sequence(datasets.Value("int32")),
            attention_mask=datasets.Sequence(datasets.Value("int8")),
            label=datasets.ClassLabel(names=self.names),
        )
        splits = {}
        for seed, (split, count) in enumerate({"train": 30, "valid": 9, "test": 5}.items()):
            rows = TokenRows(count, seed, len(self.names))
            columns = {
                "input_ids": rows.token_ids,
                "attention_mask": [[1] * len(token_ids) for token_ids in rows.token_ids],
                "label": rows.labels,
            }
            splits[split] = datasets.Dataset.from_dict(columns, features=features)
        return datasets.DatasetDict(splits)


@register_transform_functor
class GiveANumber(BaseTransform):
    """What no executor can use."""

    def _call(self, data: Any) -> int:
        return 42


def tiny_config(
    project: Path, *, valid_pipeline: Any = None, loaders: dict[str, Any] | None = None, **sections: Any
) -> Config:
    """A whole config: a node of loaders, a tiny BERT with random weights, an optimiser."""
    config = Config(
        meta={"default_cache_dir": str(project / "cache"), "seed": 1},
        data_pipeline={
            "transforms": {
                "output:Loaders": {"transform_name": "MakeTinyLoaders", "setup_kwargs": loaders or {}, "cache": False}
            }
        },
        model_config={"from_config_kwargs": dict(BERT)},
        train={"optimizer_config": {"optimizer_name": "AdamW", "optimizer_params": {"lr": 3e-3}}},
        test={},
        eval={"valid_eval_pipeline_config": valid_pipeline} if valid_pipeline else {},
    )
    config.update(sections)
    config.loaded_from = LoadedFrom(project / "config.jsonnet", project)
    return config


def dataset_config(project: Path, names: list[str], **sections: Any) -> Config:
    """The same with a node that gives a tokenised DatasetDict, to make loaders of."""
    node = {"transform_name": "MakeTinyDataset", "setup_kwargs": {"names": names}, "cache": False}
    train = {"batch_size": 8, "optimizer_config": {"optimizer_params": {"lr": 3e-3}}}
    pipeline = {"transforms": {"output:Loaders": node}}
    return tiny_config(project, **{"data_pipeline": pipeline, "train": train, "test": {"batch_size": 4}, **sections})


def build(executor_class: type, config: Config, mode: str = "train", **init_kwargs: Any) -> Any:
    """An executor made as the experiment makes it."""
    return executor_class(
        config.data_pipeline,
        config.model_config,
        mode,
        train_config=config.train,
        test_config=config.test,
        global_config=config,
        **{"use_data_node": "output:Loaders", **init_kwargs},
    )


def trainer(folder: Path, **settings: Any) -> lightning.Trainer:
    """A quiet Trainer on one CPU core."""
    quiet = {
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "logger": False,
    }
    return lightning.Trainer(
        **{"default_root_dir": folder, "accelerator": "cpu", "devices": 1, "max_epochs": 1, **quiet, **settings}
    )


ACCURACY_PIPELINE = {
    "transforms": {
        "input:GetEvaluationRecorder": {"transform_name": "GetEvaluationRecorder"},
        "output:Metrics": {
            "input_node": "input:GetEvaluationRecorder",
            "transform_name": "ComputeMetrics",
            "setup_kwargs": {
                "metrics": ["accuracy"],
                "pred_field": "predicted_class_id",
                "ref_field": "ground_truth_class_id",
            },
        },
    }
}
