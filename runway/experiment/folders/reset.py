"""``--reset``: the earlier versions stand aside until the new training has made its first step.

They are moved into a hidden folder beside them (a rename, on one file system), so a start that fails puts them
back. A lock says that the training they wait for is alive; what a killed one has left, the next start puts back.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import uuid
from pathlib import Path
from typing import Any, NoReturn

from runway.disk import hold, replace_text
from runway.errors import ExperimentError
from runway.experiment.folders.file_names import CLAIMED
from runway.experiment.folders.run_folder import ExperimentFolder, RunFolder
from runway.log import info, warning
from runway.ranks import rank


class _Busy(Exception):
    """Another process holds the lock."""


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

    def __getstate__(self) -> dict[str, Any]:
        """For strategies that start processes by pickling: the one that began the reset ends it."""
        return {"folder": self.folder, "runs": [], "aside": None, "_lock": None}

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

    def begin(self) -> None:
        """Move the versions aside.

        Raises:
            ExperimentError: one cannot be moved; those that were are back.
        """
        if not self.runs:
            return
        aside = self.folder.root / f".{self.folder.name}.reset-{uuid.uuid4().hex[:8]}"
        self._lock.enter_context(hold(str(_lock_file(aside)), _busy))  # before the folder: who sees it can ask
        self.aside = aside
        try:
            aside.mkdir()
            for run in self.runs:
                run.path.rename(aside / run.path.name)
        except BaseException as error:
            self.undo()
            if not isinstance(error, OSError):
                raise
            raise ExperimentError(f"--reset cannot move the earlier versions: {error}", where=str(aside)) from error

    def record_claimed(self, run: RunFolder) -> None:
        """Write down which version took their place: where its start is killed, it goes and they come back."""
        if self.aside is not None:
            replace_text(self.aside / CLAIMED, run.path.name)

    def finish(self) -> None:
        """The new training has begun: delete the versions before it."""
        if self.aside is None:
            return
        doomed = self.aside.with_name(self.aside.name.replace(".reset-", ".deleted-"))
        if self.aside.is_dir():  # a process forked by the strategy may have been first
            self.aside.rename(doomed)  # from here on nobody puts back a part of them
            shutil.rmtree(doomed, ignore_errors=True)
            if doomed.exists():
                warning(f"the earlier versions could not be deleted whole: {doomed}")
            else:
                info(f"deleted {_listed(self.runs)}")
        self._release()

    def undo(self) -> None:
        """The new training did not begin: put the versions back."""
        if self.aside is None:
            return
        if self.aside.is_dir():
            _put_back(self.folder, self.aside)
        self._release()

    def _release(self) -> None:
        if self.aside is not None and not self.aside.exists():
            _lock_file(self.aside).unlink(missing_ok=True)
        self.aside = None
        self._lock.close()


def recover(folder: ExperimentFolder) -> None:
    """Put back what a reset that was killed has left aside, or say where it is; end a deletion that was cut short."""
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
            with contextlib.suppress(_Busy), hold(str(_lock_file(aside)), _busy):
                if aside.is_dir():
                    _withdraw_claimed(folder, aside)
                    _put_back(folder, aside)
                if not aside.exists():
                    _lock_file(aside).unlink(missing_ok=True)


def _withdraw_claimed(folder: ExperimentFolder, aside: Path) -> None:
    """Remove the version whose start was killed, unless there is something in it after all."""
    claimed = aside / CLAIMED
    name = claimed.read_text(encoding="utf-8") if claimed.is_file() else None
    for run in folder.versions():
        if run.path.name == name and not run.has_checkpoints() and not run.tests():
            folder.remove([run])
            info(f"{name} is removed: its training was killed before its first step")


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
    (aside / CLAIMED).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # something of the user's stands in it: it stays
        aside.rmdir()


def _listed(runs: list[RunFolder]) -> str:
    return ", ".join(run.path.name for run in runs)


def _lock_file(aside: Path) -> Path:
    return aside.with_name(f"{aside.name}.lock")


def _busy() -> NoReturn:
    raise _Busy
