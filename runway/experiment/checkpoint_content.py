"""What a checkpoint holds, and reading it without executing anything that is in it.

Lightning's own keys (``state_dict``, ``optimizer_states``, ``lr_schedulers``, ``loops``, ``callbacks``), what the
executor and the callbacks add, and under ``runway`` what an exact resume needs (``callbacks/resume.py``).
"""

from __future__ import annotations

import random
import textwrap
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any

import numpy
import torch

from runway.config import Config
from runway.errors import ExperimentError, damage_told_as
from runway.executors.loaded_weights import with_tied_weights
from runway.pipeline.keys.fingerprint import digest

RESUME_KEY = "runway"
_ZIP = b"PK\x03\x04"


class DamagedCheckpoint(ExperimentError):
    """A checkpoint's bytes are not those that were written."""


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
    """While a checkpoint is loaded: values of a few classes are allowed, none of which executes anything.

    A Config (an executor's hyperparameters, say), paths, and numpy's numbers and arrays; of a checkpoint that the
    original wrote EasyDicts, which are read as OrderedDicts, whether or not easydict is installed.
    """
    array = numpy.zeros(0)
    makes_arrays: Any = [array.__reduce__()[0], numpy.float64(0).__reduce__()[0]]  # which numpy does not name openly
    numbers = {type(numpy.dtype(code)) for code in numpy.typecodes["All"] if code != "O"}
    paths = [PosixPath, WindowsPath, PurePosixPath, PureWindowsPath]
    easy_dicts: Any = [(OrderedDict, "easydict.EasyDict")]  # the only dict with attributes that torch fills
    return torch.serialization.safe_globals(
        [Config, *easy_dicts, *paths, *makes_arrays, numpy.ndarray, numpy.dtype, *numbers]
    )


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content, on the CPU; only tensors and plain values are read, nothing in it is executed.

    Raises:
        DamagedCheckpoint: it is damaged.
        ExperimentError: it holds other objects, or is a folder of shards.
    """
    if path.is_dir():
        raise ExperimentError(
            f"the checkpoint {path.name} is a folder of shards, of each process one",
            where=str(path),
            hint=f"`python -m lightning.pytorch.utilities.consolidate_checkpoint {path}` makes one file of it, for "
            "test.load_model_path",
        )
    try:
        _compare_checksums(path)
        with trusting_own_classes():
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the bytes may be any, and so is what torch's, pickle's and zip's readers raise
        lines = str(error).splitlines() or [type(error).__name__]
        if "Unsupported global" in str(error) or "GLOBAL" in str(error):  # torch speaks of weights_only for any bytes
            cause = next((line.strip() for line in lines if "GLOBAL" in line), lines[0])
            raise ExperimentError(
                f"the checkpoint {path.name} holds objects other than tensors and plain values: {cause}",
                where=str(path),
                hint="keep such objects out of save_hyperparameters() and state_dict(), or name their class to "
                "torch.serialization.add_safe_globals in your src/",
            ) from error
        raise DamagedCheckpoint(
            f"the checkpoint {path.name} cannot be read: {lines[0]}",
            where=str(path),
            hint="the file is damaged (a full disk, a copy that was cut short?); choose another checkpoint",
        ) from error
    if not isinstance(content, dict):
        message = f"the file {path.name} is no checkpoint: it holds a {type(content).__name__}"
        raise DamagedCheckpoint(message, where=str(path), hint="choose another one")
    return content


def _compare_checksums(path: Path) -> None:
    """Read a checkpoint's bytes and compare them with the checksums in it, which torch writes but does not look at.

    Raises:
        OSError: the file cannot be read.
        ValueError: the bytes are not those that were written.
        Exception: whatever the zip reader makes of damaged bytes.
    """
    with path.open("rb") as file:
        if file.read(4) != _ZIP:  # a form from before torch 1.6, without checksums
            return
    with zipfile.ZipFile(path) as archive:
        if not any(member.CRC for member in archive.infolist()):  # saved with set_crc32_options(False)
            return
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"the checksum of its part {damaged!r} is another one")


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The weights in a checkpoint, a saved ``state_dict`` or a ``.safetensors`` file.

    Raises:
        ExperimentError: the file is damaged, or holds other objects.
    """
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        with damage_told_as(ExperimentError, f"the weights in {path.name} cannot be read", where=str(path)):
            return load_file(path)
    content = read_checkpoint(path)
    weights = content.get("state_dict", content)
    if not isinstance(weights, Mapping):
        raise ExperimentError(f"the checkpoint {path.name} holds no weights by their names", where=str(path))
    return dict(weights)


def weights_digest(path: Path) -> str:
    """The digest of the weights in a file: names, types, shapes and values, and nothing of what else stands there.

    Raises:
        ExperimentError: the file is damaged, or holds other objects.
    """
    return digest(dict(read_weights(path)), path.name)


def load_weights(executor: torch.nn.Module, path: Path, setting: str) -> None:
    """Load the weights of a checkpoint, a saved ``state_dict`` or a ``.safetensors`` file into ``executor``.

    Keys may be those of the executor or those of its ``model``; a weight that layers share may have one of its names.

    Raises:
        ExperimentError: the file does not fit the model.
    """
    state = read_weights(path)
    model = getattr(executor, "model", None)
    own = executor.state_dict()
    target = executor if model is None or any(key in own for key in state) else model
    with misfits(path, setting):
        target.load_state_dict(with_tied_weights(state, target))


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
