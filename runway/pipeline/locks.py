"""One process at a time: a lock on a file.

``fcntl.flock`` itself where the system has it: the filelock library (which serves the other systems) costs 0.1 ms a
lock and 27 ms to import, which is more than all else that a cached trivial node costs.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator

from runway.log import warning

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


@contextlib.contextmanager
def hold(path: str, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of ``path``; the file stays, so that there is one lock for all.

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
