"""A tiny experiment: twenty rows, a linear model, everything a run needs, in milliseconds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader, TensorDataset

from runway.config import load_config
from runway.disk import replace_text
from runway.executors.base_executor import BaseExecutor
from runway.experiment import RunwayExperiment
from runway.registry import register_executor, register_transform_functor
from runway.transforms.base import BaseTransform

if TYPE_CHECKING:
    from runway.config.config import Config

torch.set_num_threads(1)
ROWS, BATCH = 20, 2


@register_transform_functor
class ExperimentRows(BaseTransform):
    """Makes the loaders that TinyRegression trains on."""

    def setup(self, valid: bool = True, **kwargs: Any) -> None:
        """Take whether there is validation data."""
        super().setup(**kwargs)
        self.valid = valid

    def _call(self, data: Any) -> dict[str, list[DataLoader]]:
        generator = torch.Generator().manual_seed(1)
        x = torch.randn(ROWS, 4, generator=generator)
        dataset = TensorDataset(torch.arange(ROWS), x, x.sum(1, keepdim=True))
        loaders = {
            "train_dataloaders": [DataLoader(dataset, batch_size=BATCH, shuffle=True)],
            "test_dataloaders": [DataLoader(dataset, batch_size=5)],
        }
        if self.valid:
            loaders["val_dataloaders"] = [DataLoader(dataset, batch_size=5)]
        return loaders


@register_transform_functor
class MeanError(BaseTransform):
    """Adds the mean absolute error of a recorder's rows to its statistics."""

    def _call(self, data: Any) -> Any:
        errors = [abs(row["prediction"] - row["target"]) for row in data.get_sample_logs("list")]
        data.log_stats_dict({"mean_error": sum(errors) / len(errors)})
        return data


@register_executor
class TinyRegression(BaseExecutor):
    """A linear model with dropout, so that the random state matters."""

    def _init_model(self, model_config: Any) -> None:
        width = model_config.get("width", 8)
        self.model = torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.Dropout(0.3), torch.nn.Linear(width, 1))
        self.batches: list[list[int]] = []

    def _loss(self, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
        predictions = self.model(batch[1])
        return predictions, ((predictions - batch[2]) ** 2).mean()

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        """Squared error."""
        self.batches.append(batch[0].tolist())
        loss = self._loss(batch)[1]
        self.log("train_loss", loss)
        self.on_step(batch_idx)
        return loss

    def on_step(self, batch_idx: int) -> None:
        """For subclasses that do something at a step."""

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Log the error and keep the predictions."""
        predictions, loss = self._loss(batch)
        self.log("val_loss", loss)
        self._record(self.valid_eval_recorder, predictions, batch)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Log the error and keep the predictions."""
        predictions, loss = self._loss(batch)
        self.log("test_loss", loss)
        self._record(self.test_eval_recorder, predictions, batch)

    def _record(self, recorder: Any, predictions: torch.Tensor, batch: Any) -> None:
        columns = {"prediction": predictions.squeeze(1).tolist(), "target": batch[2].squeeze(1).tolist()}
        recorder.log_sample_dict_batch(columns)


EVALUATION = {"transforms": {"output:MeanError": {"transform_name": "MeanError"}}}


def tiny_config(project: Path, *overrides: str, **sections: Any) -> Config:
    """The tiny experiment's config, loaded as a user's would be."""
    trainer = {"max_epochs": 2, "accelerator": "cpu", "enable_progress_bar": False, "log_every_n_steps": 1}
    config = {
        "experiment_name": "tiny",
        "test_suffix": "first",
        "meta": {"EXPERIMENT_FOLDER": "runs", "default_cache_dir": "cache", "seed": 7, "logger_enable": ["csv"]},
        "data_pipeline": {"transforms": {"output:Rows": {"transform_name": "ExperimentRows", "cache": False}}},
        "model_config": {"width": 8},
        "executor": {"ExecutorClass": "TinyRegression", "init_kwargs": {"use_data_node": "output:Rows"}},
        "train": {
            "trainer_paras": trainer,
            "optimizer_config": {"optimizer_name": "AdamW", "optimizer_params": {"lr": 0.01}},
        },
        "test": {"trainer_paras": {"accelerator": "cpu", "enable_progress_bar": False}},
        "eval": {"pipeline_config": EVALUATION},
        **sections,
    }
    (project / "src").mkdir(parents=True, exist_ok=True)
    path = project / "tiny.jsonnet"
    replace_text(path, json.dumps(config))  # at once: another rank may be reading it
    return load_config(path, overrides, project=project)


def tiny(project: Path, *overrides: str, sections: dict[str, Any] | None = None, **flags: Any) -> RunwayExperiment:
    """The tiny experiment."""
    return RunwayExperiment(tiny_config(project, *overrides, **(sections or {})), **flags)


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    """A checkpoint's weights."""
    return torch.load(checkpoint, weights_only=True)["state_dict"]


def same_weights(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether two sets of weights are equal, bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def names(folder: Path) -> Sequence[str]:
    """What is in a folder."""
    return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
