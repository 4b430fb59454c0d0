"""Writes what the data of a training is in numbers, once it is known what is trained on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import lightning

from runway.executors.data_statistics import data_statistics
from runway.experiment.folders.run_folder import write_json
from runway.ranks import rank

if TYPE_CHECKING:
    from runway.executors.base_executor import BaseExecutor


class DataFacts(lightning.Callback):
    """Writes the rows, batches and tokens of the loaders that are really used: ``setup`` may choose others.

    Args:
        path: the JSON file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_start(self, trainer: lightning.Trainer, pl_module: BaseExecutor) -> None:  # type: ignore[override]
        """The loaders are made by now; a test's are those that there would be."""
        if rank() != 0 or not hasattr(pl_module, "dataloaders"):
            return
        used = {"train_dataloaders": trainer.train_dataloader, "val_dataloaders": trainer.val_dataloaders}
        known = {name: loaders for name, loaders in used.items() if loaders is not None}
        write_json(self.path, data_statistics({**pl_module.dataloaders(), **known}))
