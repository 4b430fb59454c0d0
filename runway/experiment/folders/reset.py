"""``--reset``: the earlier versions stand aside until the new training has its first checkpoint.

They are moved into a hidden folder beside them (a rename, on one file system), so a start that fails puts them
back. A lock says that the training they wait for is alive; what a killed one has left, the next start puts back, or
deletes where the new version has a checkpoint. A version that another process trains stays where it is.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import sys
import uuid
from pathlib import Path
from typing import Any

from runway.disk import replace_text
from runway.errors import ExperimentError
from runway.experiment.folders.file_names import REPLACES
from runway.experiment.folders.in_use import hold_if_free, training_in
from runway.experiment.folders.run_folder import ExperimentFolder, RunFolder
from runway.log import info, warning
from runway.ranks import rank


class Reset:
    """One reset of an experiment; without ``confirm`` there is nothing to do, and every method does nothing.

    Args:
        folder: the experiment's versions.
    """

    def __init__(self, folder: ExperimentFolder) -> None:
        self.folder = folder
        self.runs: list[RunFolder] = []
        self.aside: Path | None = None
        """Where the versions stand while they are neither deleted nor back."""
        self._lock = contextlib.ExitStack()
        self._new: RunFolder | None = None
        self._confirmed: dict[Path, tuple[int, int] | None] = {}

    def __getstate__(self) -> dict[str, Any]:
        """For strategies that start processes by pickling: the one that began the reset ends it."""
        return {"folder": self.folder, "runs": [], "aside": None, "_lock": None, "_new": None, "_confirmed": {}}

    def confirm(self, assume_yes: bool) -> None:
        """Find the versions that would go, and ask.

        Raises:
            ExperimentError: there is no terminal to ask at, or the answer was no.
        """
        runs, root = self.folder.versions(), self.folder.root
        listing = _listed(runs)
        if runs and not assume_yes:
            if not sys.stdin.isatty():
                raise ExperimentError(
                    f"--reset would delete {listing}, and there is no terminal to ask at",
                    where=str(root),
                    hint="add --yes (assume_yes=True) if that is meant",
                )
            warning(f"--reset deletes {listing} in {root}, with all checkpoints and results. Type yes to go on:")
            if sys.stdin.readline().strip().lower() not in ("y", "yes"):
                raise ExperimentError("--reset was not confirmed: nothing was deleted", where=str(root))
        self.runs = runs
        self._confirmed = {run.path: _identity(run) for run in runs}

    def begin(self) -> None:
        """Move the versions aside, but for those that are being trained, and those that went meanwhile.

        Raises:
            ExperimentError: one cannot be moved; those that were are back.
        """
        if not self.runs:
            return
        aside = self.folder.root / f".{self.folder.name}.reset-{uuid.uuid4().hex[:8]}"
        self._lock.enter_context(hold_if_free(_lock_file(aside)))  # before the folder: who sees it can ask
        self.aside = aside
        try:
            aside.mkdir()
            self.runs = [run for run in self.runs if self._move(run, aside)]
        except BaseException as error:
            self.undo()
            if not isinstance(error, OSError):
                raise
            raise ExperimentError(f"--reset cannot move the earlier versions: {error}", where=str(aside)) from error

    def _move(self, run: RunFolder, aside: Path) -> bool:
        """Move one version, if it is the one that was asked about, and nobody trains it."""
        with training_in(run.path) as is_free:
            is_same = _identity(run) == self._confirmed[run.path]
            if is_free and is_same:
                run.path.rename(aside / run.path.name)
            elif not is_free:
                warning(f"--reset: {run.path.name} stays: another process trains it")
            else:
                info(f"--reset: {run.path.name} is gone, or another one by now: nothing is done about it")
        return is_free and is_same

    def record_claimed(self, run: RunFolder) -> None:
        """Mark the version that took their place: where its start is killed, it goes and they come back."""
        if self.aside is not None:
            self._new = run
            replace_text(run.path / REPLACES, self.aside.name)

    def finish(self) -> None:
        """The new training has a checkpoint, or has come to its end: delete the versions before it."""
        if self.aside is None:
            return
        if self.aside.is_dir():  # a process forked by the strategy may have been first
            _delete(self.aside)
        if self._new is not None:
            (self._new.path / REPLACES).unlink(missing_ok=True)
        self._release()

    def undo(self, new: RunFolder | None = None) -> None:
        """The new training came to nothing: put the versions back.

        Args:
            new: its version; where it is still there, it gets the next number.
        """
        if self.aside is None:
            return
        if self.aside.is_dir():
            if new is not None and new.path.is_dir():
                _renumber(self.folder, new, self.runs)
            _put_back(self.folder, self.aside)
        self._release()

    def _release(self) -> None:
        self.aside = None
        self._lock.close()


def recover(folder: ExperimentFolder) -> None:
    """End what resets and deletions that were killed have begun: put back what they have left aside, or delete it."""
    if rank() != 0 or not folder.root.is_dir():
        return
    pattern = re.compile(re.escape(f".{folder.name}.") + r"(reset|deleted)-[0-9a-f]{8}")
    for aside in sorted(folder.root.iterdir()):
        match = pattern.fullmatch(aside.name)
        if match and match[1] == "deleted":
            shutil.rmtree(aside, ignore_errors=True)
            _lock_file(aside.with_name(aside.name.replace(".deleted-", ".reset-"))).unlink(missing_ok=True)
        elif match and aside.is_dir():
            # Busy: the training that they wait for is alive, and ends the reset itself.
            with hold_if_free(_lock_file(aside)) as is_free:
                if is_free and aside.is_dir():
                    _end_killed(folder, aside)


def _end_killed(folder: ExperimentFolder, aside: Path) -> None:
    """End a reset whose training was killed, as that would have done."""
    for run in folder.versions():
        with training_in(run.path) as is_free:
            if not is_free or not _takes_place_of(run, aside):
                continue
            if run.has_checkpoints():
                _delete(aside)
                return
            if not run.tests():
                folder.remove([run])
                info(f"{run.path.name} is removed: its training was killed before its first checkpoint")
    _put_back(folder, aside)


def _takes_place_of(run: RunFolder, aside: Path) -> bool:
    """Whether a version was begun by the reset, or is as empty as one whose training was killed before it said so."""
    try:
        return (run.path / REPLACES).read_text(encoding="utf-8", errors="replace") == aside.name
    except FileNotFoundError:
        return not any(run.path.iterdir())


def _delete(aside: Path) -> None:
    names = _listed(ExperimentFolder(aside, aside.name[1:].rpartition(".reset-")[0]).versions())
    doomed = aside.with_name(aside.name.replace(".reset-", ".deleted-"))
    aside.rename(doomed)  # from here on nobody puts back a part of them
    shutil.rmtree(doomed, ignore_errors=True)
    if doomed.exists():
        warning(f"the earlier versions could not be deleted whole: {doomed}")
    elif names:
        info(f"deleted {names}")


def _renumber(folder: ExperimentFolder, run: RunFolder, others: list[RunFolder]) -> None:
    """Give a version a number that neither the others have nor those that are there."""
    tags = run.path.name.partition("_tag:")
    for version in itertools.count(max(other.version for other in [*others, *folder.versions()]) + 1):
        path = folder.root / f"{folder.name}_V{version}{''.join(tags[1:])}"
        with training_in(path) as is_free:
            if is_free and all(other.version != version for other in folder.versions()):
                run.path.rename(path)
                (path / REPLACES).unlink(missing_ok=True)
                info(f"{run.path.name} failed before its first checkpoint, and is {path.name} now")
                return


def _put_back(folder: ExperimentFolder, aside: Path) -> None:
    back, kept = [], []
    for run in ExperimentFolder(aside, folder.name).versions():
        target = folder.root / run.path.name
        taken = os.path.lexists(target) or any(other.version == run.version for other in folder.versions())
        if taken:
            kept.append(run)
        else:
            run.path.rename(target)
            back.append(run)
    if back:
        info(f"--reset deleted nothing: {_listed(back)} {'is' if len(back) == 1 else 'are'} back")
    if kept:
        warning(f"{_listed(kept)}, moved aside by --reset, cannot go back under a number that is taken; see {aside}")
        return
    with contextlib.suppress(OSError):  # something of the user's stands in it: it stays
        aside.rmdir()


def _listed(runs: list[RunFolder]) -> str:
    return ", ".join(run.path.name for run in runs)


def _lock_file(aside: Path) -> Path:
    return aside.with_name(f"{aside.name}.lock")


def _identity(run: RunFolder) -> tuple[int, int] | None:
    """What tells a version from another one that has its name later, or was trained since; None where it is gone."""
    try:
        return run.path.stat().st_ino, run.train.stat().st_mtime_ns if run.train.exists() else 0
    except OSError:
        return None
