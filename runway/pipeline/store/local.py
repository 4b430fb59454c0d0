"""The cache on disk: ``<root>/<2 characters>/<key>/{meta.json, payload…}``.

An entry is written into a folder beside its own, ``meta.json`` last, and renamed: it is there whole or not at
all. One process at a time computes a key (a lock in ``locks/``, looked up again once it is held). An entry whose
files do not have the recorded sizes and digests is set aside and computed again.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from runway.disk import hold, replace_text, scratch_name
from runway.errors import StoreError
from runway.log import info, warning
from runway.pipeline.keys.fingerprint import combine
from runway.pipeline.keys.tracked import KnownFiles, ReadSet, hash_file
from runway.pipeline.store import formats
from runway.pipeline.store.base import (
    INLINE,
    LEFTOVER_AGE,
    META,
    META_VERSION,
    NO_VALUE,
    DamagedEntry,
    Entry,
    Store,
    Unsaveable,
    parse_meta,
    stays_inside,
)

JOURNAL = "journal.jsonl"
INDEX = ".reads.json"
SMALL_ENTRY = 1 << 20


class LocalStore(Store):
    """The entries in one folder.

    Args:
        root: the folder; made on the first write.
        allow_pickle: whether pickled entries may be loaded.
    """

    def __init__(self, root: Path, *, allow_pickle: bool = True) -> None:
        self.url = os.path.abspath(root)
        self.allow_pickle = allow_pickle
        self._journal: TextIO | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the open journal, so that an executor can be sent to a process that is spawned."""
        return {**self.__dict__, "_journal": None}

    def location(self, key: str) -> str:
        """The entry's folder."""
        return f"{self.url}/{key[:2]}/{key}"

    # -- looking up

    def find(self, key: str) -> Entry | None:
        folder = self.location(key)
        try:
            with open(f"{folder}/{META}", "rb") as file:
                meta = parse_meta(file.read())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError:
            self._set_aside(key, "its meta.json cannot be read")
            return None
        except OSError as error:
            hint = "set meta.default_cache_dir to a folder that you can read"
            raise StoreError(f"the cache cannot be read: {error}", where=folder, hint=hint) from error
        return None if meta is None else Entry(key, meta)

    def entries(self) -> list[Entry]:
        folders = sorted(path for path in Path(self.url).glob("[0-9a-f][0-9a-f]/[0-9a-f]*") if path.is_dir())
        return [entry for path in folders if (entry := self.find(path.name)) is not None]

    def is_whole(self, entry: Entry) -> bool:
        """Whether every file is there with its size. Sets the entry aside if not."""
        return self._is_sound(entry, missing(self.location(entry.key), entry.meta))

    def load(self, entry: Entry) -> Any:
        """The value; digests are compared of small entries, and of files touched since they were written."""
        folder = self.location(entry.key)
        if not self._is_sound(entry, missing(folder, entry.meta) or altered(folder, entry.meta)):
            raise DamagedEntry(f"the cache entry {entry.key} is damaged", where=folder)
        if entry.meta["format"] == INLINE:
            return json.loads(entry.meta["value"])
        return formats.load(entry.meta["format"], Path(folder), allow_pickle=self.allow_pickle)

    def verify(self, entry: Entry) -> bool:
        folder = self.location(entry.key)
        return self._is_sound(entry, missing(folder, entry.meta) or altered(folder, entry.meta, thorough=True))

    def _is_sound(self, entry: Entry, damage: str | None) -> bool:
        if damage is not None:
            now = self.find(entry.key)
            if now is not None and now.is_same(entry):  # otherwise others have replaced or evicted it meanwhile
                self._set_aside(entry.key, damage)
        return damage is None

    def _set_aside(self, key: str, why: str) -> None:
        folder = self.location(key)
        target = f"{os.path.dirname(folder)}/.damaged-{key}-{os.getpid()}-{time.time_ns()}"
        with contextlib.suppress(FileNotFoundError), self._writing(folder):
            os.rename(folder, target)
        warning(f"the cache entry {key} is damaged ({why}): set aside as {target}, computed again")

    # -- writing

    @contextlib.contextmanager
    def claim(self, key: str, what: str) -> Iterator[None]:
        held_before = os.path.exists(self._lock_file(key))
        with self.lock(key, f"{what}: another process is computing it, waiting"):
            if held_before:
                self._drop_half_written(key)
            yield

    @contextlib.contextmanager
    def lock(self, name: str, waiting: str) -> Iterator[None]:
        """Hold a lock among all that use the store here.

        Args:
            name: which lock.
            waiting: said before a wait.
        """
        path = self._lock_file(name)
        with contextlib.ExitStack() as held:
            with self._writing(path):
                try:
                    held.enter_context(hold(path, lambda: info(waiting)))
                except FileNotFoundError:  # the folder: nothing was written yet, or it was deleted meanwhile
                    os.makedirs(os.path.dirname(path), exist_ok=True)
                    held.enter_context(hold(path, lambda: info(waiting)))
            yield

    def _lock_file(self, name: str) -> str:
        return f"{self.url}/locks/{name}.lock"

    def _drop_half_written(self, key: str) -> None:
        """Delete what killed runs left of this entry: as we hold its lock, nobody is writing it."""
        folder = f"{self.url}/{key[:2]}"
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            if name.startswith(f".{key}.tmp-"):
                shutil.rmtree(f"{folder}/{name}", ignore_errors=True)

    def commit(self, key: str, value: Any, meta: dict[str, Any], *, keep_value: bool = True) -> Entry:
        with self.filling(key) as folder:
            return write_entry(folder, key, value, meta, keep_value=keep_value)

    @contextlib.contextmanager
    def filling(self, key: str) -> Iterator[str]:
        """A new folder, which becomes the key's entry when the block ends; on an error it goes."""
        final = self.location(key)
        temporary = scratch_name(final)
        with self._writing(final):
            try:
                try:
                    os.mkdir(temporary)
                except FileNotFoundError:
                    os.makedirs(temporary)
                yield temporary
                self._move_into_place(temporary, final)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise

    def _move_into_place(self, temporary: str, final: str) -> None:
        for _ in range(10):
            try:
                os.rename(temporary, final)
                return
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            # An entry is there: a forced run replaces it, readers that have it open keep their files.
            self.discard(os.path.basename(final))
        raise StoreError("an entry cannot be put in its place: others keep writing it", where=final)

    def discard(self, key: str) -> None:
        """Delete an entry, whole at once, where it is there."""
        folder = self.location(key)
        aside = f"{os.path.dirname(folder)}/.old-{key}-{os.getpid()}-{time.time_ns()}"
        with contextlib.suppress(FileNotFoundError):
            os.rename(folder, aside)
            shutil.rmtree(aside, ignore_errors=True)

    def write_meta(self, entry: Entry) -> None:
        """Replace an entry's ``meta.json`` alone; its folder is made where it is not there."""
        folder = self.location(entry.key)
        with self._writing(folder):
            replace_text(f"{folder}/{META}", json.dumps(entry.meta, separators=(",", ":")))

    @contextlib.contextmanager
    def _writing(self, location: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno == errno.ENOSPC:
                message = "the disk is full: the cache entry was not written"
                raise StoreError(message, where=location, hint="free some space, or run `runway cache gc`") from error
            if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EEXIST):
                hint = "set meta.default_cache_dir to a folder that you can write to"
                raise StoreError(f"the cache cannot be written: {error}", where=location, hint=hint) from error
            raise

    # -- making room

    def evict(self, entry: Entry) -> None:
        self.write_meta(Entry(entry.key, {**entry.meta, "evicted": True}))
        for path in Path(self.location(entry.key)).iterdir():
            if path.name != META:
                _delete(path)

    def sweep(self, *, dry_run: bool = False, older_than: float = LEFTOVER_AGE) -> int:
        left = Path(self.url).glob("[0-9a-f][0-9a-f]/.*")
        old = [path for path in left if time.time() - path.stat().st_mtime > older_than]
        if not dry_run:
            for path in old:
                _delete(path)
            if keys := self.last_keys():
                lines = (json.dumps({"node": node, "key": key}) + "\n" for node, key in keys.items())
                replace_text(f"{self.url}/{JOURNAL}", "".join(lines))
        return len(old)

    # -- what a node read on the way

    def read_index(self, base_key: str) -> tuple[list[ReadSet], KnownFiles]:
        try:
            with open(f"{self.location(base_key)}{INDEX}", "rb") as file:
                return parse_index(file.read())
        except (FileNotFoundError, NotADirectoryError):
            return [], {}

    def write_read_index(self, base_key: str, sets: list[ReadSet], known: KnownFiles) -> None:
        path = f"{self.location(base_key)}{INDEX}"
        with self._writing(path):
            replace_text(path, json.dumps({"sets": sets, "files": known}))

    # -- the journal: which key each node had last, to explain why it runs

    def record_key(self, node: str, key: str) -> None:
        line = json.dumps({"node": node, "key": key, "time": round(time.time(), 3)}) + "\n"
        with self._writing(self.url):
            if self._journal is None:
                self._journal = open(f"{self.url}/{JOURNAL}", "a", encoding="utf-8")  # noqa: SIM115
            self._journal.write(line)
            self._journal.flush()

    def last_keys(self) -> dict[str, str]:
        found: dict[str, str] = {}
        with (
            contextlib.suppress(FileNotFoundError, NotADirectoryError),
            open(f"{self.url}/{JOURNAL}", encoding="utf-8", errors="replace") as file,
        ):
            for line in file:
                with contextlib.suppress(ValueError, KeyError, TypeError):  # a line torn by a crash
                    record = json.loads(line)
                    found[record["node"]] = record["key"]
        return found


# --- an entry in any folder: here, or on its way to or from another store


def write_entry(folder: str, key: str, value: Any, meta: dict[str, Any], *, keep_value: bool) -> Entry:
    """Write payload and ``meta.json`` into an empty folder, as ``Store.commit`` says."""
    text = formats.small_text(value) if keep_value else None
    files: dict[str, tuple[int, int, str]] = {}
    if text is not None:
        name, content = INLINE, combine(INLINE, text)
        meta = {**meta, "value": text}
    elif keep_value:
        name = formats.save(value, Path(folder))
        files = _list_files(folder)
        content = combine(name, *(part for file, facts in files.items() for part in (file, facts[2])))
    else:
        name, content = NO_VALUE, key
    facts = {"version": META_VERSION, "key": key, "format": name, "content": content, "files": files}
    entry = Entry(key, {**facts, "created": time.time(), **meta})
    with open(f"{folder}/{META}", "w", encoding="utf-8") as file:
        file.write(json.dumps(entry.meta, separators=(",", ":")))
    return entry


def _list_files(folder: str) -> dict[str, tuple[int, int, str]]:
    """{relative name: (size, mtime_ns, digest)}, sorted."""
    found = {}
    waiting = [""]
    while waiting:
        inner = waiting.pop()
        with os.scandir(f"{folder}/{inner}") as entries:
            for entry in entries:
                name = f"{inner}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{name}/")
                    continue
                if not stays_inside(name):
                    raise Unsaveable(f"the output was saved in a file named {name!r}, which not every system can keep")
                status = entry.stat()
                found[name] = (status.st_size, status.st_mtime_ns, hash_file(entry.path))
    return dict(sorted(found.items()))


def missing(folder: str, meta: dict[str, Any]) -> str | None:
    """What is wrong with the sizes of an entry's files, if anything."""
    for name, (size, _, _) in meta["files"].items():
        try:
            found = os.stat(f"{folder}/{name}").st_size
        except (FileNotFoundError, NotADirectoryError):
            return f"the file {name} is missing"
        if found != size:
            return f"the file {name} has {found} bytes instead of {size}"
    return None


def altered(folder: str, meta: dict[str, Any], *, thorough: bool = False) -> str | None:
    """What differs from its digest, if anything: of small files, of files touched since, of all if ``thorough``."""
    if meta["format"] == INLINE and combine(INLINE, meta["value"]) != meta["content"]:
        return "its value has changed since it was written"
    for name, (size, mtime_ns, recorded) in meta["files"].items():
        file = f"{folder}/{name}"
        look = thorough or size <= SMALL_ENTRY or os.stat(file).st_mtime_ns != mtime_ns
        if look and hash_file(file) != recorded:
            return f"the content of {name} has changed since it was written"
    return None


def parse_index(data: bytes) -> tuple[list[ReadSet], KnownFiles]:
    """What a read index says; nothing where it is torn by a crash, which only costs a run."""
    try:
        index = json.loads(data)
        return index["sets"], index["files"]
    except (ValueError, KeyError, TypeError):
        return [], {}


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
