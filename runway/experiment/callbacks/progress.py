"""What a training shows: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import RichProgressBar

from runway.executors.lightning_internals import logged_in_validation
from runway.log import human_seconds, info
from runway.ranks import rank

SECONDS_BETWEEN_LINES = 10.0


def progress_callbacks(trainer_paras: Mapping[str, Any], *, lines: bool = True) -> list[lightning.Callback]:
    """The bar or the lines; nothing where ``enable_progress_bar`` is false.

    Args:
        trainer_paras: Trainer's arguments in the config.
        lines: false for a test: off a terminal it is quiet until its table.
    """
    if trainer_paras.get("enable_progress_bar") is False:
        return []
    on_terminal = sys.stdout.isatty()
    bar: list[lightning.Callback] = [RichProgressBar(leave=True)] if on_terminal else []
    return [*bar, ProgressLines(seconds=None if on_terminal else SECONDS_BETWEEN_LINES)] if lines else bar


class ProgressLines(lightning.Callback):
    """One line each few seconds of training, and one for each validation.

    Args:
        seconds: the time between two lines of training; None for validations only.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._since = 0.0
        self._steps_since = 0
        self._last = 0.0

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the clock."""
        self._since = self._last = time.monotonic()
        self._steps_since = 0

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """A line, when it is time."""
        if self.seconds is None or rank() != 0:
            return
        now = time.monotonic()
        if not self._since:  # resumed inside an epoch, which has no on_train_epoch_start
            self._since = self._last = now
        self._steps_since += 1
        total = trainer.num_training_batches
        if now - self._last < self.seconds and batch_idx + 1 != total:
            return
        self._last = now
        rate = self._steps_since / max(now - self._since, 1e-9)
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        epochs = f"/{trainer.max_epochs}" if (trainer.max_epochs or 0) > 0 else ""
        steps = f"/{total}" if total != float("inf") else ""
        parts = [f"epoch {trainer.current_epoch + 1}{epochs}", f"step {batch_idx + 1}{steps}"]
        if isinstance(loss, torch.Tensor):
            parts.append(f"loss {loss.detach().float().mean().item() * trainer.accumulate_grad_batches:.4g}")
        parts.append(f"{rate:.2f} it/s")
        if total != float("inf") and batch_idx + 1 < total:
            parts.append(f"eta {human_seconds((total - batch_idx - 1) / rate)}")
        info("  ".join(parts))

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """What the validation logged."""
        self._since = 0.0  # the time of a validation says nothing about training
        self._steps_since = 0
        if trainer.sanity_checking or rank() != 0:
            return
        of_validation = sorted(trainer.logged_metrics.keys() & logged_in_validation(trainer))
        shown = ", ".join(f"{name} {float(trainer.logged_metrics[name]):.4g}" for name in of_validation)
        if shown:
            info(f"validation at step {trainer.global_step}: {shown}")
