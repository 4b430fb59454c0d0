"""Averages the weights of the last few snapshots of a training, as translation papers do with checkpoints."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import lightning
import torch

from runway.errors import must_be_known, must_be_whole
from runway.log import warning

SETTING = "executor.init_kwargs.average_last"
RAW_KEY, SNAPSHOTS_KEY = "raw_state_dict", "averaged_snapshots"


class AverageLastWeights(lightning.Callback):
    """Validations and checkpoints use the mean of the last ``count`` snapshots of the weights; training does not.

    A snapshot is taken at each validation, or after every so many steps (Vaswani et al. 2017, section 6.1, average
    the last 5 checkpoints, written at 10-minute intervals). Each checkpoint holds the mean as its weights, so a
    test, an export and the choice of the best one need to know nothing of it; the weights as trained and the
    snapshots stand beside them, for going on exactly where it stopped. That makes a checkpoint larger by
    ``count + 1`` copies of the weights. For models whose every process holds all weights (one device, DDP).

    Args:
        count: how many snapshots are averaged; before there are as many, those there are.
        every_n_steps: optimiser steps between snapshots; None takes one at each validation.
    """

    def __init__(self, count: int, every_n_steps: int | None = None) -> None:
        self.count, self.every_n_steps = count, every_n_steps
        self.snapshots: deque[dict[str, torch.Tensor]] = deque(maxlen=count)
        self._raw: dict[str, torch.Tensor] | None = None
        self._step = 0

    @classmethod
    def of(cls, setting: int | Mapping[str, int]) -> AverageLastWeights:
        """The callback that ``average_last`` asks for: a count, or ``{count, every_n_steps}``.

        Raises:
            ConfigError: it is neither, or a number is below 1.
        """
        given: dict[str, Any] = dict(setting) if isinstance(setting, Mapping) else {"count": setting}
        must_be_known(given, ["count", "every_n_steps"], "unknown key", where=SETTING)
        must_be_whole("count", given.get("count"), least=1, where=SETTING)
        if given.get("every_n_steps") is not None:
            must_be_whole("every_n_steps", given["every_n_steps"], least=1, where=SETTING)
        return cls(**given)

    @property
    def state_key(self) -> str:
        """One key whatever the settings, so that they may change when a training goes on."""
        return "AverageLastWeights"

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *args: Any) -> None:
        """Take a snapshot, where it is time for one."""
        step = trainer.global_step
        if self.every_n_steps and step != self._step and step % self.every_n_steps == 0:
            self._take(pl_module)
        self._step = step

    def on_validation_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Put the mean where the weights were."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        if not self.every_n_steps:
            self._take(pl_module)
        if self.snapshots:
            self._raw = _copied(_trained(pl_module))
            put_weights(pl_module, self._mean())

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Put the weights back."""
        if self._raw is not None:
            put_weights(pl_module, self._raw)
            self._raw = None

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Leave the mean in the model."""
        if self.snapshots:
            put_weights(pl_module, self._mean())
        else:
            when = f"every {self.every_n_steps} steps" if self.every_n_steps else "at each validation"
            warning(f"{SETTING}: nothing was averaged; a snapshot is taken {when}, and there was none")

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Make the mean the checkpoint's weights."""
        if not self.snapshots:
            return
        raw = _copied(_trained(pl_module)) if self._raw is None else self._raw
        checkpoint[RAW_KEY] = raw
        checkpoint[SNAPSHOTS_KEY] = list(self.snapshots)
        state = checkpoint["state_dict"]
        mean = self._mean()
        storages = {name: tensor.data_ptr() for name, tensor in _trained(pl_module).items()}
        by_storage = {pointer: mean[name] for name, pointer in storages.items()}
        # A tied weight has several names in a state_dict, but one storage.
        checkpoint["state_dict"] = {name: by_storage.get(value.data_ptr(), value) for name, value in state.items()}

    def on_load_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Where a training goes on: from the weights as trained, with the snapshots there were."""
        if trainer.state.fn != "fit" or RAW_KEY not in checkpoint:
            return
        self.snapshots = deque(checkpoint[SNAPSHOTS_KEY][-self.count :], maxlen=self.count)
        self._step = int(checkpoint["global_step"])
        put_weights(pl_module, checkpoint[RAW_KEY])  # Lightning has loaded the mean into the model by now

    def _take(self, module: torch.nn.Module) -> None:
        self.snapshots.append({name: value.cpu() for name, value in _copied(_trained(module)).items()})

    def _mean(self) -> dict[str, torch.Tensor]:
        first = self.snapshots[0]
        return {
            name: torch.stack([snapshot[name].float() for snapshot in self.snapshots]).mean(0).to(first[name].dtype)
            for name in first
        }


def _trained(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The trained parameters; a tied one is there once."""
    return {name: parameter.detach() for name, parameter in module.named_parameters() if parameter.requires_grad}


def _copied(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in tensors.items()}


@torch.no_grad()
def put_weights(module: torch.nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Copy weights into the parameters of their names."""
    for name, parameter in module.named_parameters():
        if name in tensors:
            parameter.copy_(tensors[name])
