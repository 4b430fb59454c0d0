"""What one process works on at a time: a version that trains, a test's folder, a version's wandb run.

A version is trained by one process; of the others a second process takes its own. The locks are the system's: that of
a killed process is free at once, on whatever machine it was.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from runway.disk import hold, is_held, tidy
from runway.errors import ExperimentError
from runway.experiment.together import agreed
from runway.log import info, warning

if TYPE_CHECKING:
    from runway.experiment.folders.run_folder import RunFolder

VERSION = r"_V(\d+)(?:_tag:(.*))?"
"""What follows the experiment's name in the name of a version's folder: the number, and the tags."""


class _Busy(Exception):
    """Another process holds the lock."""


@contextmanager
def hold_if_free(path: Path) -> Iterator[bool]:
    """Hold the lock of ``path`` in the block, unless another process does; yields whether it is held."""

    def busy() -> None:
        raise _Busy

    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(hold(str(path), busy))
            is_held = True
        except _Busy:
            is_held = False
        yield is_held


def is_trained(path: Path) -> bool:
    """Whether a process trains a version; false where its lock cannot be asked.

    Args:
        path: the version's folder.
    """
    return is_held(str(_training_lock(path))) is True


def was_killed(path: Path) -> bool:
    """Whether the last process that trained a version is gone without having said so."""
    lock = _training_lock(path)
    return lock.exists() and is_held(str(lock)) is False


@contextmanager
def training_in(path: Path) -> Iterator[bool]:
    """Hold the lock of a version that is to be trained, unless another process does; yields whether it is held.

    Args:
        path: the version's folder, with or without its tags; it may be still to be made.
    """
    lock = _training_lock(path)
    with hold_if_free(lock) as is_free:
        if is_free:
            about = {"host": socket.gethostname(), "pid": os.getpid(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
            lock.write_text(json.dumps(about), encoding="utf-8")  # in place: another file would be another lock
        yield is_free


@contextmanager
def only_training(path: Path, seconds: float) -> Iterator[None]:
    """Hold the lock of a version that is to be trained.

    Args:
        path: the version's folder.
        seconds: how long to wait for it.

    Raises:
        ExperimentError: another process trains it; says which.
    """
    until = time.monotonic() + seconds
    while True:
        with training_in(path) as is_free:
            if is_free:
                yield
                return
        if time.monotonic() >= until:
            raise ExperimentError(
                f"{path.name} is being trained by another process: {_told_of(_training_lock(path))}",
                where=str(path),
                hint="wait for its end, or stop it (`kill -TERM` saves its state) and resume then",
            )
        time.sleep(0.2)


def _told_of(lock: Path) -> str:
    """Who holds a lock, as far as it has said."""
    try:
        about = json.loads(lock.read_text(encoding="utf-8"))
        return f"process {about['pid']} on {about['host']}, since {about['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "it has not said which"


def _training_lock(path: Path) -> Path:
    """Beside the version, where it is before the version is made, and the same while tags are added to its name."""
    version = re.search(f"{VERSION}$", path.name, re.DOTALL)
    name = f"{path.name[: version.start()]}_V{version[1]}" if version else path.name
    return path.with_name(f".{name}.training.lock")


@contextmanager
def folder_of_test(run: RunFolder, suffix: str) -> Iterator[Path]:
    """The folder of a test, ``test/<suffix>``; while another process tests into it, ``test/<suffix>-2`` and so on.

    Args:
        run: the version that is tested.
        suffix: the config's ``test_suffix``.
    """
    with ExitStack() as held:
        yield run.test(agreed("TEST", lambda: _free_name(run, suffix, held)))


@contextmanager
def being_tested(run: RunFolder, suffix: str) -> Iterator[None]:
    """Work in the folder of a test that is there, when no other process does."""
    told = f"another process is testing {run.path.name} as {suffix!r}: waiting for its end"
    with hold(str(_test_lock(run, suffix)), lambda: info(told)):
        yield


def _test_lock(run: RunFolder, name: str) -> Path:
    return run.test(name).with_name(f".{name}.lock")


def _free_name(run: RunFolder, suffix: str, held: ExitStack) -> str:
    """The first name that no other process tests as; its lock is held until ``held`` is closed."""
    for number in itertools.count(1):
        name = suffix if number == 1 else f"{suffix}-{number}"
        if held.enter_context(hold_if_free(_test_lock(run, name))):
            tidy(run.test(name))
            if number > 1:
                warning(f"another process is testing {run.path.name} as {suffix!r}: this test is {name!r}")
            return name
    raise AssertionError("numbers do not end")
