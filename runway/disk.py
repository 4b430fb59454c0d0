"""What touches the disk: files written whole or not at all, locks, a file for what outgrows memory, row digests."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING

from runway.errors import ConfigError
from runway.log import warning

if TYPE_CHECKING:
    import hashlib

    import pyarrow as pa

try:
    from _blake2 import blake2b  # hashlib's own, without OpenSSL, which hashlib loads: 2 ms of each start
except ImportError:
    from hashlib import blake2b
try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

LONGEST_NAME = 255
"""Bytes in the name of a file or folder, on every file system of note."""
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
_SCRATCH = re.compile(r"\..+\.tmp-\d+-\d+")
_ASIDE = ".before"
MOST_TURNS = 10_000
"""How often a lock file is opened anew because another holder has deleted it; a second or two of nothing else."""


def scratch_name(path: str | Path) -> str:
    """A name beside ``path`` that no other process or thread uses; what a killed one leaves is found by its form."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.tmp-{os.getpid()}-{time.time_ns()}")


def stays_inside(name: str) -> bool:
    """Whether a file of this relative name lies in the folder that it is put in, on any system."""
    path = PureWindowsPath(name)  # which knows both kinds of slash, and drives
    try:
        os.fsencode(name)
    except UnicodeEncodeError:  # half a surrogate pair
        return False
    return bool(path.parts) and not path.anchor and ".." not in path.parts and "\0" not in name


def expanded(path: str | Path) -> Path:
    """A path of a user's with the home folder for ``~``; with ``~NAME`` of nobody here it stays as it is.

    Raises:
        ConfigError: a name in it is longer than file systems take, or has a NUL character.
    """
    path = Path(path)
    if "\0" in str(path):
        raise ConfigError("a path cannot hold a NUL character", where=repr(str(path)[:60]), hint="take it out")
    for name in path.parts:
        if len(name.encode(errors="replace")) > LONGEST_NAME:
            raise ConfigError(
                f"a name in this path is longer than {LONGEST_NAME} bytes, which no file system takes",
                where=f"{name[:60]}…",
                hint="shorten it, or look whether a text was given where a path belongs",
            )
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def room_in(folder: Path) -> int:
    """How many bytes may still be put there: what is free, but for a tenth (1 GiB at the most) that others need."""
    import shutil

    free = shutil.disk_usage(folder).free
    return free - min(free // 10, 1 << 30)


@contextlib.contextmanager
def replacing(path: str | Path, *, lasting: bool = False) -> Iterator[Path]:
    """A path to write to instead; it takes the place of ``path`` when the block ends without an error.

    Args:
        path: the file, or the folder, that is written.
        lasting: have it on the disk before it takes the place of the earlier one: after a power cut one of them is
            there, whole. It waits for the disk.
    """
    temporary = Path(scratch_name(path))
    try:
        yield temporary
        for part in [*temporary.rglob("*"), temporary] if lasting else ():
            _sync(part)
        put_in_place(temporary, path)
        if lasting:
            _sync(Path(path).parent)
    finally:
        _remove(temporary)


def put_in_place(new: Path, path: str | Path) -> None:
    """Rename a file or a folder to ``path``, in the place of what is there.

    A folder in whose place another one comes stands aside for the moment between two renames. Where a kill falls into
    it, ``tidy`` puts it back.
    """
    if new.is_dir() and os.path.isdir(path):
        aside = _aside(path)
        _remove(aside)
        os.rename(path, aside)
        os.rename(new, path)
        _remove(aside)
    else:
        os.replace(new, path)


def tidy(folder: Path) -> None:
    """Remove what killed writers have left in a folder in which nobody else writes, and put back what stands aside."""
    for path in sorted(folder.rglob(f".*{_ASIDE}")):
        target = path.with_name(path.name[1:].removesuffix(_ASIDE))
        if path.is_dir() and not target.exists():
            path.rename(target)
        _remove(path)
    for path in sorted(folder.rglob(".*.tmp-*")):
        if _SCRATCH.fullmatch(path.name):
            _remove(path)


def _aside(path: str | Path) -> Path:
    folder, name = os.path.split(path)
    return Path(folder, f".{name}{_ASIDE}")


def _remove(path: Path) -> None:
    """Remove a file or a folder, if it is there and can be removed."""
    if path.is_dir() and not path.is_symlink():
        import shutil  # which costs some milliseconds to import

        shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        path.unlink()


def _sync(path: Path) -> None:
    """Have a file's bytes, or a folder's names, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, *NO_LOCKS):  # a file system that knows no such thing
            raise
    finally:
        os.close(descriptor)


def replace_text(path: str | Path, text: str) -> None:
    """Write a text file, in a folder that may not be there yet: a reader sees the old or the new, never a part."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def hold(path: str, waiting: Callable[[], None]) -> Iterator[bool]:
    """Hold the lock of ``path``; its file is there only while somebody holds it or waits for it.

    ``fcntl.flock`` itself where the system has it: the filelock library (which serves the other systems) costs 0.1 ms
    a lock and 27 ms to import, which is more than all else that a cached trivial node costs.

    The file is deleted by its holder, still locked. Who waited for it gets the lock of a file that is at ``path`` no
    more, sees that, and opens the next one: there is one lock for all.

    Args:
        path: the file, made where it is not there.
        waiting: called when another process holds it, before the wait.

    Yields:
        Whether the file was there already and is held now: most likely its holder was killed. Never where the file
        system has no locks: its holder may be alive.

    Raises:
        OSError: the file cannot be made.
    """
    if fcntl is None:
        with _hold_elsewhere(path, waiting):
            yield False
        return
    owner = os.getpid()
    descriptor, was_there = _take(path, _once(waiting))
    try:
        yield was_there
    finally:
        if os.getpid() == owner:  # a process that was forked meanwhile has nothing to let go
            with contextlib.suppress(OSError):  # it cannot be deleted: `cache gc` may, some day
                if _is_at(path, descriptor):
                    os.unlink(path)
            _close(descriptor)


def is_held(path: str) -> bool | None:
    """Whether another process, or another place of this one, holds the lock of ``path``; nothing is changed by asking.

    None where the file is there and it cannot be known: another user's file, a file system without locks.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        if fcntl is None:
            return None
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False


def _once(say: Callable[[], None]) -> Callable[[], None]:
    said = False

    def say_once() -> None:
        nonlocal said
        if not said:
            said = True
            say()

    return say_once


def _take(path: str, waiting: Callable[[], None]) -> tuple[int, bool]:
    """The locked file at ``path``, and whether it was there before."""
    for _ in range(MOST_TURNS):
        descriptor, was_there = _open(path)
        with contextlib.ExitStack() as on_the_way_out:
            on_the_way_out.callback(_close, descriptor)
            has_locks = _lock(descriptor, waiting)
            if has_locks and not _is_at(path, descriptor):
                continue  # its holder has deleted it
            on_the_way_out.pop_all()
        if has_locks:
            return descriptor, was_there
        break
    else:  # a file system that calls one file by another number at each look: its locks hold nothing
        descriptor, _ = _open(path)
    folder = os.path.dirname(path)
    warning(f"no file locks under {folder}: two processes at once may do the same work twice", once=True)
    return descriptor, False


def _open(path: str) -> tuple[int, bool]:
    """The file, opened to be locked, and whether it was there before."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        descriptor, was_there = os.open(path, flags | os.O_EXCL, 0o666), False
    except FileExistsError:
        descriptor, was_there = os.open(path, flags, 0o666), True
    _open_locks.add(descriptor)
    return descriptor, was_there


def _lock(descriptor: int, waiting: Callable[[], None]) -> bool:
    """Lock an open file; gives whether its file system has locks."""
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno in NO_LOCKS:
            return False
        if error.errno != errno.ESTALE:  # deleted on another machine: it is looked at next
            raise
    return True


def _is_at(path: str, descriptor: int) -> bool:
    """Whether the open file is the one at ``path``."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ESTALE):
            raise
        return False


def _close(descriptor: int) -> None:
    """Unlock, also for the processes that were forked meanwhile, and close."""
    _open_locks.discard(descriptor)
    with contextlib.suppress(OSError):  # there are no locks
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def _close_in_child() -> None:
    """A forked process holds no lock: one that outlives its killed parent would keep it for ever."""
    while _open_locks:
        os.close(_open_locks.pop())


_open_locks: set[int] = set()
if fcntl is not None:
    os.register_at_fork(after_in_child=_close_in_child)


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
