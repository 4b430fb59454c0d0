"""Whether a training was made before: a look into all versions of the experiment for one with the same key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runway.experiment.folders.file_names import METRICS_HISTORY, PROVENANCE
from runway.experiment.folders.run_folder import RunFolder, read_history, read_if_whole
from runway.experiment.provenance import FINISHED
from runway.experiment.training_reads import changed_reads
from runway.log import info, warning

if TYPE_CHECKING:
    from runway.experiment.context import ExperimentContext
    from runway.experiment.training_key import TrainingKey
    from runway.pipeline import DataPipeline

SHOWN_DIFFERENCES = 6


@dataclass(frozen=True)
class TrainedBefore:
    """What the versions of an experiment say of a training.

    Args:
        same: the newest finished version with its key, whose checkpoints are there.
        unfinished: the newest with its key that was stopped, has failed or is being trained.
        newest: the newest version that has another key; None where ``same`` is known, or none has a key.
        differences: what differs from ``newest``.
    """

    same: RunFolder | None = None
    unfinished: RunFolder | None = None
    newest: RunFolder | None = None
    differences: tuple[str, ...] = ()

    def tell(self, *, reuse: bool) -> None:
        """Say it: that it was trained before, or why it was not."""
        if self.same is not None and reuse:
            info(f"the same training as {self.same.path.name}, which is taken instead of training again (--reuse)")
        elif self.same is not None:
            info(f"the same as {self.same.path.name}: --reuse takes that instead of training again")
        elif self.unfinished is not None:
            name = self.unfinished.path.name
            info(f"the same as {name}, which is not finished: --resume goes on with it, unless it is still training")
        elif self.newest is not None:
            more = len(self.differences) - SHOWN_DIFFERENCES
            told = "; ".join([*self.differences[:SHOWN_DIFFERENCES], *([f"and {more} more"] if more > 0 else [])])
            info(f"differs from {self.newest.path.name}: {told}")


def trained_before(context: ExperimentContext, key: TrainingKey, pipeline: DataPipeline) -> TrainedBefore:
    """Look for a training with this key in an experiment's versions, the newest first.

    Args:
        context: the experiment.
        key: the training's.
        pipeline: the data pipeline.
    """
    wanted = key.key()
    folder = context.folder
    unfinished: RunFolder | None = None
    other: tuple[RunFolder, list[str]] | None = None
    for run in reversed(folder.versions()):
        record = training_record(run)
        parts = record.get("training")
        if not isinstance(parts, dict) or not parts.get("key"):
            continue
        try:
            is_same = parts["key"] == wanted
            changed = changed_reads(parts.get("reads"), context, pipeline) if is_same else key.differences(parts)
        except (KeyError, TypeError, ValueError, AttributeError):
            warning(f"the record of {run.path.name} is damaged, and it is not looked at as an earlier training")
            continue
        if changed or not is_same:
            other = other or (run, changed)
        elif record.get("status") != FINISHED:
            unfinished = unfinished or run
        elif run.has_checkpoints():  # without them there is nothing to take, nor to go on with
            return TrainedBefore(same=run, unfinished=unfinished)
    if other is None:
        return TrainedBefore(unfinished=unfinished)
    return TrainedBefore(None, unfinished, other[0], tuple(other[1]))


def training_record(run: RunFolder) -> dict[str, Any]:
    """The provenance of a version's training; empty where there is none, or it is damaged."""
    return read_if_whole(run.train / PROVENANCE, {}, "it is not looked at as an earlier training")


def last_metrics(run: RunFolder) -> dict[str, float]:
    """The last value of each metric that a training has logged."""
    found: dict[str, float] = {}
    for entry in read_history(run.train / METRICS_HISTORY):
        for name, value in entry["metrics"].items():
            if value is not None:
                found[name] = float(value)
    return found
