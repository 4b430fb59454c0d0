"""The logger that keeps a run's metrics in one JSON file: ``[{step, epoch, metrics}, …]``."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger

from runway.experiment.folders.run_folder import read_json, write_json
from runway.ranks import rank

SECONDS_BETWEEN_WRITES = 5.0


class MetricsHistory(Logger):
    """Keeps every logged metric with its step and epoch.

    Args:
        path: the JSON file; what it holds already is kept, so that a resumed run goes on in it.
        after_step: entries beyond this step are dropped first: a resumed run logs those steps again.
    """

    name = "metrics_history"  # in ``meta.logger_enable``
    version = ""  # the run folder counts versions

    def __init__(self, path: Path, *, after_step: int | None = None) -> None:
        super().__init__()
        self.path = path
        self.entries: list[dict[str, Any]] = []
        if after_step is not None:
            earlier = read_json(path, [])
            self.entries = [entry for entry in earlier if (entry["step"] or 0) < after_step]
        self._last_write = 0.0

    @property
    def save_dir(self) -> str:
        """Where the file stands."""
        return str(self.path.parent)

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """The run's config.json has them."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add the metrics of one step; those logged for the same step and epoch share an entry."""
        values = {name: _number(value) for name, value in metrics.items() if name != "epoch"}
        epoch = metrics.get("epoch")
        entry = {"step": step, "epoch": None if epoch is None else int(epoch), "metrics": values}
        if self.entries and (self.entries[-1]["step"], self.entries[-1]["epoch"]) == (step, entry["epoch"]):
            self.entries[-1]["metrics"].update(values)
        else:
            self.entries.append(entry)

    def save(self) -> None:
        """Write the file, at most once in a few seconds: Lightning asks after every logged step."""
        if time.monotonic() - self._last_write >= SECONDS_BETWEEN_WRITES:
            self._write()

    def finalize(self, status: str) -> None:
        """Write what is left."""
        self._write()

    def _write(self) -> None:
        self._last_write = time.monotonic()
        if rank() == 0:
            write_json(self.path, self.entries)


def _number(value: Any) -> float | int | str | None:
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no NaN
    return value
