"""Which checkpoints a training has left, and which is meant: the best, the last, the one that a config names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runway.disk import expanded
from runway.errors import ExperimentError, did_you_mean
from runway.experiment.folders.file_names import CHECKPOINT_INDEX, CHECKPOINT_SUFFIX, LAST_CHECKPOINT
from runway.experiment.folders.run_folder import RunFolder, read_json
from runway.log import warning


def list_checkpoints(saved_models: Path) -> list[str]:
    """The names of the checkpoints in a folder, relative to it."""
    return sorted(path.relative_to(saved_models).as_posix() for path in saved_models.rglob(f"*{CHECKPOINT_SUFFIX}"))


def best_checkpoint(saved_models: Path) -> Path | None:
    """The best checkpoint by what was monitored; the last one where nothing was."""
    index = read_index(saved_models, "which checkpoint is the best is not known, so the last is taken")
    known = list_checkpoints(saved_models)
    for key in ("best_model_path", "last_model_path"):
        if index.get(key) in known:
            return saved_models / index[key]
    return last_checkpoint(saved_models)


def read_index(saved_models: Path, instead: str) -> Mapping[str, Any]:
    """What ``checkpoints.json`` says; where it is damaged, what the newest whole checkpoint says of the same.

    Args:
        saved_models: the folder of the checkpoints.
        instead: what is done where no checkpoint says it, for the warning.
    """
    path = saved_models / CHECKPOINT_INDEX
    try:
        index: Mapping[str, Any] = read_json(path, {})
        return index
    except ExperimentError as error:
        name, found = _index_of_checkpoints(saved_models)
        done = f"what it said is taken from {name}" if name else instead
        warning(f"{error.message} ({path}): {done}", once=True)
        return found


def _index_of_checkpoints(saved_models: Path) -> tuple[str, dict[str, Any]]:
    """The newest checkpoint that says which one is the best, and what it says; nothing where none does."""
    import torch

    from runway.experiment.checkpoint_content import trusting_own_classes

    newest: tuple[int, int] = (-1, 0)
    found: tuple[str, dict[str, Any]] = ("", {})
    for name in list_checkpoints(saved_models):
        try:
            with trusting_own_classes():
                content = torch.load(saved_models / name, map_location="cpu", weights_only=True, mmap=True)
            said = next(state for state in content["callbacks"].values() if "best_model_path" in state)
            age = int(content["global_step"]), (saved_models / name).stat().st_mtime_ns
            score = said["best_model_score"]
            index = {
                "best_model_path": str(said["best_model_path"] or said["last_model_path"]),
                "last_model_path": str(said["last_model_path"]),
                "monitor": said["monitor"],
                "mode": said.get("mode"),
                "best_model_score": None if score is None else float(score),
            }
        except Exception:  # noqa: S112 (its bytes may be any)
            continue
        if age > newest:
            newest, found = age, (name, index)
    return found


def last_checkpoint(saved_models: Path) -> Path | None:
    """``last.ckpt``, else the newest checkpoint."""
    if (saved_models / LAST_CHECKPOINT).exists():
        return saved_models / LAST_CHECKPOINT
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
    default = "last" if test_config.get("load_best_model") is False else "best"
    name = str(test_config.get("checkpoint_name") or default)
    known = list_checkpoints(run.saved_models)
    if not known:
        hint = "train it, or choose another version with exp_version=K"
        raise ExperimentError(f"{run.path.name} has no checkpoints", where=str(run.saved_models), hint=hint)
    if name in ("best", "last"):
        found = last_checkpoint(run.saved_models) if name == "last" else best_checkpoint(run.saved_models)
        assert found is not None  # there are checkpoints
        return found
    wanted = name if name.endswith(CHECKPOINT_SUFFIX) else name + CHECKPOINT_SUFFIX
    if wanted in known:
        return run.saved_models / wanted
    hint = did_you_mean(wanted, known)
    if not hint.startswith("known"):
        hint += f" (there are: {', '.join(known[-8:])})"
    where = f"{run.saved_models} (test.checkpoint_name)"
    raise ExperimentError(f"{run.path.name} has no checkpoint {name!r}", where=where, hint=hint)


def weights_file(path: str | Path, project: Path, setting: str) -> Path:
    """A file of weights that the config names.

    Raises:
        ExperimentError: there is no such file.
    """
    resolved = project / expanded(path)
    if resolved.is_file():
        return resolved
    near = list_checkpoints(resolved if resolved.is_dir() else resolved.parent) if resolved.parent.is_dir() else []
    hint = did_you_mean(resolved.name, near) if near else "give a .ckpt, .pt or .safetensors file"
    raise ExperimentError(f"there is no file {str(path)!r}", where=setting, hint=hint)
