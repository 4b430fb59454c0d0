"""Checkpoints on disk: which there are, which is best, and loading weights from one."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.errors import ExperimentError, did_you_mean
from runway.experiment.folders.run_folder import CHECKPOINT_SUFFIX, RunFolder, read_json

if TYPE_CHECKING:
    import torch

INDEX_FILE = "checkpoints.json"
LAST = "last" + CHECKPOINT_SUFFIX


def list_checkpoints(saved_models: Path) -> list[str]:
    """The names of the checkpoints in a folder, relative to it."""
    return sorted(path.relative_to(saved_models).as_posix() for path in saved_models.rglob(f"*{CHECKPOINT_SUFFIX}"))


def best_checkpoint(saved_models: Path) -> Path | None:
    """The best checkpoint by what was monitored; the last one where nothing was."""
    index = read_json(saved_models / INDEX_FILE, {})
    for key in ("best_model_path", "last_model_path"):
        if index.get(key) and (saved_models / index[key]).is_file():
            return saved_models / index[key]
    return last_checkpoint(saved_models)


def last_checkpoint(saved_models: Path) -> Path | None:
    """``last.ckpt``, else the newest checkpoint."""
    if (saved_models / LAST).is_file():
        return saved_models / LAST
    paths = [saved_models / name for name in list_checkpoints(saved_models)]
    return max(paths, key=lambda path: path.stat().st_mtime_ns, default=None)


def choose_checkpoint(run: RunFolder, test_config: Mapping[str, Any]) -> Path:
    """The checkpoint to test: the one that the config names, else the best; the last with ``load_best_model: false``.

    Args:
        run: the version to test.
        test_config: the config's ``test`` section; ``checkpoint_name`` may be a file's name, ``best`` or ``last``.

    Raises:
        ExperimentError: it is not there, with the checkpoints that are.
    """
    name = test_config.get("checkpoint_name") or ("last" if test_config.get("load_best_model") is False else "best")
    if str(name) not in ("best", "last"):
        return _named(run, str(name))
    found = last_checkpoint(run.saved_models) if name == "last" else best_checkpoint(run.saved_models)
    if found is None:
        raise ExperimentError(
            f"{run.path.name} has no checkpoints",
            where=str(run.saved_models),
            hint="train it, or choose another version with exp_version=K",
        )
    return found


def _named(run: RunFolder, name: str) -> Path:
    known = list_checkpoints(run.saved_models)
    wanted = name if name.endswith(CHECKPOINT_SUFFIX) else name + CHECKPOINT_SUFFIX
    if wanted in known:
        return run.saved_models / wanted
    hint = (
        did_you_mean(wanted, known) if known else "this version has no checkpoints; train it, or choose exp_version=K"
    )
    if known and not hint.startswith("known"):
        hint += f" (there are: {', '.join(known[-8:])})"
    raise ExperimentError(
        f"{run.path.name} has no checkpoint {name!r}", where=f"{run.saved_models} (test.checkpoint_name)", hint=hint
    )


def weights_file(path: str | Path, project: Path, setting: str) -> Path:
    """A file of weights that the config names.

    Raises:
        ExperimentError: there is no such file.
    """
    resolved = project / Path(path).expanduser()
    if resolved.is_file():
        return resolved
    near = list_checkpoints(resolved if resolved.is_dir() else resolved.parent) if resolved.parent.is_dir() else []
    hint = did_you_mean(resolved.name, near) if near else "give a .ckpt, .pt or .safetensors file"
    raise ExperimentError(f"there is no file {str(path)!r}", where=setting, hint=hint)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content, on the CPU; only tensors and plain values are read, nothing in it is executed.

    Raises:
        ExperimentError: it is damaged, or holds other objects.
    """
    import pickle
    import zipfile

    import torch

    try:
        with trusting_own_classes():
            return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError, RuntimeError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise unreadable(path, error) from error


@contextmanager
def trusting_own_classes() -> Iterator[None]:
    """While a checkpoint is loaded: a Config in it (an executor's hyperparameters, say) is allowed."""
    import torch

    from runway.config import Config

    with torch.serialization.safe_globals([Config]):
        yield


def unreadable(path: Path, error: BaseException) -> ExperimentError:
    """What to say of a checkpoint that does not load."""
    text = str(error)
    if "Unsupported global" in text or "weights_only" in text.lower():
        cause = next((line.strip() for line in text.splitlines() if "GLOBAL" in line), text.splitlines()[0])
        return ExperimentError(
            f"the checkpoint {path.name} holds objects other than tensors and plain values: {cause}",
            where=str(path),
            hint="keep such objects out of save_hyperparameters() and state_dict(), or name their class to "
            "torch.serialization.add_safe_globals in your src/",
        )
    first = text.splitlines()[0] if text else type(error).__name__
    return ExperimentError(
        f"the checkpoint {path.name} cannot be read: {first}",
        where=str(path),
        hint="the file is damaged (a full disk, a copy that was cut short?); choose another checkpoint",
    )


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
    try:
        target.load_state_dict(state)
    except RuntimeError as error:
        raise misfit(error, path, setting) from error


def is_misfit(error: RuntimeError) -> bool:
    """Whether torch says that weights and model do not fit."""
    return "loading state_dict for" in str(error)


def misfit(error: RuntimeError, path: Path, setting: str) -> ExperimentError:
    """What to say of weights that do not fit the model."""
    lines = [textwrap.shorten(line, 200) for line in str(error).splitlines()[1:]]
    more = f"; and {len(lines) - 3} more" if len(lines) > 3 else ""
    return ExperimentError(
        f"the weights in {path.name} do not fit the model: " + "; ".join(lines[:3]) + more,
        where=f"{setting} ({path})",
        hint="`model_config` (and `train.use_lora`) must be as they were when it was saved",
    )
