"""Writes where the time of a training has gone, and the most memory that it has taken: ``timings.json``."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import Any

import lightning
import torch

from runway.experiment.folders.run_folder import read_json, write_json
from runway.ranks import rank


class Timings(lightning.Callback):
    """Adds up the seconds of steps, of waiting for data and of validations, as the first process has them.

    A GPU works on while Python goes on: a step's seconds are those until its batch is over for the loop, and what is
    not waited for there shows in the next wait. A resumed training adds to what was written before.

    Args:
        path: the JSON file.
        goes_on: whether the training was resumed.
    """

    def __init__(self, path: Path, *, goes_on: bool = False) -> None:
        self.path = path
        self.earlier: dict[str, Any] = read_json(path, {}) if goes_on else {}
        self.seconds = {"data_seconds": 0.0, "step_seconds": 0.0, "validation_seconds": 0.0}
        self.steps = 0
        self._since: float | None = None

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """What comes first is waiting for a batch."""
        self._since = time.monotonic()

    def on_train_batch_start(self, *args: Any, **kwargs: Any) -> None:
        """The batch is there."""
        self._add("data_seconds")

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """The step is over."""
        self._add("step_seconds")
        self.steps += 1

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """What was before belongs to the last step: its callbacks."""
        self._add("step_seconds")

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """The validation is over; a sanity check is none."""
        if trainer.sanity_checking:
            self._since = None
            return
        self._add("validation_seconds")
        self._write()

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Write what there is, however the training has ended."""
        if stage == "fit":
            self._write()

    def _add(self, name: str) -> None:
        now = time.monotonic()
        if self._since is not None:
            self.seconds[name] += now - self._since
        self._since = now

    def _write(self) -> None:
        if rank() != 0 or not self.path.parent.is_dir():
            return
        summed = {name: round(value + self.earlier.get(name, 0.0), 3) for name, value in self.seconds.items()}
        peaks = {
            "peak_memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            * (1 if sys.platform == "darwin" else 1024)
        }
        if torch.cuda.is_available():
            peaks["peak_gpu_memory"] = torch.cuda.max_memory_allocated()
        highest = {name: max(value, self.earlier.get(name, 0)) for name, value in peaks.items()}
        write_json(self.path, {"steps": self.steps + self.earlier.get("steps", 0), **summed, **highest})
