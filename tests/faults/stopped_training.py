"""A small training that can be told to stop itself, and what must be the same after it was.

Two workers with random numbers in them, accumulation, validations in the midst of accumulated steps, dropout, a
schedule, a metric over the epoch, checkpoints by steps and by a metric of the evaluation pipeline.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from runway.executors.base_executor import BaseExecutor
from runway.experiment.callbacks.monitoring import CONFIG_KEY
from runway.recorder import EvalRecorder
from runway.registry import register_executor, register_transform_functor
from runway.transforms.base import BaseTransform
from tests.experiment.tiny import MeanError

ROWS, BATCH, VALID_ROWS, EPOCHS = 28, 2, 9, 3
PLACES = ("step", "fetch", "validation", "evaluation", "save", "epoch")
WRITES = ("write", "sync", "rename", "renamed")
"""Places inside the writing of a checkpoint: half of it is there; all; it is on the disk; it has its name."""
VARIANTS: dict[str, dict[str, Any]] = {
    "by steps": {"every_n_train_steps": 2, "monitor": None, "save_top_k": -1},
    "by metric": {"monitor": "mean_error", "mode": "min", "save_top_k": 2},
}

torch.set_num_threads(1)


class StopItself:
    """Sends a signal to the training when a place is reached for the n-th time in this process.

    Args:
        text: ``PLACE N SIGNAL SECONDS``, of the environment variable ``STOP``; the signal comes so many seconds later
            (0: at once), from another process.
        whole_group: send it to every process of the group, as a terminal's Ctrl-C does.
    """

    def __init__(self, text: str, *, whole_group: bool = False) -> None:
        place, count, number, seconds = text.split()
        self.place, self.left, self.number, self.seconds = place, int(count), int(number), float(seconds)
        self.process = -os.getpgrp() if whole_group else os.getpid()

    def reached(self, place: str) -> None:
        """Count, and send."""
        if place != self.place:
            return
        self.left -= 1
        if self.left:
            return
        Path(os.environ["STOP_LOG"]).write_text(str(time.time() + self.seconds), encoding="utf-8")
        if not self.seconds:
            os.kill(self.process, self.number)
        elif os.fork() == 0:
            time.sleep(self.seconds)
            os.kill(self.process, self.number)
            os._exit(0)


_stop: StopItself | None = None


def arm(text: str | None, *, whole_group: bool = False) -> None:
    """Stop this process as the text says; None: never."""
    global _stop
    _stop = StopItself(text, whole_group=whole_group) if text else None
    if _stop is not None and _stop.place in WRITES:
        _watch_writes()


def _watch_writes() -> None:
    """Have the places of ``WRITES`` told."""
    save, sync, replace = torch.save, os.fsync, os.replace

    def torn(content: Any, target: Any) -> None:
        save(content, target)
        if isinstance(target, Path) and ".ckpt.tmp-" in target.name:
            if _stop is not None and (_stop.place, _stop.left, _stop.seconds) == ("write", 1, 0):
                os.truncate(target, target.stat().st_size // 2)
            reached("write")

    def synced(descriptor: int) -> None:
        reached("sync")
        sync(descriptor)

    def replaced(source: Any, target: Any) -> None:
        is_checkpoint = str(target).endswith(".ckpt")
        if is_checkpoint:
            reached("rename")
        replace(source, target)
        if is_checkpoint:
            reached("renamed")

    torch.save, os.fsync, os.replace = torn, synced, replaced  # type: ignore[assignment]


def reached(place: str) -> None:
    """The training is at a place."""
    if _stop is not None:
        _stop.reached(place)


class NoisyRows(Dataset):
    """Rows with noise of three generators."""

    def __init__(self, rows: int, *, noisy: bool) -> None:
        generator = torch.Generator().manual_seed(1)
        self.x = torch.randn(rows, 4, generator=generator)
        self.noisy = noisy

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        x = self.x[row]
        if self.noisy:
            reached("fetch")
            x = x + 0.1 * (np.random.rand() + random.random()) + 0.1 * torch.rand(4)
        return torch.tensor(row), x, self.x[row].sum(0, keepdim=True)


@register_transform_functor
class StoppedRows(BaseTransform):
    """Makes the loaders."""

    def setup(self, workers: int = 2, **kwargs: Any) -> None:
        """Take the number of workers."""
        super().setup(**kwargs)
        self.workers = workers

    def _call(self, data: Any) -> dict[str, list[DataLoader]]:
        settings: dict[str, Any] = {"num_workers": self.workers, "persistent_workers": self.workers > 0}
        train = DataLoader(NoisyRows(ROWS, noisy=True), batch_size=BATCH, shuffle=True, **settings)
        valid = DataLoader(NoisyRows(VALID_ROWS, noisy=False), batch_size=4, **settings)
        return {"train_dataloaders": [train], "val_dataloaders": [valid], "test_dataloaders": [valid]}


@register_transform_functor
class StoppedError(MeanError):
    """MeanError, a place to be stopped at."""

    def _call(self, data: Any) -> Any:
        data = super()._call(data)
        reached("evaluation")
        return data


@register_executor
class StoppedRegression(BaseExecutor):
    """A linear model with dropout and batch norm."""

    def _init_model(self, model_config: Any) -> None:
        layers = [torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.3), torch.nn.Linear(8, 1)]
        self.model = torch.nn.Sequential(*layers)

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        """Squared error."""
        loss = ((self.model(batch[1]) - batch[2]) ** 2).mean()
        self.log("train_loss", loss, on_step=True, on_epoch=True, batch_size=len(batch[0]))
        reached("step")
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Log the error and keep the predictions."""
        predictions = self.model(batch[1])
        loss = ((predictions - batch[2]) ** 2).mean()
        self.log("val_loss", loss, batch_size=len(batch[0]), sync_dist=True)
        reached("validation")
        rows = {"row": batch[0].tolist(), "prediction": predictions.squeeze(1).tolist()}
        self.valid_eval_recorder.log_sample_dict_batch(rows | {"target": batch[2].squeeze(1).tolist()})

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Keep the predictions."""
        predictions = self.model(batch[1])
        rows = {"row": batch[0].tolist(), "prediction": predictions.squeeze(1).tolist()}
        self.test_eval_recorder.log_sample_dict_batch(rows | {"target": batch[2].squeeze(1).tolist()})

    def on_train_epoch_end(self) -> None:
        """A place to be stopped at."""
        reached("epoch")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """A place to be stopped at."""
        super().on_save_checkpoint(checkpoint)
        reached("save")


def stopped_config(project: Path, variant: str, *, ranks: int = 1) -> Path:
    """Write the config of the training."""
    trainer = {"max_epochs": EPOCHS, "accelerator": "cpu", "devices": ranks, "log_every_n_steps": 1}
    trainer |= {"enable_progress_bar": False, "accumulate_grad_batches": 3, "val_check_interval": 5}
    if ranks > 1:
        trainer |= {"strategy": "ddp", "val_check_interval": 3, "accumulate_grad_batches": 2}
    node = {"transform_name": "StoppedRows", "cache": False, "setup_kwargs": {"workers": 2 if ranks == 1 else 0}}
    config = {
        "experiment_name": "stopped",
        "meta": {"EXPERIMENT_FOLDER": "runs", "default_cache_dir": "cache", "seed": 7, "logger_enable": []},
        "data_pipeline": {"transforms": {"output:Rows": node}},
        "model_config": {},
        "executor": {"ExecutorClass": "StoppedRegression", "init_kwargs": {"use_data_node": "output:Rows"}},
        "train": {
            "trainer_paras": trainer,
            "model_checkpoint_callback_paras": VARIANTS[variant],
            "early_stop_patience": 50,
            "optimizer_config": {
                "optimizer_name": "AdamW",
                "optimizer_params": {"lr": 0.02},
                "scheduler": "linear",
                "scheduler_params": {"num_warmup_steps": 3},
            },
        },
        "eval": {"pipeline_config": {"transforms": {"output:Error": {"transform_name": "StoppedError"}}}},
    }
    if variant == "by steps":
        config["train"].pop("early_stop_patience")  # type: ignore[attr-defined]
    (project / "src").mkdir(parents=True, exist_ok=True)
    path = project / "stopped.jsonnet"
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


def outcome(project: Path) -> dict[str, Any]:
    """All of a finished training that must be the same: weights, optimiser, recorders, history, best file."""
    train = project / "runs/stopped_V0/train"
    saved = train / "saved_models"
    checkpoints = {}
    for path in sorted(saved.glob("*.ckpt")):
        content = torch.load(path, weights_only=True)
        for state in content["callbacks"].values():
            state.pop(CONFIG_KEY, None)  # each resume has a config file of its own
        for part in ("state_dict", "optimizer_states", "lr_schedulers", "callbacks", "global_step", "epoch"):
            checkpoints[f"{path.name}: {part}"] = _digest(content[part])
    recorders = {}
    for folder in sorted((train / "recorders").iterdir()):
        recorder = EvalRecorder.load_from_disk(folder.name, train / "recorders")
        recorders[f"recorder {folder.name}"] = [recorder.get_sample_logs("list"), dict(recorder.get_stats_logs())]
        recorders[f"files of {folder.name}"] = sorted(
            path.name
            for path in folder.iterdir()
            if not path.name.startswith(".")  # half a file of a save that was killed
        )
    index = json.loads((saved / "checkpoints.json").read_text())
    history = json.loads((train / "metrics_history.json").read_text())
    best = _digest(torch.load(saved / index["best_model_path"], weights_only=True)["state_dict"])
    rows = {f"history {number}": row for number, row in enumerate(history)}
    return checkpoints | recorders | rows | {"index": index, "best file's weights": best}


def _digest(value: Any) -> str:
    digest = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, dict):
            for key in sorted(value, key=str):
                digest.update(repr(key).encode())
                add(value[key])
        elif isinstance(value, list | tuple):
            for one in value:
                add(one)
        elif isinstance(value, torch.Tensor):
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        else:
            digest.update(repr(value).encode())

    add(value)
    return digest.hexdigest()


SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
