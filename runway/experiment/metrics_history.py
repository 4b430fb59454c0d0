"""The logger that keeps a run's metrics in one JSON file: ``[{step, epoch, metrics}, …]``."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger

from runway.experiment.folders.run_folder import read_history, write_json
from runway.log import warning
from runway.ranks import rank

SECONDS_BETWEEN_WRITES = 5.0


class MetricsHistory(Logger):
    """Keeps every logged metric with its step and epoch.

    Args:
        path: the JSON file; what it holds already is kept, so that a resumed run goes on in it.
        after_step: entries beyond this step are dropped first: a resumed run logs those steps again. What the
            checkpoint knows more exactly comes with ``go_back_to``.
    """

    name = "metrics_history"  # in ``meta.logger_enable``
    version = ""  # the run folder counts versions

    def __init__(self, path: Path, *, after_step: int | None = None) -> None:
        super().__init__()
        self.path = path
        self.entries: list[dict[str, Any]] = []
        self._earlier: list[dict[str, Any]] = []
        if after_step is not None:
            self._earlier = read_history(path)
            self.entries = [entry for entry in self._earlier if (entry["step"] or 0) < after_step]
        self._last_write = 0.0
        self._told: set[str] = set()

    @property
    def save_dir(self) -> str:
        """Where the file stands."""
        return str(self.path.parent)

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """The run's config.json has them."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add the metrics of one step; those logged for the same step and epoch share an entry."""
        values = {name: _number(value) for name, value in metrics.items() if name != "epoch"}
        for name in values.keys() - self._told:
            if isinstance(values[name], str):
                self._told.add(name)
                warning(f"{name} is {values[name]} at step {step}; it is told once, the history has all of them")
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

    def flush(self) -> None:
        """Write the file now: a checkpoint must not know of rows that a kill can take."""
        self._write()

    def position(self) -> dict[str, Any]:
        """Where the history is: how many entries, and the last of them, to which more may be added."""
        return {"entries": len(self.entries), "last": copy.deepcopy(self.entries[-1:])}

    def go_back_to(self, position: Mapping[str, Any]) -> None:
        """Drop what was logged after ``position``, which a resumed run logs again."""
        if len(self._earlier) < position["entries"]:
            missing = position["entries"] - len(self._earlier)
            warning(f"{self.path.name} lacks {missing} of the rows that were logged before the checkpoint")
            return
        self.entries = [*self._earlier[: position["entries"]][:-1], *copy.deepcopy(list(position["last"]))]

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
