"""A store whose entries live under any fsspec URL (``s3://bucket/runway``), with local copies of what was used.

An entry is uploaded payload first and ``meta.json`` last, which is what makes it exist. What is looked up is fetched
as ``meta.json`` alone; the payload follows when the value is wanted, and is held against its digests before anything
takes it. Nobody here trusts what others wrote: see ``parse_meta``.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.errors import StoreError
from runway.log import warning
from runway.pipeline.keys.fingerprint import combine
from runway.pipeline.store.base import LEFTOVER_AGE, META, DamagedEntry, Entry, Store, parse_meta
from runway.pipeline.store.local import INDEX, LocalStore, altered, missing, parse_index, write_entry

if TYPE_CHECKING:
    from runway.pipeline.keys.tracked import KnownFiles, ReadSet

ELSEWHERE = "elsewhere"
"""Set in the ``meta.json`` of a copy while its payload has not been fetched."""


class RemoteStore(Store):
    """Entries under a URL.

    What has been copied is served without asking the URL again: an entry that another machine computes anew by force
    is seen by those that have no copy of it. The journal is this machine's own.

    Args:
        url: the root, any protocol that fsspec has a driver for.
        copies: the local folder in which the copies of all URLs are kept.
        allow_pickle: whether pickled entries may be loaded; others write to this store too, so not by default.

    Raises:
        StoreError: there is no driver for the URL, or it cannot be reached; in every method.
    """

    def __init__(self, url: str, copies: Path, *, allow_pickle: bool = False) -> None:
        self.url = url if url.endswith("://") else url.rstrip("/")
        self.allow_pickle = allow_pickle
        self.copies = LocalStore(copies / combine(self.url)[:12], allow_pickle=allow_pickle)

    @functools.cached_property
    def _opened(self) -> tuple[Any, str]:
        """The fsspec file system and the root's path in it, looked up on first use."""
        import fsspec

        try:
            return fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            hint = "pip install 'runway-for-ml[s3]' for s3://, or the fsspec driver of your protocol"
            raise StoreError(f"the cache cannot be opened: {error}", where=self.url, hint=hint) from error

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[tuple[Any, str]]:
        """The file system and the root; what its driver raises becomes a StoreError."""
        try:
            yield self._opened
        except StoreError:
            raise
        except Exception as error:  # a driver raises what it likes: credentials, network, permissions
            hint = "look at the credentials and the network, or set meta.default_cache_dir to a local folder"
            raise StoreError(f"the cache cannot be reached: {error}", where=self.url, hint=hint) from error

    def location(self, key: str) -> str:
        return f"{self.url}/{key[:2]}/{key}"

    def _read(self, name: str) -> bytes | None:
        with self._reaching() as (files, root):
            try:
                return files.cat_file(f"{root}/{name}")
            except FileNotFoundError:
                return None

    def _write(self, name: str, data: bytes) -> None:
        with self._reaching() as (files, root):
            files.makedirs(f"{root}/{os.path.dirname(name)}", exist_ok=True)
            files.pipe_file(f"{root}/{name}", data)

    # -- looking up

    def find(self, key: str) -> Entry | None:
        """The entry of a key: by its copy, or by the ``meta.json`` at the URL."""
        entry = self.copies.find(key)
        if entry is not None:
            return Entry(key, {name: value for name, value in entry.meta.items() if name != ELSEWHERE})
        entry = self._parse(key, self._read(_path(key, META)))
        if entry is not None and (entry.has_value or entry.is_receipt):  # another machine may compute an evicted one
            with self._fetching(key):
                if self.copies.find(key) is None:
                    self.copies.write_meta(Entry(key, {**entry.meta, ELSEWHERE: True}))
        return entry

    def _parse(self, key: str, data: bytes | None) -> Entry | None:
        try:
            meta = None if data is None else parse_meta(data)
        except (json.JSONDecodeError, UnicodeDecodeError):  # torn: its owner was killed while it wrote the last file
            return None
        except ValueError as error:
            warning(f"the cache entry {self.location(key)} is damaged (its {META}: {error}): not used")
            return None
        return None if meta is None else Entry(key, meta)

    def _copy(self, entry: Entry) -> Entry | None:
        """The copy of this very entry, where its payload has been fetched."""
        copy = self.copies.find(entry.key)
        return copy if copy is not None and ELSEWHERE not in copy.meta and copy.content == entry.content else None

    def entries(self) -> list[Entry]:
        found = [name for name in self._list() if re.fullmatch(rf"[0-9a-f]{{2}}/[0-9a-f]+/{META}", name)]
        if not found:
            return []
        with self._reaching() as (files, root):
            texts = files.cat([f"{root}/{name}" for name in found], on_error="omit")
        parsed = (self._parse(path.split("/")[-2], texts[path]) for path in sorted(texts))
        return [entry for entry in parsed if entry is not None]

    def _list(self) -> list[str]:
        """The names of all files under the root."""
        with self._reaching() as (files, root):
            files.invalidate_cache()
            return [path.removeprefix(root).lstrip("/") for path in files.find(root)]

    def is_whole(self, entry: Entry) -> bool:
        """As in a local store; what has not been fetched yet is looked at when it is."""
        copy = self._copy(entry)
        return copy is None or self.copies.is_whole(copy)

    def load(self, entry: Entry) -> Any:
        """The value, fetched first where there is no copy."""
        copy = self._copy(entry)
        if copy is None:
            with self._fetching(entry.key):
                copy = self._copy(entry) or self._fetch(entry)
        return self.copies.load(copy)

    def _fetching(self, key: str) -> AbstractContextManager[None]:
        """One process on this machine fetches an entry: another one's copy is not to be replaced while it is read."""
        return self.copies.lock(f"fetch-{key}", f"{self.location(key)}: another process is fetching it, waiting")

    def _fetch(self, entry: Entry) -> Entry:
        with self.copies.filling(entry.key) as folder:
            if not self._download(entry, folder):
                raise DamagedEntry(f"the cache entry {entry.key} is damaged", where=self.location(entry.key))
            for name, (_, mtime_ns, _) in entry.meta["files"].items():
                os.utime(f"{folder}/{name}", ns=(mtime_ns, mtime_ns))
            (Path(folder) / META).write_text(json.dumps(entry.meta), encoding="utf-8")
        return entry

    def verify(self, entry: Entry) -> bool:
        """Fetch all that is at the URL, and compare."""
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            return self._download(entry, folder)

    def _download(self, entry: Entry, folder: str) -> bool:
        """Whether the payload, now in the folder, is what was written. Sets the entry aside if not."""
        not_there = (FileNotFoundError, FileExistsError, NotADirectoryError)  # or a file and a folder of one name
        for name in entry.meta["files"]:
            with self._reaching() as (files, root), contextlib.suppress(*not_there):
                os.makedirs(os.path.dirname(f"{folder}/{name}"), exist_ok=True)
                files.get_file(f"{root}/{_path(entry.key, name)}", f"{folder}/{name}")
        damage = missing(folder, entry.meta) or altered(folder, entry.meta, thorough=True)
        if damage is not None:
            self._set_aside(entry, damage)
        return damage is None

    def _set_aside(self, entry: Entry, why: str) -> None:
        """Without its ``meta.json`` an entry is not there; the rest lies there until it is computed again."""
        self.copies.discard(entry.key)
        now = self._parse(entry.key, self._read(_path(entry.key, META)))
        if now is None or not now.is_same(entry):
            return  # another machine has replaced or evicted it meanwhile: it was not damaged
        with self._reaching() as (files, root):
            path = f"{root}/{_path(entry.key, META)}"
            files.mv(path, f"{path}.damaged")
        warning(f"the cache entry {self.location(entry.key)} is damaged ({why}): set aside, computed again")

    # -- writing

    def claim(self, key: str, what: str) -> AbstractContextManager[None]:
        """Hold the key on this machine; two machines may still compute the same node at once, to the same end."""
        return self.copies.claim(key, what)

    def commit(self, key: str, value: Any, meta: dict[str, Any], *, keep_value: bool = True) -> Entry:
        """Write the entry at the URL; the copy is there once that is done."""
        with self.copies.filling(key) as folder:
            entry = write_entry(folder, key, value, meta, keep_value=keep_value)
            self._remove(_path(key))  # an old entry, or what is left of one
            with self._reaching() as (files, root):
                for name in [*entry.meta["files"], META]:
                    target = f"{root}/{_path(key, name)}"
                    files.makedirs(os.path.dirname(target), exist_ok=True)
                    files.put_file(f"{folder}/{name}", target)
        return entry

    def _remove(self, name: str) -> None:
        with self._reaching() as (files, root), contextlib.suppress(FileNotFoundError):
            files.invalidate_cache()
            files.rm(f"{root}/{name}", recursive=True)

    # -- making room

    def evict(self, entry: Entry) -> None:
        """Delete the payload at the URL, and the copy of it on this machine."""
        self._write(_path(entry.key, META), json.dumps({**entry.meta, "evicted": True}).encode())
        for name in entry.meta["files"]:
            self._remove(_path(entry.key, name))
        self.copies.discard(entry.key)

    def sweep(self, *, dry_run: bool = False, older_than: float = LEFTOVER_AGE) -> int:
        """Delete at the URL the folders that are no entries, and what is left among the copies."""
        names = self._list()
        whole = {name.rpartition("/")[0] for name in names if name.endswith(f"/{META}")}
        touched: dict[str, float] = {}
        for name in names:
            match = re.match(r"[0-9a-f]{2}/[0-9a-f]+(?=/)", name)
            if match and match[0] not in whole:
                touched[match[0]] = max(touched.get(match[0], 0.0), self._modified(name))
        old = [folder for folder, when in touched.items() if time.time() - when > older_than]
        for folder in () if dry_run else old:
            self._remove(folder)
        return len(old) + self.copies.sweep(dry_run=dry_run, older_than=older_than)

    def _modified(self, name: str) -> float:
        with self._reaching() as (files, root):
            try:
                return files.modified(f"{root}/{name}").timestamp()
            except NotImplementedError:  # nobody knows: it may be new
                return time.time()

    # -- what a node read on the way

    def read_index(self, base_key: str) -> tuple[list[ReadSet], KnownFiles]:
        """The read sets known here and there; digests of files are this machine's own."""
        sets, known = self.copies.read_index(base_key)
        return _merged(sets, self._sets(base_key)), known

    def _sets(self, base_key: str) -> list[ReadSet]:
        return parse_index(self._read(f"{_path(base_key)}{INDEX}") or b"")[0]

    def write_read_index(self, base_key: str, sets: list[ReadSet], known: KnownFiles) -> None:
        """Replace the index here, and add its sets to those there."""
        self.copies.write_read_index(base_key, sets, known)
        there = self._sets(base_key)
        merged = _merged(sets, there)
        if len(merged) > len(there):
            self._write(f"{_path(base_key)}{INDEX}", json.dumps({"sets": merged, "files": {}}).encode())

    # -- the journal

    def record_key(self, node: str, key: str) -> None:
        self.copies.record_key(node, key)

    def last_keys(self) -> dict[str, str]:
        return self.copies.last_keys()


def _path(key: str, name: str = "") -> str:
    return f"{key[:2]}/{key}/{name}" if name else f"{key[:2]}/{key}"


def _merged(sets: list[ReadSet], others: list[ReadSet]) -> list[ReadSet]:
    return sets + [names for names in others if names not in sets]
