"""Finding runs on disk: the last one, and all of them; loads nothing heavy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runway.errors import ExperimentError, did_you_mean
from runway.experiment.run_folder import read_json

PROVENANCE = "provenance.json"
_last: Path | None = None


def note_run(path: Path) -> None:
    """Remember the run that this process works on."""
    global _last
    _last = path


@dataclass(frozen=True)
class FoundRun:
    """A version of an experiment, and what its files say of it.

    Args:
        path: the version's folder.
        touched: when something of it was last begun or ended, in seconds since 1970.
        training: the provenance of its training; empty where there was none.
        tests: the suffixes of its tests.
    """

    path: Path
    touched: float
    training: dict[str, Any]
    tests: tuple[str, ...]


def find_runs(root: Path) -> list[FoundRun]:
    """The runs under a folder, the one that was touched last first."""
    found = [_describe(path) for path in _run_folders(root)]
    return sorted(found, key=lambda run: run.touched, reverse=True)


def last_run_path(experiments: str | Path | None = None) -> Path:
    """The folder of the last run: ``<name>_V<k>``, with ``train`` and ``test`` in it.

    Args:
        experiments: where to look. By default the run that this process has worked on last; where there is none,
            the newest in ``experiments``.

    Raises:
        ExperimentError: there is no run.
    """
    if experiments is None and _last is not None and _last.is_dir():
        return _last
    root = Path(experiments if experiments is not None else "experiments").expanduser()
    runs = find_runs(root)
    if not runs:
        raise ExperimentError(
            "there is no run", where=str(root.resolve()), hint="name the folder that meta.EXPERIMENT_FOLDER names"
        )
    return runs[0].path.resolve()


def run_named(name: str, experiments: str | Path = "experiments") -> Path:
    """A run by its folder, by the folder's name, or by the name of its experiment (the newest version).

    Raises:
        ExperimentError: there is none, with those that come near.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    root = Path(experiments)
    runs = find_runs(root)
    for run in runs:
        if name in (run.path.name, run.training.get("experiment"), run.path.name.rpartition("_V")[0]):
            return run.path
    known = [run.path.name for run in runs]
    raise ExperimentError(
        f"there is no run {name!r}",
        where=str(root.resolve()),
        hint=did_you_mean(name, known) if known else "give the path of a run's folder, <name>_V<k>",
    )


def _run_folders(root: Path) -> Iterator[Path]:
    """Folders that hold ``train`` or ``test`` with a provenance; nothing is looked for inside them."""
    for place, folders, _ in os.walk(root):
        folder = Path(place)
        if any((folder / "train").glob(PROVENANCE)) or any((folder / "test").glob(f"*/{PROVENANCE}")):
            folders.clear()
            yield folder
        folders[:] = [name for name in folders if not name.startswith(".")]  # what --reset has moved aside


def _describe(path: Path) -> FoundRun:
    records = [*(path / "train").glob(PROVENANCE), *(path / "test").glob(f"*/{PROVENANCE}")]
    return FoundRun(
        path,
        max(record.stat().st_mtime for record in records),
        read_json(path / "train" / PROVENANCE, {}),
        tuple(sorted(record.parent.name for record in records if record.parent.parent.name == "test")),
    )
