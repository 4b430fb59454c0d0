"""Finding runs on disk: the last one, and all of them; loads nothing heavy."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runway.disk import expanded
from runway.errors import ExperimentError, did_you_mean
from runway.experiment.folders.file_names import CONFIG, METRICS, PROVENANCE, TEST, TRAIN
from runway.experiment.folders.in_use import VERSION, was_killed
from runway.experiment.folders.run_folder import read_json
from runway.experiment.provenance import FINISHED, RUNNING
from runway.log import shown

_VERSION = re.compile(f"{VERSION}$", re.DOTALL)
KILLED, UNKNOWN = "killed", "unknown"
"""How a training stands whose record does not tell: its process is gone; or the record is damaged."""
_last: Path | None = None


def register_last_run(path: Path) -> None:
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
        tests: the suffixes of the tests that were finished.
        other_tests: those that were not, with their status: ``failed``, or ``running``, which may have been killed.
    """

    path: Path
    touched: float
    training: dict[str, Any]
    tests: tuple[str, ...]
    other_tests: Mapping[str, str] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        from runway.notebook import html_table

        tests = [("test", test) for test in self.tests]
        others = [(f"test ({status})", test) for test, status in self.other_tests.items()]
        facts = [("training", self.training.get("status", "none")), *tests, *others]
        return html_table((), facts, title=shown(self.path))


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
    root = expanded(experiments if experiments is not None else "experiments")
    runs = find_runs(root)
    if not runs:
        hint = "name the folder that meta.EXPERIMENT_FOLDER names"
        raise ExperimentError("there is no run", where=str(root.resolve()), hint=hint)
    return runs[0].path.resolve()


def run_named(
    name: str,
    experiments: str | Path = "experiments",
    *,
    accept: Callable[[Path], bool] = lambda path: True,
    what: str = "results",
    hint: str | None = None,
) -> Path:
    """A run by its folder, by the folder's name, or by the name of its experiment: the newest version that will do.

    Args:
        name: of the run or the experiment.
        experiments: where to look for it.
        accept: says whether a version will do; a run that is named itself is not asked.
        what: completes "… has no version with" in the error.
        hint: how to get one.

    Raises:
        ExperimentError: there is none, with those that come near.
    """
    path = expanded(name)
    if path.is_dir():
        return path
    root = Path(experiments)
    runs = find_runs(root)
    for run in runs:
        if run.path.name == name:
            return run.path
    versions = [run for run in runs if name in (run.training.get("experiment"), _VERSION.split(run.path.name)[0])]
    folders = list(dict.fromkeys(run.path.parent for run in versions))  # the one that was touched last comes first
    versions.sort(key=lambda run: (folders.index(run.path.parent), -_version(run.path)))
    for run in versions:
        if accept(run.path):
            return run.path
    if versions:
        raise ExperimentError(f"the experiment {name!r} has no version with {what}", where=str(folders[0]), hint=hint)
    known = [run.path.name for run in runs]
    hint = did_you_mean(name, known) if known else "give the path of a run's folder, <name>_V<k>"
    raise ExperimentError(f"there is no run {name!r}", where=str(root.resolve()), hint=hint)


def _version(path: Path) -> int:
    found = _VERSION.search(path.name)
    return int(found[1]) if found else -1


def _run_folders(root: Path) -> Iterator[Path]:
    """Folders that hold ``train`` or ``test`` with a provenance; nothing is looked for inside them.

    Versions that the original wrote (``NAME_V3``) have a config there and no provenance.
    """
    for path, folders, _ in os.walk(root):
        if (TRAIN in folders and os.path.isfile(os.path.join(path, TRAIN, PROVENANCE))) or (
            (TEST in folders and _records_of_tests(path)) or _is_of_the_original(path, folders)
        ):
            folders.clear()
            yield Path(path)
        folders[:] = [name for name in folders if not name.startswith(".")]  # what --reset has moved aside


def _is_of_the_original(path: str, folders: list[str]) -> bool:
    is_version = re.search(r"_V\d+(_tag:.*)?$", path) is not None
    return is_version and TRAIN in folders and os.path.isfile(os.path.join(path, TRAIN, CONFIG))


def _evaluated(path: Path) -> tuple[str, ...]:
    """The tests without a record that have metrics: those of the original that ``runway eval`` has evaluated."""
    if _records_of_tests(path):
        return ()
    return tuple(sorted(file.parent.name for file in (path / TEST).glob(f"*/{METRICS}")))


def _records_of_tests(path: str | Path) -> list[Path]:
    """The records of a version's tests, by name. Many versions are listed: a glob takes twice as long."""
    folder = os.path.join(path, TEST)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return [Path(folder, name, PROVENANCE) for name in names if os.path.isfile(f"{folder}/{name}/{PROVENANCE}")]


def _describe(path: Path) -> FoundRun:
    record, tests = path / TRAIN / PROVENANCE, _records_of_tests(path)
    statuses = {test.parent.name: str(_read(test).get("status", UNKNOWN)) for test in tests}
    training = _read(record) if record.exists() or tests else {"status": UNKNOWN}
    if training.get("status") == RUNNING and was_killed(path):
        training["status"] = KILLED
    return FoundRun(
        path,
        max((file.stat().st_mtime for file in (record, *tests) if file.exists()), default=path.stat().st_mtime),
        training,
        tuple(name for name, status in statuses.items() if status == FINISHED) or _evaluated(path),
        {name: status for name, status in statuses.items() if status != FINISHED},
    )


def _read(record: Path) -> dict[str, Any]:
    """A record; what a damaged one says is not known, but its run is there."""
    try:
        return read_json(record, {})
    except ExperimentError:
        return {"status": UNKNOWN}
