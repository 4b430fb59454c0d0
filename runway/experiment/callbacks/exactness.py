"""What keeps a resumed training from being the one that was never stopped, told before the first step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from runway.executors.lightning_internals import validates_by_time

if TYPE_CHECKING:
    import lightning


def inexact(trainer: lightning.Trainer, module: lightning.LightningModule, loaders: Iterable[Any]) -> list[str]:
    """Why a resume inside an epoch would not be bit-identical; empty where it would.

    Args:
        trainer: about to train.
        module: the executor.
        loaders: the training's.
    """
    from torch.utils.data import DataLoader
    from torchmetrics import Metric

    found = []
    if validates_by_time(trainer):
        found.append("`val_check_interval` is a time, so validations come at other steps")
    if trainer.reload_dataloaders_every_n_epochs:  # type: ignore[attr-defined]
        found.append("`reload_dataloaders_every_n_epochs` draws the data's order once more")
    metrics = [name for name, part in module.named_modules() if isinstance(part, Metric)]
    if metrics:
        found.append(f"torchmetrics are summed up since the resume only ({', '.join(metrics[:3])})")
    others = sorted({type(loader).__name__ for loader in loaders if not isinstance(loader, DataLoader)})
    if others:
        found.append(f"the training data is no DataLoader ({', '.join(others)}), and must give the same batches again")
    return found
