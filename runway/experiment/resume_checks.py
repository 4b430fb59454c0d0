"""What a resumed training takes from its new config, and what stays as the checkpoint has it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runway.config.overrides import format_path
from runway.config.reads import ABSENT
from runway.config.rendering import differences
from runway.errors import ConfigError, ExperimentError, RunwayError, did_you_mean, raise_collected
from runway.experiment.callbacks.monitoring import CONFIG_KEY
from runway.experiment.checkpoint_content import RESUME_KEY
from runway.experiment.folders.file_names import CONFIG
from runway.experiment.folders.run_folder import RunFolder, as_json, read_json
from runway.log import warning
from runway.masking import hidden
from runway.ranks import rank

SHOWN_CHANGES = 5
OPTIMIZER, OPTIMIZER_NAME = "train.optimizer_config", "train.optimizer_config.optimizer_name"
_FLAG = "--take-new"
Path = tuple[str | int, ...]

# What says how long, where and with what display to train, or is for other modes than training.
_MAY_CHANGE: set[tuple[str, ...]] = {("meta",), ("exp_version",), ("test",), ("test_suffix",)} | {
    ("train", "trainer_paras", name)
    for name in ("max_epochs", "max_steps", "max_time", "enable_progress_bar", "log_every_n_steps")
}
# What a checkpoint decides for good.
_FIXED = {
    ("meta", "seed"): "the random state goes on from the checkpoint",
    ("train", "load_model_path"): "the weights are those of the checkpoint",
}
_LENGTH = (("train", "trainer_paras", "max_epochs"), ("train", "trainer_paras", "max_steps"))


def config_file_of(content: Mapping[str, Any]) -> str:
    """The name of the file with the config that a checkpoint was trained with; there may be several in a version."""
    return str(content.get("callbacks", {}).get("RunCheckpoint", {}).get(CONFIG_KEY, CONFIG))


def config_of(run: RunFolder, content: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The config that a checkpoint was trained with; None, with a warning, where it cannot be read.

    Args:
        run: the version.
        content: the checkpoint's; a version that was resumed before has several configs, and it names its own.
    """
    try:
        found = read_json(run.train / config_file_of(content))
    except ExperimentError as error:
        warning(str(error))
        return None
    return found if isinstance(found, Mapping) else None


def check_changes(
    name: str,
    before: Mapping[str, Any] | None,
    config: Mapping[str, Any],
    take_new: Sequence[str],
    content: Mapping[str, Any],
) -> tuple[str, ...]:
    """Tell which settings differ from those that the version was trained with, and which of them have no effect.

    Args:
        name: the version's.
        before: the config that the checkpoint was trained with, where it is known.
        config: the new one.
        take_new: paths of settings that are to be taken from it, though the checkpoint has them.
        content: the checkpoint's.

    Returns:
        The settings, of ``OPTIMIZER`` and ``OPTIMIZER_NAME``, that are to be changed in what the checkpoint holds.

    Raises:
        ConfigError: a setting would have no effect, or ``take_new`` names what does not differ or cannot be taken.
    """
    coarse = differences(before, hidden(as_json(config))) if before is not None else []
    found = [leaf for difference in coarse for leaf in _leaves(*difference)]
    changes = {path: (old, new) for path, old, new in found if not (_is_nothing(old) and _is_nothing(new))}
    taken = {path for path in changes if any(_covers(text, path) for text in take_new)}
    errors: list[RunwayError] = _wrong_flags(changes, take_new)
    for path in changes:
        errors += _without_effect(path, changes[path], content, is_taken=path in taken)
    raise_collected(errors)
    others = [path for path in changes if path not in taken and not _starts_with(path, _MAY_CHANGE)]
    if others and rank() == 0:
        more = f" and {len(others) - SHOWN_CHANGES} more" if len(others) > SHOWN_CHANGES else ""
        told = ", ".join(_told(path, changes[path]) for path in others[:SHOWN_CHANGES])
        warning(f"--resume: the config differs from that of {name}: {told}{more}")
    applied = {OPTIMIZER for path in taken if _kind(path, content) == OPTIMIZER}
    applied |= {OPTIMIZER_NAME for path in taken if format_path(path) in (OPTIMIZER, OPTIMIZER_NAME)}
    return tuple(sorted(applied))


def _leaves(path: Path, old: Any, new: Any) -> Iterator[tuple[Path, Any, Any]]:
    """A difference, as one of each setting: a section that is new, or gone, holds several."""
    section = new if old is ABSENT or old is None else old if new is ABSENT or new is None else None
    if not isinstance(section, Mapping) or not section:
        yield path, old, new
        return
    for key, value in section.items():
        yield from _leaves((*path, key), *((ABSENT, value) if section is new else (value, ABSENT)))


def _wrong_flags(changes: Mapping[Path, Any], take_new: Sequence[str]) -> list[RunwayError]:
    known = [format_path(path) for path in changes]
    return [
        ConfigError(
            f"{_FLAG} {text}: the config says there what the version was trained with",
            where=_FLAG,
            hint=f"what differs: {', '.join(known[:SHOWN_CHANGES])}" if known else "nothing differs: leave it out",
        )
        if not did_you_mean(text, known).startswith("did you mean")
        else ConfigError(f"{_FLAG} {text}: nothing differs there", where=_FLAG, hint=did_you_mean(text, known))
        for text in take_new
        if not any(_covers(text, path) for path in changes)
    ]


def _kind(path: Path, content: Mapping[str, Any]) -> str | None:
    """What of a checkpoint a setting is in: ``OPTIMIZER``, ``batches``, or nothing."""
    if path[:2] == ("train", "optimizer_config"):
        return OPTIMIZER
    if path in _LENGTH and any("total_steps" in state for state in content.get("lr_schedulers", ())):
        return OPTIMIZER  # OneCycleLR, whose state says where it ends
    if path == ("train", "batch_size") or (path[0] == "data_pipeline" and path[-1] == "batch_size"):
        return "batches"
    return None


def _without_effect(
    path: Path, change: tuple[Any, Any], content: Mapping[str, Any], *, is_taken: bool
) -> list[RunwayError]:
    where = format_path(path)
    if path in _FIXED:
        hint = f"give it as it was, {_short(change[0])}, or start a new version (train.load_model_path takes weights)"
        return [ConfigError(f"--resume: {_told(path, change)} has no effect: {_FIXED[path]}", where=where, hint=hint)]
    kind = _kind(path, content)
    if kind is None:
        return []
    inside = kind == "batches" and content.get(RESUME_KEY, {}).get("batches", 0)
    if inside:
        message = f"--resume: {_told(path, change)}: the checkpoint is inside an epoch, after {inside} batches of it"
        hint = "end the epoch with the old size (train.trainer_paras.max_epochs), and take the new one then"
        return [ConfigError(message, where=where, hint=hint)]
    if is_taken:
        return []
    why = "the checkpoint's optimiser and schedule go on" if kind == OPTIMIZER else "an epoch is counted in batches"
    message = f"--resume: {_told(path, change)} has no effect: {why}"
    if kind == "batches":
        message = f"--resume: {_told(path, change)}: {why}, and the steps after it are others than those before"
    hint = f"`{_FLAG} {where}` makes it so; else give it as it was, {_short(change[0])}"
    return [ConfigError(message, where=where, hint=hint)]


def _covers(text: str, path: Path) -> bool:
    formatted = format_path(path)
    return formatted == text or formatted.startswith((f"{text}.", f"{text}["))


def _starts_with(path: Path, prefixes: set[tuple[str, ...]]) -> bool:
    return any(path[: len(prefix)] == prefix for prefix in prefixes)


def _is_nothing(value: Any) -> bool:
    return value is ABSENT or value is None or value in ({}, [])


def _told(path: Path, change: tuple[Any, Any]) -> str:
    return f"{format_path(path)} ({_short(change[0])} -> {_short(change[1])})"


def _short(value: Any) -> str:
    text = "nothing" if value is ABSENT else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:39] + "…"
