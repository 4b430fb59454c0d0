"""The cache on disk: ``<root>/<2 characters>/<key>/{meta.json, payload…}``.

An entry is written into a folder beside its own, ``meta.json`` last, and renamed: it is there whole or not at
all. One process at a time computes a key (its lock is a file in ``locks/`` meanwhile; the key is looked up again once
it is held). An entry whose files do not have the recorded sizes and digests is set aside and computed again.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from runway.disk import hold, replace_text, replacing, scratch_name
from runway.errors import RunwayError, StoreError
from runway.log import info, warning
from runway.pipeline.store import formats
from runway.pipeline.store.base import (
    INLINE,
    LEFTOVER_AGE,
    META,
    DamagedEntry,
    Entry,
    Store,
    check_blob_name,
    parse_meta,
)
from runway.pipeline.store.payload import altered, missing, write_entry
from runway.pipeline.store.records import INDEX_FORM, JOURNAL_FORM, parse, seal
from runway.walk import mark_as_cache

if TYPE_CHECKING:
    from runway.pipeline.keys.tracked import KnownFiles, ReadSet

JOURNAL = "journal.jsonl"
INDEX = ".reads.json"
LOCKS = "locks"
MOST_TURNS = 10
ROTTEN = (errno.EIO, errno.EISDIR, errno.ELOOP, errno.EILSEQ, errno.EUCLEAN)
"""What the system says of a file that is damaged; that it may not be read is no damage."""
FULL = (errno.ENOSPC, errno.EDQUOT)


class LocalStore(Store):
    """The entries in one folder.

    Args:
        root: the folder; made on the first write.
        allow_pickle: whether pickled entries may be loaded.
    """

    def __init__(self, root: Path, *, allow_pickle: bool = True) -> None:
        self.url = os.path.abspath(root)
        self.allow_pickle = allow_pickle
        self._journal: BinaryIO | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the open journal, so that an executor can be sent to a process that is spawned."""
        return {**self.__dict__, "_journal": None}

    def location(self, key: str) -> str:
        """The entry's folder."""
        return f"{self.url}/{key[:2]}/{key}"

    # -- looking up

    def find(self, key: str) -> Entry | None:
        try:
            return self._read(key)
        except ValueError as error:
            self._set_aside(key, f"its {META}: {error}")
            return None

    def _read(self, key: str) -> Entry | None:
        """The entry of a key.

        Raises:
            ValueError: its ``meta.json`` is damaged.
        """
        data = self._bytes(f"{self.location(key)}/{META}")
        meta = None if data is None else parse_meta(data, key)
        return None if meta is None else Entry(key, meta)

    def _bytes(self, path: str) -> bytes | None:
        """What is in a file of the store's own; None where there is none.

        Raises:
            ValueError: the disk does not give it.
            StoreError: it may not be read.
        """
        try:
            with open(path, "rb") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno in ROTTEN:
                raise ValueError(str(error)) from error
            raise _unreadable(path, error) from error

    def entries(self) -> list[Entry]:
        folders = sorted(path for path in Path(self.url).glob("[0-9a-f][0-9a-f]/[0-9a-f]*") if path.is_dir())
        return [entry for path in folders if (entry := self.find(path.name)) is not None]

    def is_whole(self, entry: Entry) -> bool:
        """Whether every file is there with its size. Sets the entry aside if not."""
        return self._is_sound(entry, self._damage(entry, missing))

    def load(self, entry: Entry, *, as_arrow: bool = False) -> Any:
        """The value; its files are held against their digests before, see ``altered``."""
        folder = self.location(entry.key)
        damage = self._damage(entry, missing, altered)
        if damage is None:
            try:
                if entry.meta["format"] == INLINE:
                    return formats.load_small(entry.meta["value"])
                trusted = self.allow_pickle
                return formats.load(entry.meta["format"], Path(folder), allow_pickle=trusted, as_arrow=as_arrow)
            except RunwayError as error:
                cause = error.__cause__
                damage = missing(folder, entry.meta)  # `cache gc`, or somebody's `rm`, meanwhile
                if damage is None and (type(error) is StoreError or _is_of_the_machine(cause)):
                    raise
                damage = damage or error.message  # others have written the digests to these bytes
        self._is_sound(entry, damage)
        raise DamagedEntry(f"the cache entry {entry.key} is damaged: {damage}", where=folder)

    def verify(self, entry: Entry) -> bool:
        return self._is_sound(entry, self._damage(entry, missing, functools.partial(altered, thorough=True)))

    def _damage(self, entry: Entry, *looks: Callable[[str, dict[str, Any]], str | None]) -> str | None:
        """The first thing that is wrong with the payload, if anything."""
        folder = self.location(entry.key)
        try:
            return next(filter(None, (look(folder, entry.meta) for look in looks)), None)
        except (OSError, RunwayError) as error:
            cause = error if isinstance(error, OSError) else error.__cause__
            if isinstance(cause, OSError) and cause.errno in (*ROTTEN, errno.ENOENT, errno.ENOTDIR):
                return f"a file of it cannot be read: {cause}"  # or it went meanwhile
            raise _unreadable(folder, error) from error

    def check_records(self) -> list[str]:
        damaged = []
        for path in sorted(Path(self.url).glob("[0-9a-f][0-9a-f]/[0-9a-f]*")):
            key = path.name.removesuffix(INDEX)
            try:
                if path.name != key:
                    self._index(key)
                elif self._bytes(f"{path}/{META}") is None:
                    raise ValueError(f"it has no {META}")
                else:
                    self._read(key)
            except ValueError as error:
                damaged.append(str(path))
                self._put_away(str(path), f"{path}: {error}")
        keys, torn = self._journal_keys()
        if torn:
            path = Path(self.url, JOURNAL)
            damaged.append(str(path))
            warning(f"{path}: {torn} of its lines cannot be read: left out from now on")
            with self._writing(str(path)):
                self._rewrite_journal(keys)
        return damaged

    def _is_sound(self, entry: Entry, damage: str | None) -> bool:
        if damage is not None:
            now = self.find(entry.key)
            if now is not None and now.is_same(entry):  # otherwise others have replaced or evicted it meanwhile
                self._set_aside(entry.key, damage)
        return damage is None

    def _set_aside(self, key: str, why: str) -> None:
        self._put_away(self.location(key), f"the cache entry {key} is damaged ({why})")

    def _put_away(self, path: str, damage: str) -> None:
        """Rename what is damaged; it is computed again."""
        folder, name = os.path.split(path)
        target = f"{folder}/.damaged-{name}-{os.getpid()}-{time.time_ns()}"
        try:
            with contextlib.suppress(FileNotFoundError), self._writing(path):
                os.rename(path, target)
        except StoreError as error:  # not the end yet: all that is damaged is to be told
            warning(f"{damage} and cannot be set aside: {error.message}", once=True)
            return
        warning(f"{damage}: set aside as {target}, computed again")

    # -- writing

    def claim(self, key: str, what: str) -> AbstractContextManager[Any]:
        return self.lock(key, f"{what}: another process is computing it, waiting")

    @contextlib.contextmanager
    def lock(self, name: str, waiting: str) -> Iterator[bool]:
        """Hold a lock among all that use the store here. What a killed holder has left half-written goes.

        Args:
            name: which lock: a key, or one with something after it.
            waiting: said before a wait.

        Yields:
            Whether its last holder was killed.
        """
        path = f"{self.url}/{LOCKS}/{name}.lock"
        with contextlib.ExitStack() as held:
            with self._writing(path):
                try:
                    was_there = held.enter_context(hold(path, lambda: info(waiting)))
                except FileNotFoundError:  # the folder: nothing was written yet, or it was deleted meanwhile
                    self._make(os.path.dirname(path))
                    was_there = held.enter_context(hold(path, lambda: info(waiting)))
            if was_there:
                self._drop_half_written(name)
            yield was_there

    def clear(self, name: str) -> None:
        """Delete what a killed holder of a lock has left, where nobody holds it now; its work is done elsewhere."""
        path = f"{self.url}/{LOCKS}/{name}.lock"
        if os.path.exists(path):
            with contextlib.suppress(_Held, OSError), hold(path, _leave):
                self._drop_half_written(name)

    def _make(self, folder: str) -> None:
        """Make a folder of the store; the store is marked as a cache, so that it may lie in a folder of data."""
        os.makedirs(folder, exist_ok=True)
        mark_as_cache(self.url)

    def _drop_half_written(self, name: str) -> None:
        """Delete what was being written under a lock: as we hold it, nobody does any more."""
        self._drop_scratch(name)
        self._drop_scratch(f"{name}{INDEX}")

    def _drop_scratch(self, name: str) -> None:
        folder = Path(self.location(name)).parent
        for found in folder.glob(f".{name}.tmp-*"):
            with contextlib.suppress(OSError):  # `cache gc`
                _delete(found)

    def commit(self, key: str, value: Any, meta: dict[str, Any], *, keep_value: bool = True) -> Entry:
        for _ in range(MOST_TURNS):
            with contextlib.suppress(_Deleted), self.filling(key, meta.get("base_key", key)) as folder:
                return write_entry(folder, key, value, meta, keep_value=keep_value)
        raise StoreError("the cache is deleted as often as it is written to", where=self.location(key))

    @contextlib.contextmanager
    def filling(self, key: str, lock: str) -> Iterator[str]:
        """A new folder, which becomes the key's entry when the block ends; on an error it goes.

        Args:
            key: the entry's key.
            lock: the lock that is held meanwhile, by whose name the next holder finds what a killed one left.
        """
        final = self.location(key)
        temporary = scratch_name(self.location(lock))
        with self._writing(final):
            try:
                try:
                    os.mkdir(temporary)
                except FileNotFoundError:
                    self._make(temporary)
                yield temporary
                self._move_into_place(temporary, final)
            except BaseException as error:
                if isinstance(error, FileNotFoundError) and not os.path.isdir(temporary):
                    message = "the cache was deleted while an entry was written"
                    raise _Deleted(message, where=final, hint="run again") from error
                shutil.rmtree(temporary, ignore_errors=True)
                raise

    def _move_into_place(self, temporary: str, final: str) -> None:
        for _ in range(MOST_TURNS):
            try:
                os.rename(temporary, final)
                return
            except FileNotFoundError:
                if not os.path.isdir(temporary):
                    raise
                os.makedirs(os.path.dirname(final), exist_ok=True)
                continue
            except OSError as error:
                in_the_way = error.errno in (errno.ENOTEMPTY, errno.EEXIST)
                if not in_the_way and not os.path.isfile(final):
                    raise
            # An entry is there: a forced run replaces it, readers that have it open keep their files.
            self.discard(os.path.basename(final))
        raise StoreError("an entry cannot be put in its place: others keep writing it", where=final)

    def discard(self, key: str) -> None:
        """Delete an entry, whole at once, where it is there."""
        folder = self.location(key)
        aside = f"{os.path.dirname(folder)}/.old-{key}-{os.getpid()}-{time.time_ns()}"
        with contextlib.suppress(FileNotFoundError), self._writing(folder):
            os.rename(folder, aside)
            with contextlib.suppress(OSError):  # a reader's system may keep it a while: `cache gc`
                _delete(Path(aside))

    def write_meta(self, entry: Entry) -> None:
        """Replace an entry's ``meta.json`` alone; its folder is made where it is not there."""
        folder = self.location(entry.key)
        with self._writing(folder):
            replace_text(f"{folder}/{META}", seal(entry.meta).decode())

    @contextlib.contextmanager
    def _writing(self, location: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in FULL:
                message = "the disk is full: the cache entry was not written"
                raise StoreError(message, where=location, hint="free some space, or run `runway cache gc`") from error
            if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EEXIST):
                hint = "set meta.default_cache_dir to a folder that you can write to"
                raise StoreError(f"the cache cannot be written: {error}", where=location, hint=hint) from error
            raise

    # -- making room

    def evict(self, entry: Entry) -> None:
        self.write_meta(Entry(entry.key, {**entry.meta, "evicted": True}))
        with self._writing(self.location(entry.key)):
            for path in Path(self.location(entry.key)).iterdir():
                if path.name != META:
                    _delete(path)

    def sweep(self, *, dry_run: bool = False, older_than: float = LEFTOVER_AGE) -> int:
        left = [*Path(self.url).glob("[0-9a-f][0-9a-f]/.*"), *Path(self.url).glob(f"{LOCKS}/*.lock")]
        old = [path for path in left if _age(path) > older_than]
        if dry_run:
            return len(old)
        with self._writing(self.url):
            gone = sum(_unlocked(path) if path.suffix == ".lock" else _delete(path) for path in old)
            if keys := self.last_keys():
                self._rewrite_journal(keys)
        return gone

    # -- what a node read on the way

    def read_index(self, base_key: str) -> tuple[list[ReadSet], KnownFiles]:
        try:
            return self._index(base_key)
        except ValueError as error:  # it only costs a run
            path = f"{self.location(base_key)}{INDEX}"
            self._put_away(path, f"{path} is damaged ({error})")
            return [], {}

    def _index(self, base_key: str) -> tuple[list[ReadSet], KnownFiles]:
        data = self._bytes(f"{self.location(base_key)}{INDEX}")
        return ([], {}) if data is None else parse_index(data)

    def write_read_index(self, base_key: str, sets: list[ReadSet], known: KnownFiles) -> None:
        path = f"{self.location(base_key)}{INDEX}"
        text = seal({"sets": sets, "files": known}).decode()
        for _ in range(MOST_TURNS):
            self._drop_scratch(f"{base_key}{INDEX}")  # of one that was killed; a look-up writes without a lock
            with self._writing(path), contextlib.suppress(FileNotFoundError):  # another writer took ours for such
                replace_text(path, text)
                return
        raise StoreError("what a node read cannot be noted: others keep writing it", where=path)

    # -- the journal: which key each node had last, to explain why it runs

    def record_key(self, node: str, key: str) -> None:
        with self._writing(self.url), contextlib.suppress(FileNotFoundError):  # deleted meanwhile
            if self._journal is None:
                self._journal = open(f"{self.url}/{JOURNAL}", "ab", buffering=0)  # noqa: SIM115
            self._journal.write(_journal_line(node, key, time=round(time.time(), 3)))

    def last_keys(self) -> dict[str, str]:
        return self._journal_keys()[0]

    def _journal_keys(self) -> tuple[dict[str, str], int]:
        """{node: the key that it had last}, and how many lines are torn or altered."""
        found: dict[str, str] = {}
        torn = 0
        try:
            data = self._bytes(f"{self.url}/{JOURNAL}") or b""
        except ValueError:  # the disk does not give it; it is for people alone
            return found, 1
        for line in data.splitlines():
            try:
                record = parse(line, JOURNAL_FORM)
                found[record["node"]] = record["key"]
            except ValueError:
                torn += 1
        return found, torn

    def _rewrite_journal(self, keys: dict[str, str]) -> None:
        replace_text(f"{self.url}/{JOURNAL}", b"".join(_journal_line(*item) for item in keys.items()).decode())

    # -- files beside the entries

    def keep_blob(self, name: str, path: Path) -> None:
        target = self._blob(name)
        if os.path.abspath(path) == target:
            return
        with self._writing(target):
            self._make(os.path.dirname(target))
            with replacing(target) as temporary:
                shutil.copyfile(path, temporary)

    def blob(self, name: str) -> Path | None:
        path = Path(self._blob(name))
        return path if path.is_file() else None

    def drop_blob(self, name: str) -> None:
        with self._writing(self._blob(name)), contextlib.suppress(FileNotFoundError):
            os.unlink(self._blob(name))

    def _blob(self, name: str) -> str:
        check_blob_name(name)
        return os.path.join(self.url, *name.split("/"))


def parse_index(data: bytes) -> tuple[list[ReadSet], KnownFiles]:
    """What a read index says.

    Raises:
        ValueError: it is torn, altered, or not of the form.
    """
    index = parse(data, INDEX_FORM)
    return index["sets"], index["files"]


def _is_of_the_machine(error: BaseException | None) -> bool:
    """Whether it says nothing of the bytes that were read: no memory, no permission."""
    if isinstance(error, OSError):  # those of libraries have no number
        return error.errno is not None and error.errno not in ROTTEN
    return isinstance(error, MemoryError)


def _journal_line(node: str, key: str, **more: float) -> bytes:
    return seal({"node": node, "key": key, **more}) + b"\n"


def _unreadable(where: str, error: Exception) -> StoreError:
    hint = "set meta.default_cache_dir to a folder that you can read"
    return StoreError(f"the cache cannot be read: {error}", where=where, hint=hint)


def _age(path: Path) -> float:
    """Seconds since it was touched; nothing for what is gone by now."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _delete(path: Path) -> bool:
    """Delete a file or a folder; others may be at it too.

    Raises:
        OSError: it cannot be deleted.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(path)  # which says what is in the way
    else:
        path.unlink(missing_ok=True)
    return True


class _Deleted(StoreError):
    """Somebody has deleted the cache while an entry was written."""


class _Held(Exception):
    """Somebody works under a lock."""


def _leave() -> NoReturn:
    """Instead of a wait for a lock."""
    raise _Held


def _unlocked(path: Path) -> bool:
    """Delete a lock's file, unless somebody holds it; gives whether it went."""
    try:
        with hold(str(path), _leave):
            return True  # nobody holds it; it goes as every lock's file does
    except _Held:
        return False
