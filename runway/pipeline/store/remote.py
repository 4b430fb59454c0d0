"""A store whose entries live at a URL (``s3://bucket/runway``), with local copies of what was used.

An entry's payload is uploaded under a name of its own, ``<2 characters>/<key>/<upload>/…``, and then its ``meta.json``,
which names the upload, is written by condition: only if it is still as it was before. So an entry is visible whole or
not at all, however many write it, and nobody reads a mix of two uploads. What is looked up is fetched as ``meta.json``
alone; the payload follows when the value is wanted, and is held against its digests before anything takes it. Nobody
here trusts what others wrote: see ``parse_meta``.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from runway.errors import StoreError
from runway.log import warning
from runway.pipeline.keys.fingerprint import combine
from runway.pipeline.store.base import (
    ELSEWHERE,
    LEFTOVER_AGE,
    META,
    DamagedEntry,
    Entry,
    Store,
    check_blob_name,
    parse_meta,
)
from runway.pipeline.store.claims import claimed
from runway.pipeline.store.local import INDEX, LocalStore, parse_index
from runway.pipeline.store.objects import AT_ONCE, PIECE, WRITING, open_objects
from runway.pipeline.store.payload import altered, missing, write_entry
from runway.pipeline.store.records import seal, unseal

if TYPE_CHECKING:
    from runway.pipeline.keys.tracked import KnownFiles, ReadSet
    from runway.pipeline.store.objects import Read

UPLOAD = "upload"
"""What ``meta.json`` calls the folder of its payload; an entry of runway 0.1.0 has none, its files are beside it."""
SET_ASIDE = 0
"""The version in a ``meta.json`` that says that the entry was damaged: to every runway it is not there."""
MOST_TURNS = 10


class RemoteStore(Store):
    """Entries under a URL.

    What has been copied is served without asking the URL again: an entry that another machine computes anew by force
    is seen by those that have no copy of it. The journal is this machine's own.

    Args:
        url: the root: a bucket, or any protocol that fsspec has a driver for.
        copies: the local folder in which the copies of all URLs are kept.
        allow_pickle: whether pickled entries may be loaded; others write to this store too, so not by default.

    Raises:
        StoreError: there is no driver for the URL, or it cannot be reached; in every method.
    """

    def __init__(self, url: str, copies: Path, *, allow_pickle: bool = False) -> None:
        self.objects = open_objects(url)
        self.url = self.objects.url
        self.allow_pickle = allow_pickle
        self.copies = LocalStore(copies / combine(self.url)[:12], allow_pickle=allow_pickle)

    def location(self, key: str) -> str:
        return f"{self.objects.shown}/{_path(key)}"

    # -- looking up

    def find(self, key: str) -> Entry | None:
        """The entry of a key: by its copy, or by the ``meta.json`` at the URL."""
        copy = self.copies.find(key)
        if copy is not None and not copy.meta.get("evicted", False):  # room was made on this machine: not at the URL
            return Entry(key, {name: value for name, value in copy.meta.items() if name != ELSEWHERE})
        _, entry = self._there(key)
        if entry is not None and (entry.has_value or entry.is_receipt):  # another machine may compute an evicted one
            with self._fetching(key):
                if self.copies.find(key) == copy:
                    self.copies.write_meta(Entry(key, {**entry.meta, ELSEWHERE: True}))
            self.copies.clear(entry.meta.get("base_key", key))  # of one that was killed after its upload
        return entry

    def _there(self, key: str) -> tuple[Read | None, Entry | None]:
        """The ``meta.json`` at the URL as it was read, and the entry that it is, if it is one."""
        read = self.objects.read(_path(key, META))
        return read, None if read is None else self._parse(key, read.data)

    def _parse(self, key: str, data: bytes) -> Entry | None:
        try:
            meta = parse_meta(data, key)
        except ValueError as error:
            damage = f"the cache entry {self.location(key)} is damaged (its {META}: {error})"
            warning(f"{damage}: not used, and replaced when it is computed again", once=True)
            return None
        return None if meta is None else Entry(key, meta)

    def _copy(self, entry: Entry) -> Entry | None:
        """The copy of this very entry, where its payload has been fetched."""
        copy = self.copies.find(entry.key)
        is_here = copy is not None and (copy.has_value or copy.is_receipt) and copy.content == entry.content
        return copy if is_here else None

    def entries(self) -> list[Entry]:
        found = sorted(name for name in self.objects.names() if re.fullmatch(rf"[0-9a-f]{{2}}/[0-9a-f]+/{META}", name))
        texts = self.objects.read_all(found)
        parsed = (self._parse(name.split("/")[1], data) for name, data in texts.items())
        return [entry for entry in parsed if entry is not None]

    def is_whole(self, entry: Entry) -> bool:
        """As in a local store; what has not been fetched yet is looked at when it is."""
        copy = self._copy(entry)
        return copy is None or self.copies.is_whole(copy)

    def load(self, entry: Entry, *, as_arrow: bool = False) -> Any:
        """The value, fetched first where there is no copy."""
        copy = self._copy(entry)
        if copy is None:
            with self._fetching(entry.key):
                copy = self._copy(entry) or self._fetch(entry)
        return self.copies.load(copy, as_arrow=as_arrow)

    def _fetching(self, key: str) -> AbstractContextManager[Any]:
        """One process on this machine fetches an entry: another one's copy is not to be replaced while it is read."""
        return self.copies.lock(_fetch_lock(key), f"{self.location(key)}: another process is fetching it, waiting")

    def _fetch(self, entry: Entry) -> Entry:
        with self.copies.filling(entry.key, _fetch_lock(entry.key)) as folder:
            if not self._download(entry, folder):
                raise DamagedEntry(f"the cache entry {entry.key} is damaged", where=self.location(entry.key))
            Path(folder, META).write_bytes(seal(entry.meta))
        return entry

    def verify(self, entry: Entry) -> bool:
        """Fetch all that is at the URL, and compare."""
        with tempfile.TemporaryDirectory() as folder:
            return self._download(entry, folder)

    def _download(self, entry: Entry, folder: str) -> bool:
        """Whether the payload, now in the folder, is what was written. Sets the entry aside if not."""

        def fetch(name: str, source: str) -> None:
            os.makedirs(os.path.dirname(f"{folder}/{name}"), exist_ok=True)
            if not self.objects.download(source, f"{folder}/{name}"):
                Path(folder, name).unlink(missing_ok=True)

        folders = {str(above) for name in entry.meta["files"] for above in PurePosixPath(name).parents}
        if folders & entry.meta["files"].keys():
            damage: str | None = "a file and a folder have one name"
        else:
            _each(fetch, entry)
            damage = missing(folder, entry.meta) or altered(folder, entry.meta, thorough=True)
        if damage is not None:
            self._set_aside(entry, damage)
        return damage is None

    def _set_aside(self, entry: Entry, why: str) -> None:
        """Mark an entry as damaged, for everybody; what there is of it lies there until it is swept."""
        self.copies.discard(entry.key)
        read, now = self._there(entry.key)
        if read is None or now is None or not now.is_same(entry):
            return  # another machine has replaced or evicted it meanwhile: it was not damaged
        damaged = f"the cache entry {self.location(entry.key)} is damaged ({why})"
        mark = {"version": SET_ASIDE, "why": why, "was": now.meta}
        try:
            done = self.objects.replace(_path(entry.key, META), seal(mark), read.version)
        except StoreError as error:
            warning(f"{damaged} and cannot be set aside: {error.message}")
            return
        if done is not None:
            warning(f"{damaged}: set aside, computed again")

    def check_records(self) -> list[str]:
        """Of what is at the URL; what is damaged there goes, but for what is another version's."""
        own = re.compile(rf"[0-9a-f]{{2}}/(?P<key>[0-9a-f]+)(?P<kind>/{META}|{re.escape(INDEX)})")
        found = {name: match for name in self.objects.names() if (match := own.fullmatch(name))}
        damaged = []
        for name, data in sorted(self.objects.read_all(found).items()):
            try:
                parse_index(data) if found[name]["kind"] == INDEX else parse_meta(data, found[name]["key"])
            except ValueError as error:
                damaged.append(f"{self.objects.shown}/{name}")
                warning(f"{damaged[-1]} is damaged ({error}): deleted, computed again")
                self.objects.delete([name])
        return damaged

    # -- writing

    @contextlib.contextmanager
    def claim(self, key: str, what: str) -> Iterator[None]:
        """Hold the key on this machine, and then among all machines where the server of the bucket helps."""
        with self.copies.lock(key, f"{what}: another process is computing it, waiting") as was_left:
            if not self.objects.excludes:
                self._say_that_claims_are_local()
                yield
                return
            name = f"claims/{key}.json"
            with claimed(self.objects, name, what, folder=self.copies.url, left_here=was_left):
                yield

    def _say_that_claims_are_local(self) -> None:
        if not self.url.startswith(("file:", "local:", "memory:")):
            what = "a key is claimed on this machine only: two machines at once may compute a node twice"
            why = "a bucket that heeds If-None-Match and If-Match would do better"
            warning(f"{self.objects.shown}: {what}; {why}", once=True)

    def commit(self, key: str, value: Any, meta: dict[str, Any], *, keep_value: bool = True) -> Entry:
        """Write the entry at the URL; the copy is there once that is done."""
        with self.copies.filling(key, meta.get("base_key", key)) as folder:
            written = write_entry(folder, key, value, meta, keep_value=keep_value)
            entry = self._publish(written, folder)
            is_own = entry.meta["created"] == written.meta["created"]
            if not is_own:
                shutil.rmtree(folder)
                os.mkdir(folder)
            Path(folder, META).write_bytes(seal(entry.meta if is_own else {**entry.meta, ELSEWHERE: True}))
        return entry

    def _publish(self, written: Entry, folder: str) -> Entry:
        """Upload an entry, and make it the key's; gives the one by which another was faster, if one was.

        That may be where this process lost its claim. While an upload is on its way nobody reads it; the change of
        ``meta.json`` is what makes it exist, for all at once.
        """
        name = _path(written.key, META)
        for _ in range(MOST_TURNS):
            before, old = self.objects.read(name), self.objects.names(_path(written.key))
            entry = self._upload(written, folder)
            data = seal(entry.meta)
            if before is None:
                done = self.objects.create(name, data)
            else:
                done = self.objects.replace(name, data, before.version)
            read, now = (None, None) if done is not None else self._there(written.key)
            if done is not None or (read is not None and read.data == data):  # the answer may be lost on the way
                # Of an earlier entry, and of uploads that were killed; not what others have sent since.
                self.objects.delete(set(old) - {name})
                return entry
            self.objects.delete(_payload(entry).values())
            if now is not None and (now.has_value or now.is_receipt):
                return now
        where = self.location(written.key)
        raise StoreError("an entry cannot be put in its place: others keep writing it", where=where)

    def _upload(self, written: Entry, folder: str) -> Entry:
        """Send the payload, under a name that nobody else uses."""
        if not written.meta["files"]:
            return written
        entry = Entry(written.key, {**written.meta, UPLOAD: uuid.uuid4().hex})
        payload = _payload(entry)
        try:
            _each(lambda name, target: self.objects.upload(f"{folder}/{name}", target), entry)
        except BaseException:
            with contextlib.suppress(StoreError):
                self.objects.delete(payload.values())
            raise
        return entry

    # -- making room

    def evict(self, entry: Entry) -> None:
        """Delete the payload at the URL, and the copy of it on this machine."""
        read, now = self._there(entry.key)
        if read is not None and now is not None and now.is_same(entry):
            evicted = seal({**now.meta, "evicted": True})
            if self.objects.replace(_path(entry.key, META), evicted, read.version) is not None:
                self.objects.delete(_payload(now).values())
        self.copies.discard(entry.key)

    def sweep(self, *, dry_run: bool = False, older_than: float = LEFTOVER_AGE) -> int:
        """Delete at the URL what belongs to no entry, and what is left among the copies."""
        names = self.objects.names()
        left = self._leftovers(names)
        left |= {name: [name] for name in names if name.startswith(("claims/", "clock/", WRITING))}
        now = self.objects.now() if left else 0.0
        old = [group for group in left.values() if self._age(group, now) > older_than]
        if not dry_run:
            self.objects.delete([name for group in old for name in group])
        return len(old) + self.copies.sweep(dry_run=dry_run, older_than=older_than)

    def _leftovers(self, names: list[str]) -> dict[str, list[str]]:
        """{what: its objects} of killed and replaced uploads, and of damaged entries."""
        found = [match for name in names if (match := re.fullmatch(r"([0-9a-f]{2}/([0-9a-f]+))/(.+)", name))]
        metas = self.objects.read_all(match[0] for match in found if match[3] == META)
        used: dict[str, set[str]] = {}
        for name, data in metas.items():
            entry = self._parse(name.split("/")[1], data)
            if entry is not None:
                used[_path(entry.key)] = {name, *(_payload(entry).values() if entry.has_value else ())}
        groups: dict[str, list[str]] = {}
        for match in found:
            name, folder, inner = match[0], match[1], match[3]
            if folder in used:
                if name not in used[folder]:
                    groups.setdefault(f"{folder}/{inner.partition('/')[0]}", []).append(name)
            elif _is_set_aside(metas.get(f"{folder}/{META}")):  # otherwise another version's, which knows what it is
                groups.setdefault(folder, []).append(name)
        return groups

    def _age(self, names: list[str], now: float) -> float:
        """Seconds since the last of them was written; nothing where one has gone: somebody is at it."""
        times = [self.objects.modified(name) for name in names]
        return min((0.0 if time is None else now - time for time in times), default=0.0)

    # -- what a node read on the way

    def read_index(self, base_key: str) -> tuple[list[ReadSet], KnownFiles]:
        """The read sets known here and there; digests of files are this machine's own."""
        sets, known = self.copies.read_index(base_key)
        return _merged(sets, self._index_there(base_key)[1]), known

    def _index_there(self, base_key: str) -> tuple[Read | None, list[ReadSet]]:
        """The index at the URL as it was read, and its sets; none where it is damaged."""
        name = f"{_path(base_key)}{INDEX}"
        read = self.objects.read(name)
        try:
            return read, parse_index(read.data)[0] if read else []
        except ValueError as error:  # it only costs a run
            warning(
                f"{self.objects.shown}/{name} is damaged ({error}): not used, and replaced by the next run", once=True
            )
            return read, []

    def write_read_index(self, base_key: str, sets: list[ReadSet], known: KnownFiles) -> None:
        """Replace the index here, and add its sets to those there."""
        self.copies.write_read_index(base_key, sets, known)
        name = f"{_path(base_key)}{INDEX}"
        for _ in range(MOST_TURNS):  # another may add to it at the same time
            read, there = self._index_there(base_key)
            merged = _merged(sets, there)
            if len(merged) == len(there):
                return
            data = seal({"sets": merged, "files": {}})
            done = self.objects.replace(name, data, read.version) if read else self.objects.create(name, data)
            if done is not None:
                return
        raise StoreError("what a node has read cannot be noted: others keep writing it", where=self.location(base_key))

    # -- the journal

    def record_key(self, node: str, key: str) -> None:
        self.copies.record_key(node, key)

    def last_keys(self) -> dict[str, str]:
        return self.copies.last_keys()

    # -- files beside the entries

    def keep_blob(self, name: str, path: Path) -> None:
        """Upload it; a copy stays here."""
        self.copies.keep_blob(name, path)
        self.objects.upload(str(path), name)

    def blob(self, name: str) -> Path | None:
        """The copy here, or what is at the URL."""
        check_blob_name(name)
        found = self.copies.blob(name)
        if found is None:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "blob")
                if self.objects.download(name, str(path)):
                    self.copies.keep_blob(name, path)
        return found or self.copies.blob(name)

    def drop_blob(self, name: str) -> None:
        self.copies.drop_blob(name)
        self.objects.delete([name])


def _path(key: str, name: str = "") -> str:
    return f"{key[:2]}/{key}/{name}" if name else f"{key[:2]}/{key}"


def _payload(entry: Entry) -> dict[str, str]:
    """{file of an entry: its object}."""
    upload = entry.meta.get(UPLOAD)
    return {name: _path(entry.key, f"{upload}/{name}" if upload else name) for name in entry.meta["files"]}


def _each(send: Callable[[str, str], None], entry: Entry) -> None:
    """Send or fetch each file of an entry: the small ones at once, the large ones in turn, each in many pieces."""
    payload = _payload(entry)
    small = {name: target for name, target in payload.items() if entry.meta["files"][name][0] < PIECE}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(send, small.keys(), small.values()):
            pass
    for name, target in payload.items():
        if name not in small:
            send(name, target)


def _fetch_lock(key: str) -> str:
    return f"{key}-fetch"


def _merged(sets: list[ReadSet], others: list[ReadSet]) -> list[ReadSet]:
    return sets + [names for names in others if names not in sets]


def _is_set_aside(meta: bytes | None) -> bool:
    """Whether a folder is no entry any more, or never became one."""
    try:
        return meta is None or unseal(meta)[0].get("version") == SET_ASIDE
    except ValueError:
        return False
