"""Checkpoints on disk: each is written whole or not at all; where one is damaged, the one before it is taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO

from runway.disk import replacing
from runway.errors import ExperimentError
from runway.experiment.checkpoint_content import DamagedCheckpoint, read_checkpoint, trusting_own_classes
from runway.experiment.folders.file_names import LAST_CHECKPOINT, METRICS_HISTORY
from runway.experiment.folders.find_checkpoint import list_checkpoints
from runway.experiment.folders.run_folder import RunFolder, read_history
from runway.log import warning
from runway.ranks import rank


class WholeCheckpointIO(TorchCheckpointIO):
    """Lightning's way to the disk, but through a file beside the checkpoint that is on the disk before it is renamed.

    Lightning's own goes through TMPDIR: from another file system the bytes are copied over the last checkpoint.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            ExperimentError: it cannot be written; an earlier one of that name is still whole.
        """
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        try:
            with replacing(path, lasting=True) as temporary:
                torch.save(checkpoint, temporary)
        except (OSError, RuntimeError) as error:  # torch's writer raises the latter on a full disk
            raise ExperimentError(
                f"the checkpoint {Path(path).name} cannot be written: {error}",
                where=str(path),
                hint="is the disk full, or the folder read-only? What was saved before is whole: --resume goes on",
            ) from error

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint, and compare its checksums; see ``read_checkpoint``.

        Raises:
            ExperimentError: it is damaged, or gone.
        """
        return read_checkpoint(Path(path))


def read_or_earlier(
    run: RunFolder, wanted: Path, usable: Callable[[Mapping[str, Any]], bool]
) -> tuple[Path, dict[str, Any]]:
    """A checkpoint and its content; where it is damaged, with a warning, the newest of the others that is not.

    Args:
        run: the version.
        wanted: the checkpoint.
        usable: says whether the content of another one will do.

    Raises:
        DamagedCheckpoint: none is whole.
        ExperimentError: it holds what cannot be read.
    """
    try:
        return wanted, read_checkpoint(wanted)
    except DamagedCheckpoint as error:
        damaged = error
    others = {run.saved_models / name for name in list_checkpoints(run.saved_models)} - {wanted}
    steps = {path: step for path in others if (step := _step(path)) is not None}
    for path in sorted(steps, key=lambda path: (steps[path], path.name), reverse=True):
        try:
            content = read_checkpoint(path)
        except ExperimentError:
            continue
        if usable(content):
            if rank() == 0:
                warning(f"{damaged.message} ({wanted}): {path.name} is taken instead{_lost(run, wanted, steps[path])}")
            return path, content
    damaged.hint = "the file is damaged (a full disk, a copy that was cut short?), and no other of the version is whole"
    raise damaged


def _step(path: Path) -> int | None:
    """The step of a checkpoint, without its tensors; None where it is too damaged for that."""
    try:
        with trusting_own_classes():
            return int(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["global_step"])
    except Exception:  # its bytes may be any
        return None


def _lost(run: RunFolder, damaged: Path, step: int) -> str:
    """How far back another checkpoint is: known from the damaged one, or from what was logged."""
    if damaged.name != LAST_CHECKPOINT:
        return f", of step {step}"
    last = _step(damaged)
    if last is None:
        history = read_history(run.train / METRICS_HISTORY)
        last = max((entry["step"] + 1 for entry in history if entry["step"] is not None), default=step)
    return f", of step {step}: {max(last - step, 0)} steps are lost"
