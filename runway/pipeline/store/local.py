"""The cache on disk: ``<root>/<2 characters>/<key>/{meta.json, payload…}``.

An entry is written into a folder beside its place, ``meta.json`` last, and renamed: it is there whole or not at
all. One process at a time computes a key (a lock beside the entry, looked up again once it is held). An entry whose
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
from typing import Any, NamedTuple, TextIO

from runway.disk import hold, replace_text, scratch_name
from runway.errors import StoreError
from runway.log import info, warning
from runway.pipeline.keys.fingerprint import combine
from runway.pipeline.keys.tracked import KnownFiles, ReadSet, hash_file
from runway.pipeline.store import formats

META = "meta.json"
JOURNAL = "journal.jsonl"
META_VERSION = 1
INLINE = "inline"
"""The format of a small plain value: it stands in ``meta.json`` itself."""
NO_VALUE = "none"
"""The format of a receipt: it says that an uncached node ran, and keeps nothing."""
SMALL_ENTRY = 1 << 20
NEEDED = {"content", "format", "files", "parts", "created", "seconds", "node"}


class Entry(NamedTuple):
    """One stored output: its key, its folder and what ``meta.json`` says."""

    key: str
    path: Path
    meta: dict[str, Any]

    @property
    def content(self) -> str:
        """The digest of the payload: what the next node's key is made of."""
        return self.meta["content"]

    @property
    def is_receipt(self) -> bool:
        """Whether it only says that an uncached node ran."""
        return self.meta["format"] == NO_VALUE

    @property
    def has_value(self) -> bool:
        """Whether the payload is there: not for a receipt, nor where gc took it away."""
        return not self.is_receipt and not self.meta.get("evicted", False)

    @property
    def bytes(self) -> int:
        """The payload's size on disk."""
        return sum(size for size, _, _ in self.meta["files"].values()) + len(self.meta.get("value", ""))


class DamagedEntry(Exception):
    """An entry is not what was written; ``entry`` has been set aside."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry.key)
        self.entry = entry


class Store:
    """The entries under one root.

    Args:
        root: the folder; made on the first write.
        allow_pickle: whether pickled entries may be loaded.
    """

    def __init__(self, root: Path, *, allow_pickle: bool = True) -> None:
        self.root = Path(root)
        self._root = str(self.root)
        self.allow_pickle = allow_pickle
        self._has_locks_folder = False
        self._prefixes: set[str] = set()  # the folders of two characters that are known to be there
        self._journal: TextIO | None = None

    def place(self, key: str) -> str:
        """Where the entry of a key stands, or would."""
        return f"{self._root}/{key[:2]}/{key}"

    # -- looking up

    def find(self, key: str) -> Entry | None:
        """The entry of a key, by its ``meta.json`` alone."""
        place = self.place(key)
        try:
            with open(f"{place}/{META}", "rb") as file:
                meta = json.loads(file.read())
            if meta["version"] != META_VERSION:
                return None
            if not meta.keys() >= NEEDED:
                raise KeyError(*NEEDED - meta.keys())
            return Entry(key, Path(place), meta)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError):
            self._set_aside(Path(place), "its meta.json cannot be read")
            return None
        except OSError as error:
            hint = "set meta.default_cache_dir to a folder that you can read"
            raise StoreError(f"the cache cannot be read: {error}", where=place, hint=hint) from error

    def is_whole(self, entry: Entry) -> bool:
        """A quick look at the payload: every file is there with its size. Sets the entry aside if not."""
        for name, (size, _, _) in entry.meta["files"].items():
            try:
                status = os.stat(f"{entry.path}/{name}")
            except FileNotFoundError:
                self._set_aside(entry.path, f"the file {name} is missing")
                return False
            if status.st_size != size:
                self._set_aside(entry.path, f"the file {name} has {status.st_size} bytes instead of {size}")
                return False
        return True

    def load(self, entry: Entry) -> Any:
        """The value of an entry.

        Raises:
            DamagedEntry: its files are not those that were written.
        """
        if not self.is_whole(entry) or not self.is_intact(entry):
            raise DamagedEntry(entry)
        if entry.meta["format"] == INLINE:
            return json.loads(entry.meta["value"])
        return formats.load(entry.meta["format"], entry.path, allow_pickle=self.allow_pickle)

    def is_intact(self, entry: Entry, *, thorough: bool = False) -> bool:
        """Compare digests: of small entries, of files touched since they were written, of all if ``thorough``."""
        if entry.meta["format"] == INLINE and combine(INLINE, entry.meta["value"]) != entry.content:
            self._set_aside(entry.path, "its value has changed since it was written")
            return False
        for name, (size, mtime_ns, recorded) in entry.meta["files"].items():
            file = f"{entry.path}/{name}"
            look = thorough or size <= SMALL_ENTRY or os.stat(file).st_mtime_ns != mtime_ns
            if look and hash_file(file) != recorded:
                self._set_aside(entry.path, f"the content of {name} has changed since it was written")
                return False
        return True

    def _set_aside(self, path: Path, why: str) -> None:
        target = path.parent / f".damaged-{path.name}-{os.getpid()}-{time.time_ns()}"
        with contextlib.suppress(FileNotFoundError), self._writing(path):
            path.rename(target)
        warning(f"the cache entry {path.name} is damaged ({why}): set aside as {target}, computed again")

    # -- what a node read on the way

    def read_index(self, base_key: str) -> tuple[list[ReadSet], KnownFiles]:
        """The sets of things that runs with this base key have read, and the digests of files known so far."""
        try:
            with open(self.place(base_key) + ".reads.json", "rb") as file:
                index = json.loads(file.read())
            return index["sets"], index["files"]
        except (FileNotFoundError, NotADirectoryError):
            return [], {}
        except (ValueError, KeyError, TypeError):  # torn by a crash of the machine: only costs a run
            return [], {}

    def write_read_index(self, base_key: str, sets: list[ReadSet], known: KnownFiles) -> None:
        """Replace the index of a base key."""
        target = Path(self.place(base_key) + ".reads.json")
        with self._writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            replace_text(target, json.dumps({"sets": sets, "files": known}))

    # -- writing

    @contextlib.contextmanager
    def claim(self, key: str, what: str) -> Iterator[bool]:
        """Hold the key: nobody else computes it meanwhile. Says so when it has to wait.

        Gives whether somebody has held it before: then the entry may be there by now, or parts of it.
        """
        folder = f"{self._root}/locks"
        path = f"{folder}/{key}.lock"
        with contextlib.ExitStack() as held:
            with self._writing(Path(folder)):
                if not self._has_locks_folder:
                    os.makedirs(folder, exist_ok=True)
                    self._has_locks_folder = True
                held_before = os.path.exists(path)
                held.enter_context(hold(path, lambda: info(f"{what}: another process is computing it, waiting")))
            if held_before:
                self._sweep(key)
            yield held_before

    def commit(self, key: str, value: Any, meta: dict[str, Any], *, keep_value: bool = True) -> Entry:
        """Write an entry, whole or not at all.

        Args:
            key: its key.
            value: the output.
            meta: what is to be known of it, plain data.
            keep_value: False writes a receipt without the value.

        Raises:
            StoreError: the value has no format, the disk is full, or the store cannot be written.
        """
        final = self.place(key)
        temporary = scratch_name(final)
        text = formats.small_text(value) if keep_value else None
        with self._writing(Path(final)):
            try:
                self._make_folder(temporary, key[:2])
                if text is None:
                    name = formats.save(value, Path(temporary)) if keep_value else NO_VALUE
                    files = _list_files(temporary)
                    content = combine(name, *(part for file, facts in files.items() for part in (file, facts[2])))
                else:
                    name, files, content = INLINE, {}, combine(INLINE, text)
                    meta["value"] = text
                meta = {
                    "version": META_VERSION,
                    "key": key,
                    "format": name,
                    "content": content if keep_value else key,
                    "files": files,
                    "created": time.time(),
                    **meta,
                }
                with open(f"{temporary}/{META}", "w", encoding="utf-8") as file:
                    file.write(json.dumps(meta, separators=(",", ":")))
                self._move_into_place(temporary, final)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
        return Entry(key, Path(final), meta)

    def _make_folder(self, path: str, prefix: str) -> None:
        if prefix not in self._prefixes:
            os.makedirs(f"{self._root}/{prefix}", exist_ok=True)
            self._prefixes.add(prefix)
        os.mkdir(path)

    def _sweep(self, key: str) -> None:
        """Delete what killed runs left of this entry: as we hold its lock, nobody is writing it."""
        folder = f"{self._root}/{key[:2]}"
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            if name.startswith(f".{key}.tmp-"):
                shutil.rmtree(f"{folder}/{name}", ignore_errors=True)

    def _move_into_place(self, temporary: str, final: str) -> None:
        for _ in range(10):
            try:
                os.rename(temporary, final)
                return
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            # An entry is there: a forced run replaces it, readers that have it open keep their files.
            folder, _, name = final.rpartition("/")
            aside = f"{folder}/.old-{name}-{os.getpid()}-{time.time_ns()}"
            with contextlib.suppress(FileNotFoundError):
                os.rename(final, aside)
                shutil.rmtree(aside, ignore_errors=True)
        raise StoreError("an entry cannot be put in its place: others keep writing it", where=final)

    @contextlib.contextmanager
    def _writing(self, place: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno == errno.ENOSPC:
                hint = "free some space, or run `runway cache gc`"
                raise StoreError(
                    "the disk is full: the cache entry was not written", where=str(place), hint=hint
                ) from error
            if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EEXIST):
                hint = "set meta.default_cache_dir to a folder that you can write to"
                raise StoreError(f"the cache cannot be written: {error}", where=str(place), hint=hint) from error
            raise

    # -- the journal: which key each node had last, to explain why it runs

    def record_key(self, node: str, key: str) -> None:
        """Append to the journal that ``node`` now has ``key``."""
        line = json.dumps({"node": node, "key": key, "time": round(time.time(), 3)}) + "\n"
        with self._writing(self.root):
            if self._journal is None:
                self._journal = open(f"{self._root}/{JOURNAL}", "a", encoding="utf-8")  # noqa: SIM115
            self._journal.write(line)
            self._journal.flush()

    def last_keys(self) -> dict[str, str]:
        """{node: the key that it had last}."""
        found: dict[str, str] = {}
        with (
            contextlib.suppress(FileNotFoundError, NotADirectoryError),
            open(f"{self._root}/{JOURNAL}", encoding="utf-8", errors="replace") as file,
        ):
            for line in file:
                with contextlib.suppress(ValueError, KeyError, TypeError):  # a line torn by a crash
                    record = json.loads(line)
                    found[record["node"]] = record["key"]
        return found


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
                status = entry.stat()
                found[name] = (status.st_size, status.st_mtime_ns, hash_file(entry.path))
    return dict(sorted(found.items()))
