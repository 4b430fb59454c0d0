"""What touches the disk: files written whole or not at all, locks, a file for what outgrows memory, row digests."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from runway.log import warning

if TYPE_CHECKING:
    import hashlib

    import pyarrow as pa

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
        warning(f"no file locks under {folder}: two processes at once may do the same work twice", once=True)


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


class SpillFile:
    """Where what outgrows memory goes: a temporary file, written at its end and read in stretches.

    Args:
        path: where other processes are to find it; None makes a file without a name, which the system frees with the
            last reference to it or with the process, so that even a kill leaves nothing behind.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        import tempfile
        import threading

        self._file = tempfile.TemporaryFile(prefix="runway-") if path is None else open(path, "w+b")  # noqa: SIM115
        self._size = 0
        self._lock = threading.Lock()
        self._process = os.getpid()

    @property
    def is_own(self) -> bool:
        """Whether this process made it; one that was forked must not write to its parent's file."""
        return self._process == os.getpid()

    def append(self, content: pa.Buffer | bytes) -> int:
        """Write ``content`` behind what is there; gives where it begins.

        Raises:
            OSError: the disk is full.
        """
        view = memoryview(content)
        with self._lock:
            start = end = self._size
            while end < start + len(view):  # a call writes 2 GiB at most
                end += os.pwrite(self._file.fileno(), view[end - start :], end)
            self._size = end
        return start

    def read(self, start: int, size: int) -> pa.Buffer:
        """A copy of a stretch: mapped, what was read once would stay in memory."""
        import pyarrow as pa

        buffer = pa.allocate_buffer(size)
        view = memoryview(buffer)
        done = 0
        while done < size:
            count = os.preadv(self._file.fileno(), [view[done:]], start + done)
            if not count:
                raise OSError("a temporary file is shorter than what was written to it")
            done += count
        return buffer


class ArrowDigest:
    """A digest of a table's values and types: the same however its rows are cut into pieces, and wherever they lie.

    Each part of a column (what is there, lengths, values) has a hash of its own, into which a piece just feeds its
    bytes. The number and order of columns are not in it.
    """

    def __init__(self) -> None:
        self._parts: dict[tuple[str, ...], hashlib.blake2b] = {}

    def add(self, name: str, values: pa.Array | pa.ChunkedArray) -> None:
        """Add the next rows of a column."""
        for array in getattr(values, "chunks", [values]):
            self._add(array, (name,))

    def digest(self) -> bytes:
        """16 bytes."""
        whole = blake2b(digest_size=16)
        for path, part in sorted(self._parts.items()):
            whole.update(repr(path).encode() + part.digest())
        return whole.digest()

    def _add(self, array: pa.Array, path: tuple[str, ...]) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        kind = array.type
        if isinstance(kind, pa.BaseExtensionType):
            return self._add(array.storage, (*path, str(kind)))
        if pa.types.is_dictionary(kind):
            return self._add(array.dictionary_decode(), path)
        self._feed((*path, "valid"), array.is_valid().cast(pa.uint8()))
        if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
            lengths = pc.fill_null(pc.list_value_length(array), 0)
            self._feed((*path, "length"), lengths.cast(pa.int64()))
            return self._add(array.flatten(), (*path, "list"))
        if pa.types.is_struct(kind):
            for field, part in zip(kind, array.flatten(), strict=True):  # a missing struct's fields are missing
                self._add(part, (*path, "struct", field.name))
            return None
        path = (*path, str(kind))
        present = array.drop_null()
        if pa.types.is_boolean(kind):
            self._feed(path, present.cast(pa.uint8()))
        elif pa.types.is_string(kind) or pa.types.is_binary(kind) or kind in (pa.large_string(), pa.large_binary()):
            binary = present.cast(pa.large_binary())
            self._feed((*path, "length"), pc.binary_length(binary))
            _, offsets, data = binary.buffers()
            if len(binary) and data is not None:
                ends = pa.Array.from_buffers(pa.int64(), len(binary) + 1, [None, offsets], offset=binary.offset)
                self._part(path).update(memoryview(data)[ends[0].as_py() : ends[-1].as_py()])
        elif pa.types.is_primitive(kind) or pa.types.is_decimal(kind) or pa.types.is_fixed_size_binary(kind):
            self._feed(path, present)
        else:  # rare: maps, unions, views
            self._part(path).update(
                "".join(f"{value!r}\0" for value in present.to_pylist()).encode(errors="surrogatepass")
            )
        return None

    def _part(self, path: tuple[str, ...]) -> hashlib.blake2b:
        return self._parts.setdefault(path, blake2b(digest_size=16))

    def _feed(self, path: tuple[str, ...], array: pa.Array) -> None:
        """The bytes of an array of fixed width without missing values."""
        width = array.type.bit_width // 8
        data = array.buffers()[1]
        part = self._part(path)
        if data is not None:
            part.update(memoryview(data)[array.offset * width : (array.offset + len(array)) * width])
