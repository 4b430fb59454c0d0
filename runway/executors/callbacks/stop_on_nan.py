"""Ends a training whose loss is no longer a number, before it spends hours on ruined weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning
import torch

from runway.errors import RunwayError


class NonFiniteLossError(RunwayError):
    """The training loss became NaN or infinite; ``step`` holds the first step where it was."""

    title = "Training stopped"
    exit_code = 1
    step = -1


class StopOnNaN(lightning.Callback):
    """Raise NonFiniteLossError at the first step whose loss is NaN or infinite.

    The first bad step is kept on the loss's own device, and fetched only now and then from a GPU, so that
    looking at it does not make the GPU wait.

    Args:
        every_n_steps: how often it is fetched; by default after each step on a CPU, after every 50 else.
    """

    def __init__(self, every_n_steps: int | None = None) -> None:
        self.every_n_steps = every_n_steps
        self._first_bad: torch.Tensor | None = None  # [2]: batch (-1 while there is none) and loss

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Find out whether the step's loss is finite."""
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if not isinstance(loss, torch.Tensor):
            return
        loss = loss.detach().float().mean()
        if self._first_bad is None:
            self._first_bad = torch.tensor([-1.0, 0.0], device=loss.device)
        this = torch.stack([torch.full_like(loss, batch_idx), loss])
        self._first_bad = torch.where(~loss.isfinite() & (self._first_bad[0] < 0), this, self._first_bad)
        every = self.every_n_steps or (1 if loss.device.type == "cpu" else 50)
        if (batch_idx + 1) % every == 0:
            self._fetch(trainer, batch_idx)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Fetch what was found since the last time."""
        self._fetch(trainer, trainer.fit_loop.epoch_loop.batch_idx)

    def _fetch(self, trainer: lightning.Trainer, batch_idx: int) -> None:
        bad_batch, loss = (-1.0, 0.0) if self._first_bad is None else self._first_bad.tolist()
        self._first_bad = None
        if bad_batch < 0:
            return
        batches_since = (batch_idx - int(bad_batch)) // trainer.accumulate_grad_batches
        step = max(trainer.global_step - 1 - batches_since, 0)
        error = NonFiniteLossError(
            f"the training loss is {loss}",
            where=f"epoch {trainer.current_epoch}, batch {int(bad_batch)}, optimiser step {step}",
            hint="lower `train.optimizer_config.optimizer_params.lr`, add warm-up, set "
            "`train.trainer_paras.gradient_clip_val=1.0`, or train with `train.trainer_paras.precision=32-true`; "
            "`train.stop_on_nan=false` goes on regardless",
        )
        error.step = step
        raise error
