"""What a checkpoint holds, and reading it without executing anything that is in it.

Lightning's own keys (``state_dict``, ``optimizer_states``, ``lr_schedulers``, ``loops``, ``callbacks``), what the
executor and the callbacks add, and under ``runway`` what an exact resume needs (``resume_content``).
"""

from __future__ import annotations

import pickle
import random
import textwrap
import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
import torch

from runway.config import Config
from runway.errors import ExperimentError

if TYPE_CHECKING:
    import lightning

RESUME_KEY = "runway"


def resume_content(trainer: lightning.Trainer, epoch_began: dict[str, Any] | None) -> dict[str, Any]:
    """What is saved for an exact resume.

    Args:
        trainer: in the middle of a training.
        epoch_began: this rank's random state before the epoch's order was drawn.

    Returns:
        ``{ranks: [{now, epoch_began}, …], batches}``: two random states of every rank, and the number of batches of
        this epoch that were used; 0 between epochs.
    """
    own = {"now": random_state(), "epoch_began": epoch_began}
    ranks = [own]
    if trainer.world_size > 1:
        ranks = [None] * trainer.world_size  # type: ignore[list-item]
        torch.distributed.all_gather_object(ranks, own)
    loop: Any = trainer.fit_loop
    epoch, batches = loop.epoch_progress.current, loop.epoch_loop.batch_progress
    inside = epoch.processed < epoch.ready and not batches.is_last_batch
    return {"ranks": ranks, "batches": batches.current.ready if inside else 0}


def random_state() -> dict[str, Any]:
    """The state of every random generator, as tensors and plain values (so it loads with ``weights_only``)."""
    state: Any = numpy.random.get_state()
    kind, keys, position, has_gauss, cached = state
    return {
        "python": random.getstate(),
        "numpy": [kind, torch.from_numpy(keys.astype("int64")), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Put back what ``random_state`` gave."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    kind, keys, *rest = state["numpy"]
    numpy.random.set_state((kind, keys.cpu().numpy().astype("uint32"), *rest))
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] and torch.cuda.device_count() == len(state["cuda"]):
        torch.cuda.set_rng_state_all([one.cpu() for one in state["cuda"]])


def trusting_own_classes() -> AbstractContextManager:
    """While a checkpoint is loaded: a Config in it (an executor's hyperparameters, say) is allowed."""
    return torch.serialization.safe_globals([Config])


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content, on the CPU; only tensors and plain values are read, nothing in it is executed.

    Raises:
        ExperimentError: it is damaged, or holds other objects.
    """
    try:
        with trusting_own_classes():
            return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError, RuntimeError, ValueError, OSError, zipfile.BadZipFile) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        message = f"the checkpoint {path.name} cannot be read: {lines[0]}"
        hint = "the file is damaged (a full disk, a copy that was cut short?); choose another checkpoint"
        if "Unsupported global" in str(error) or "weights_only" in str(error).lower():
            cause = next((line.strip() for line in lines if "GLOBAL" in line), lines[0])
            message = f"the checkpoint {path.name} holds objects other than tensors and plain values: {cause}"
            hint = (
                "keep such objects out of save_hyperparameters() and state_dict(), or name their class to "
                "torch.serialization.add_safe_globals in your src/"
            )
        raise ExperimentError(message, where=str(path), hint=hint) from error


def load_weights(executor: torch.nn.Module, path: Path, setting: str) -> None:
    """Load the weights of a checkpoint, a saved ``state_dict`` or a ``.safetensors`` file into ``executor``.

    Keys may be those of the executor or those of its ``model``.

    Raises:
        ExperimentError: the file does not fit the model.
    """
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        state = load_file(path)
    else:
        content = read_checkpoint(path)
        state = content.get("state_dict", content)
    model = getattr(executor, "model", None)
    own = executor.state_dict()
    target = executor if model is None or any(key in own for key in state) else model
    with misfits(path, setting):
        target.load_state_dict(state)


@contextmanager
def misfits(path: Path, setting: str) -> Iterator[None]:
    """While weights are loaded: torch's error about weights that do not fit the model, in our words.

    Raises:
        ExperimentError: they do not fit.
    """
    try:
        yield
    except RuntimeError as error:
        if "loading state_dict for" not in str(error):
            raise
        lines = [textwrap.shorten(line, 200) for line in str(error).splitlines()[1:]]
        more = f"; and {len(lines) - 3} more" if len(lines) > 3 else ""
        raise ExperimentError(
            f"the weights in {path.name} do not fit the model: " + "; ".join(lines[:3]) + more,
            where=f"{setting} ({path})",
            hint="`model_config` (and `train.use_lora`) must be as they were when it was saved",
        ) from error
