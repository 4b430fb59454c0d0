"""Files that several processes share: written whole or not at all, locked, named so that leftovers are known."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from runway.log import warning

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


def scratch_name(path: str | Path) -> str:
    """A name beside ``path`` that no other process or thread uses; what a killed one leaves is found by its form."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.tmp-{os.getpid()}-{time.time_ns()}")


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A path to write to instead; it takes the place of ``path`` when the block ends without an error."""
    temporary = Path(scratch_name(path))
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def replace_text(path: str | Path, text: str) -> None:
    """Write a text file, in a folder that may not be there yet: a reader sees the old or the new, never a part."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def hold(path: str, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of ``path``; the file stays, so that there is one lock for all.

    ``fcntl.flock`` itself where the system has it: the filelock library (which serves the other systems) costs 0.1 ms
    a lock and 27 ms to import, which is more than all else that a cached trivial node costs.

    Args:
        path: the file, made where it is not there.
        waiting: called when another process holds it, before the wait.

    Raises:
        OSError: the file cannot be made.
    """
    if fcntl is None:
        with _hold_elsewhere(path, waiting):
            yield
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        _lock(descriptor, path, waiting)
        yield
    finally:
        os.close(descriptor)  # which gives the lock back


def _lock(descriptor: int, path: str, waiting: Callable[[], None]) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        waiting()
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        folder = os.path.dirname(path)
        warning(f"no file locks under {folder}: two runs at once may compute the same node twice", once=True)


@contextlib.contextmanager
def _hold_elsewhere(path: str, waiting: Callable[[], None]) -> Iterator[None]:
    import filelock

    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        waiting()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
