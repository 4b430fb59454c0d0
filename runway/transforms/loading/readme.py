"""What the README.md of a folder of data says of its files, as on the hub: ``configs`` with their ``data_files``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runway.errors import DataError
from runway.library_internals import configs_of_readme
from runway.transforms.loading.data_files import format_of
from runway.transforms.loading.folders import NOT_NAMED, Choice, choose_files, choose_matches, visible_files
from runway.walk import escape_existing, matches


def files_of_readme(folder: Path, subset: str | None, where: str) -> tuple[Choice, dict[str, Any]] | None:
    """The files that the ``configs`` of a folder's ``README.md`` name, as HF datasets has it; None where it has none.

    Args:
        folder: where it is.
        subset: the configuration; None takes the only or the default one.
        where: whose work it is, for errors.

    Returns:
        The files, and the further settings that stand there, such as ``sep``.

    Raises:
        DataError: the README cannot be read, names nothing that is there, or has no such configuration.
    """
    readme = folder / "README.md"
    if not readme.is_file():
        return None
    front = re.match(r"\s*---[\r\n]+.*?[\r\n]+---", readme.read_text(encoding="utf-8", errors="replace"), re.DOTALL)
    if front is None or "configs" not in front[0]:  # HF's reader would warn of a README without, or fail at two rules
        return None
    try:
        configs, default = configs_of_readme(readme)
    except Exception as error:  # of yaml, huggingface_hub or datasets: all say what is wrong with it
        first = " ".join(str(error).split())[:300]
        hint = "correct it, or name the files with dataset_path"
        raise DataError(f"README.md cannot be read: {first}", where=f"{where}, {readme}", hint=hint) from error
    if subset not in configs and (subset or not configs):
        return None
    name = subset or default
    if name is None:
        listed = ", ".join(configs)
        raise DataError(
            "README.md names several configurations, and none is the default",
            where=f"{where}, {readme}",
            hint=f"set `subset` to one of: {listed}",
        )
    settings = dict(configs[name])
    inside = str(settings.pop("data_dir", None) or "")
    _must_be_inside(inside, f"{where}, {readme}")
    start = folder / inside
    patterns = settings.pop("data_files", None)
    settings.pop("default", None)
    if patterns is None:
        if not inside:
            return None
        choice = choose_files(start, file_format=None, where=where)
        choice.splits = {split: [f"{inside}/{name}" for name in names] for split, names in choice.splits.items()}
        return choice, settings
    choice = Choice(folder.name)
    for split, wanted in by_split(patterns).items():
        found = [name for pattern in wanted for name in _resolve(pattern, start, folder, f"{where}, {readme}")]
        if not found:
            raise DataError(
                f"README.md names {', '.join(wanted)} for the split {split!r}, and there is no such file",
                where=f"{where}, {readme}",
            )
        choice.splits[split] = list(dict.fromkeys(found))
    taken = {name for names in choice.splits.values() for name in names}
    choice.leave(
        (name for name in visible_files(folder, choice) if name not in taken and format_of(Path(name))), NOT_NAMED
    )
    return choice, settings


def by_split(patterns: Any) -> dict[str, list[str]]:
    """``data_files`` in any of HF's forms as ``{split: patterns}``."""
    if isinstance(patterns, Mapping):
        return {str(split): [found] if isinstance(found, str) else list(found) for split, found in patterns.items()}
    if isinstance(patterns, str):
        return {"train": [patterns]}
    if patterns and all(isinstance(item, Mapping) for item in patterns):
        return by_split({item["split"]: item["path"] for item in patterns})
    return {"train": list(patterns)}


def _resolve(pattern: str, start: Path, folder: Path, where: str) -> list[str]:
    """The files that a pattern of a README means, relative to ``folder``, in which they must lie."""
    _must_be_inside(pattern, where)
    found = [start / name for name in matches(escape_existing(pattern, start), start)]
    taken, _ = choose_matches(start / pattern, found)
    return [path.relative_to(folder).as_posix() for path in taken]


def _must_be_inside(name: str, where: str) -> None:
    if ".." in Path(name).parts or Path(name).is_absolute() or "://" in name:
        hint = "name the files with dataset_path"
        raise DataError(f"README.md names {name!r}, which is not in its folder", where=where, hint=hint)
