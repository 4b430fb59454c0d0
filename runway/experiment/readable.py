"""Keeps out of a checkpoint what could not be read again; the reader itself says so, without the weights' bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from runway.disk import replacing
from runway.errors import ConfigError, ExperimentError
from runway.experiment.checkpoint_content import read_checkpoint, trusting_own_classes
from runway.experiment.folders.file_names import FIRST_CHECKPOINT
from runway.log import info, warning
from runway.masking import hidden
from runway.ranks import rank

HYPERPARAMETERS = "hyper_parameters"
_NO_WEIGHTS = torch.empty(0)
_LEFT_OUT = object()


class Readable:
    """What one training leaves out of its checkpoints, each told once.

    ``save_hyperparameters()`` takes all arguments of an executor, the pipeline among them: what no reader needs is
    left out of the hyperparameters. Elsewhere an unreadable object is an error before the first step, and left out
    with a warning later: by then there is work to lose.
    """

    def __init__(self) -> None:
        self._told: set[str] = set()

    def check(self, content: dict[str, Any]) -> None:
        """Look at the first checkpoint of a training.

        Raises:
            ConfigError: it holds objects that no test and no resume could read.
        """
        _, left_out = readable(content)
        bad = [f"{place} ({kind})" for place, kind in left_out.items() if not _is_hyperparameter(place)]
        if bad:
            raise ConfigError(
                f"the checkpoints would hold what no test and no --resume can read: {', '.join(bad)}",
                where="on_save_checkpoint and state_dict of the executor and its callbacks",
                hint="keep tensors and plain values there (str, int, float, list, dict, arrays, paths), or name the "
                "class to torch.serialization.add_safe_globals in your src/",
            )
        self._tell(left_out)

    def keep_readable(self, content: dict[str, Any]) -> dict[str, Any]:
        """The checkpoint without what cannot be read."""
        content, left_out = readable(content)
        self._tell(left_out)
        return content

    def _tell(self, left_out: Mapping[str, str]) -> None:
        if rank() != 0:
            return
        new = {place: kind for place, kind in left_out.items() if place not in self._told}
        self._told |= new.keys()
        arguments = [f"{place.partition('.')[2]} ({kind})" for place, kind in new.items() if _is_hyperparameter(place)]
        others = [f"{place} ({kind})" for place, kind in new.items() if not _is_hyperparameter(place)]
        if arguments:
            info(f"save_hyperparameters: not in the checkpoints, which hold plain values only: {', '.join(arguments)}")
        if others:
            warning(f"left out of the checkpoint, because it could not be read again: {', '.join(others)}")


def readable(content: Any, place: str = "") -> tuple[Any, dict[str, str]]:
    """A value without the parts that ``read_checkpoint`` refuses.

    Args:
        content: a checkpoint, or a part of one.
        place: where it stands.

    Returns:
        The value itself where all of it can be read, else a copy of its containers; and what is left out: the place
        of each part, with its class. In a list, None takes the place of such a part.
    """
    if place == "" and isinstance(content, Mapping) and HYPERPARAMETERS in content:
        content = {**content, HYPERPARAMETERS: hidden(content[HYPERPARAMETERS])}
    if _reads_back(content):
        return content, {}
    left_out: dict[str, str] = {}

    def cleaned(key: Any, value: Any) -> Any:
        clean, found = readable(value, f"{place}.{key}" if place else str(key))
        left_out.update(found)
        return clean

    if isinstance(content, Mapping):
        pairs = {key: cleaned(key, value) for key, value in content.items()}
        return {key: value for key, value in pairs.items() if value is not _LEFT_OUT}, left_out
    if type(content) in (list, tuple):
        items = [cleaned(index, value) for index, value in enumerate(content)]
        return type(content)(None if item is _LEFT_OUT else item for item in items), left_out
    return _LEFT_OUT, {place: f"{type(content).__module__}.{type(content).__qualname__}"}


def write_and_read_back(content: dict[str, Any], folder: Path) -> None:
    """Write a checkpoint without the weights' bytes into the folder of the checkpoints, read it, and remove it.

    Raises:
        ExperimentError: it cannot be written or read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FIRST_CHECKPOINT
    try:
        with replacing(path) as temporary:
            torch.save(_without_weights(readable(content)[0]), temporary)
        read_checkpoint(path)
    except (OSError, RuntimeError) as error:  # torch's zip writer raises the latter on a full disk
        hint = "is the disk full, or the folder read-only?"
        raise ExperimentError(f"a checkpoint cannot be written: {error}", where=str(folder), hint=hint) from error
    finally:
        path.unlink(missing_ok=True)


def _reads_back(content: Any) -> bool:
    buffer = io.BytesIO()
    try:
        torch.save(_without_weights(content), buffer)
        buffer.seek(0)
        with trusting_own_classes():
            torch.load(buffer, map_location="cpu", weights_only=True)
    except Exception:  # pickle raises what an object's own __reduce__ does
        return False
    return True


def _without_weights(content: Any) -> Any:
    """The same containers, with one empty tensor in place of each."""
    if type(content) in (torch.Tensor, torch.nn.Parameter):
        return _NO_WEIGHTS
    if isinstance(content, dict):
        emptied = {key: _without_weights(value) for key, value in content.items()}
        return emptied if type(content) is dict else _same_kind(content, emptied)
    if type(content) in (list, tuple):
        return type(content)(map(_without_weights, content))
    return content


def _same_kind(content: dict, emptied: dict) -> Any:
    """A copy of a dict of another class, so that its class is tried too."""
    copy = content.copy()
    try:
        for key, value in emptied.items():
            copy[key] = value
    except Exception:  # one that takes no assignment keeps its tensors
        return content
    return copy


def _is_hyperparameter(place: str) -> bool:
    return place.partition(".")[0] == HYPERPARAMETERS
