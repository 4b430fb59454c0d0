"""What every store does: in a folder, in a bucket of a real S3 server, and at URLs that fsspec knows.

A new store is one more name in STORES. What is damaged is damaged behind the store's back, through fsspec, where its
files lie.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import numpy as np
import pandas as pd
import pytest
from datasets import Dataset, DatasetDict

from runway.errors import StoreError
from runway.pipeline.store import open_store
from runway.pipeline.store.base import DamagedEntry, Entry, Store, Unsaveable
from runway.pipeline.store.payload import write_entry

if TYPE_CHECKING:
    from collections.abc import Iterator

STORES = ["folder", "file", "memory", "s3"]
KEY = "ab" * 16
OTHER = "cd" * 16
PARTS: dict[str, Any] = {"transform": "T", "code": {}, "arguments": {}, "inputs": [], "list": False, "versions": {}}
META = {"node": "input:A", "parts": PARTS, "seconds": 0.5, "reads": None, "base_key": "ef" * 16}
BIG = "x" * 100_000
"""Too long for ``meta.json``: it gets a file of its own."""


class Place:
    """Where a store keeps its entries.

    Attributes:
        url: what ``open_store`` takes.
    """

    def __init__(self, kind: str, folder: Path, bucket: str = "") -> None:
        self.folder = folder
        self.is_local = kind == "folder"
        at = {
            "folder": f"{folder}/shared",
            "file": f"file://{folder}/shared",
            "memory": f"memory://{uuid.uuid4().hex}",
            "s3": f"s3://{bucket}/some/prefix",
        }
        self.url = at[kind]
        if kind == "s3":
            from obstore.fsspec import FsspecStore

            self.files, self.root = FsspecStore("s3"), self.url.removeprefix("s3://")
        else:
            self.files, self.root = fsspec.core.url_to_fs(self.url)

    def open(self, machine: str = "one", **options: Any) -> Store:
        """The store, as a machine sees it: each has another project, and copies of its own."""
        return open_store(self.url, project=self.folder / machine, **options)

    def path(self, key: str, name: str = "meta.json") -> str:
        """Where a file of an entry lies."""
        folder = f"{self.root}/{key[:2]}/{key}"
        upload = "" if name == "meta.json" else self.meta(key).get("upload", "")
        return "/".join(filter(None, [folder, upload, name]))

    def names(self) -> list[str]:
        """All files but locks, the journal and the tag of caches; without the names of uploads."""
        found = [path.removeprefix(self.root).lstrip("/") for path in self.files.find(self.root)]
        kept = [name for name in found if not name.startswith(("locks/", "journal", "CACHEDIR.TAG"))]
        return sorted(re.sub(r"^(../[0-9a-f]{32}/)[0-9a-f]{32}/", r"\1", name) for name in kept)

    def is_set_aside(self, key: str) -> bool:
        """Whether an entry that was there is there for nobody any more."""
        if self.is_local:
            return f"{key[:2]}/{key}/meta.json" not in self.names()
        return self.meta(key)["version"] == 0

    def locks(self) -> list[Path]:
        """The locks' files of all machines."""
        return sorted(self.folder.rglob("*.lock"))

    def meta(self, key: str) -> dict[str, Any]:
        """What the entry's ``meta.json`` says where it lies."""
        return json.loads(self.files.cat_file(self.path(key)))

    def put_meta(self, key: str, meta: dict[str, Any]) -> None:
        """Write a ``meta.json`` as somebody else would: without a seal, as the first runway did."""
        meta = {name: value for name, value in meta.items() if name != "seal"}
        self.files.makedirs(f"{self.root}/{key[:2]}/{key}", exist_ok=True)
        self.files.pipe_file(self.path(key), json.dumps(meta).encode())


@pytest.fixture(params=STORES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An empty place."""
    bucket = request.getfixturevalue("bucket") if request.param == "s3" else ""
    place = Place(request.param, tmp_path, bucket)
    yield place
    if request.param == "memory" and place.files.exists(place.root):
        place.files.rm(place.root, recursive=True)


def found(store: Store, key: str = KEY) -> Entry:
    """The entry, which has to be there."""
    entry = store.find(key)
    assert entry is not None
    return entry


VALUES: dict[str, Any] = {
    "nothing": None,
    "small": {"a": [1, 2.5, "ü"]},
    "text": BIG,
    "lone surrogate": "\ud800" * 2000,
    "array": np.arange(600_000),  # more than the size under which digests are compared at each load
    "pickle": {1, 2},
    "frame": pd.DataFrame({"a": [1, 2]}),
    "files in folders": DatasetDict({"train": Dataset.from_dict({"x": [1, 2]}), "a/b": Dataset.from_dict({"x": [3]})}),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_comes_back(place: Place, name: str) -> None:
    value = VALUES[name]
    store = place.open(allow_pickle=True)
    assert store.find(KEY) is None
    assert store.entries() == []
    written = store.commit(KEY, value, dict(META))
    for machine in ("one", "two"):  # the one that wrote it, and one that sees the place only
        other = place.open(machine, allow_pickle=True)
        entry = found(other)
        assert entry.content == written.content
        assert entry.meta.items() >= {**META, "version": 1, "key": KEY}.items()
        assert (entry.has_value, entry.is_receipt, entry.bytes) == (True, False, written.bytes)
        assert other.is_whole(entry)
        for _ in range(2):
            loaded = other.load(entry)
            assert repr(loaded) == repr(value)
            if name == "files in folders":
                assert loaded["a/b"]["x"] == [3]
        assert other.verify(entry)
    # another value has another content, the same one the same
    assert store.commit(OTHER, value, dict(META)).content == written.content
    assert store.commit(OTHER, "else", dict(META)).content != written.content


def test_the_layout(place: Place) -> None:
    """Entries of one version of runway are found by the next."""
    place.open().commit(KEY, BIG, dict(META))
    assert place.names() == [f"ab/{KEY}/meta.json", f"ab/{KEY}/value.txt"]
    meta = place.meta(KEY)
    upload = [] if place.is_local else ["upload"]
    assert list(meta) == ["version", "key", "format", "content", "files", "created", *META, *upload, "seal"]
    size, _, digest = meta["files"]["value.txt"]
    assert (meta["version"], meta["format"], size, len(digest)) == (1, "text", 100_000, 32)
    place.open().commit(OTHER, [1], dict(META))
    assert place.names()[2:] == [f"cd/{OTHER}/meta.json"]  # a small value needs no file of its own
    assert place.meta(OTHER)["value"] == "[1]"


def test_receipts(place: Place) -> None:
    receipt = place.open().commit(KEY, BIG, dict(META), keep_value=False)
    for machine in ("one", "two"):
        entry = found(place.open(machine))
        assert (entry.is_receipt, entry.has_value, entry.bytes) == (True, False, 0)
        assert entry.content == receipt.content == KEY
    assert place.names() == [f"ab/{KEY}/meta.json"]


def test_a_forced_run_replaces_an_entry(place: Place) -> None:
    store = place.open()
    store.commit(KEY, DatasetDict({"train": Dataset.from_dict({"x": [1]})}), dict(META))
    store.commit(KEY, BIG, dict(META))
    assert store.load(found(store)) == BIG
    assert place.names() == [f"ab/{KEY}/meta.json", f"ab/{KEY}/value.txt"]  # nothing is left of the old one
    second = place.open("two")
    stale = found(second)
    store.commit(KEY, "y" * 5000, dict(META))
    # who has looked before, and not taken it yet, is told that it has gone, and finds the new one
    with pytest.raises(DamagedEntry) as caught:
        second.load(stale)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # a worker can send it home
    assert second.load(found(second)) == "y" * 5000


def test_another_version_is_not_there(place: Place) -> None:
    place.put_meta(KEY, {"version": 2, "files": "of another form"})
    store = place.open()
    assert store.find(KEY) is None
    assert store.entries() == []
    assert place.meta(KEY)["version"] == 2  # nor is it touched: it is another runway's
    store.commit(KEY, BIG, dict(META))
    assert store.load(found(place.open("two"))) == BIG


def test_a_claim_excludes(place: Place) -> None:
    one, two = place.open(), place.open()
    order = []

    def compute() -> None:
        with two.claim(KEY, "input:A"):
            order.append(("second", found(two).content if two.find(KEY) else None))

    with one.claim(KEY, "input:A"):
        other = threading.Thread(target=compute)
        other.start()
        with one.claim(OTHER, "input:B"):  # another key is free
            pass
        other.join(0.2)
        assert other.is_alive()
        content = one.commit(KEY, BIG, dict(META)).content
    other.join(30)
    assert order == [("second", content)]


def test_of_those_that_start_together_one_computes(place: Place) -> None:
    start, computed = threading.Barrier(8), []

    def compute() -> None:
        store = place.open()
        start.wait(60)
        for index in range(20):
            key = f"{index:032x}"
            with store.claim(key, "input:A"):
                if store.find(key) is None:
                    computed.append(index)
                    store.commit(key, index, dict(META))

    others = [threading.Thread(target=compute) for _ in range(8)]
    for other in others:
        other.start()
    for other in others:
        other.join(60)
    assert computed == list(range(20))


def test_never_two_claim_one_key_at_once(place: Place) -> None:
    """However often its lock's file comes and goes, or the object in a bucket; there also on two machines."""
    in_bucket = place.url.startswith("s3:")
    rounds = 10 if in_bucket else 200
    start, inside, most, claims = threading.Barrier(8), [0], [0], [0]

    def claim_often(index: int) -> None:
        store = place.open("two" if in_bucket and index % 2 else "one")
        start.wait(60)
        for _ in range(rounds):
            with store.claim(KEY, "input:A"):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                claims[0] += 1
                time.sleep(0)
                inside[0] -= 1

    others = [threading.Thread(target=claim_often, args=[index]) for index in range(8)]
    for other in others:
        other.start()
    for other in others:
        other.join(60)
    assert (most, claims) == ([1], [8 * rounds])
    assert place.locks() == []


def test_a_lock_goes_with_its_holder(place: Place) -> None:
    store = place.open()
    with store.claim(KEY, "input:A"):
        assert [path.name for path in place.locks()] == [f"{KEY}.lock"]
        store.commit(KEY, BIG, dict(META))
    assert place.locks() == []
    second = place.open("two")
    assert second.load(found(second)) == BIG
    assert place.locks() == []  # nor does fetching leave one


CLAIM_AND_DIE = """
PARTS = {"transform": "T", "code": {}, "arguments": {}, "inputs": [], "list": False, "versions": {}}
import os, sys
from pathlib import Path
from runway.pipeline.store import open_store

class Killed:
    def save_to_dir(self, directory):
        directory.mkdir()
        (directory / "half").write_text("half")
        os.kill(os.getpid(), 9)

    @classmethod
    def load_from_dir(cls, directory):
        raise AssertionError

url, project, base_key, key = sys.argv[1:]
store = open_store(url, project=Path(project))
with store.claim(base_key, "input:A"):
    store.commit(key, Killed(), {"node": "input:A", "parts": PARTS, "seconds": 0, "base_key": base_key})
"""


@pytest.mark.parametrize("key", [KEY, OTHER], ids=["", "it had read something"])
def test_what_a_killed_holder_left_goes_with_the_next_claim(place: Place, key: str) -> None:
    """Also where the entry's key, which holds what the node has read, is not the one that was claimed."""
    command = [sys.executable, "-c", CLAIM_AND_DIE, place.url, str(place.folder / "one"), KEY, key]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert len(place.locks()) == len(list(place.folder.rglob(".*tmp*"))) == 1
    store = place.open()
    with store.claim("12" * 16, "input:B"):  # another's concerns nobody
        assert len(list(place.folder.rglob(".*tmp*"))) == 1
    with store.claim(KEY, "input:A"):
        assert not list(place.folder.rglob(".*tmp*"))
        assert store.find(key) is None
    assert place.locks() == []


def test_what_a_killed_note_of_reads_left_goes(place: Place) -> None:
    """With the next note, which a look-up writes without a lock, and with the claim after that of a killed holder."""
    store = place.open()
    store.write_read_index(KEY, [], {})
    local = getattr(store, "copies", store)
    left = Path(f"{Path(local.location(KEY)).parent}/.{KEY}.reads.json.tmp-1-1")
    left.write_text("half")
    store.write_read_index(OTHER, [], {})
    assert left.exists()
    store.write_read_index(KEY, [], {})
    assert not left.exists()
    left.write_text("half")
    command = [sys.executable, "-c", CLAIM_AND_DIE, place.url, str(place.folder / "one"), KEY, KEY]
    assert subprocess.run(command, check=False, timeout=60).returncode == -signal.SIGKILL
    with store.claim(KEY, "input:A"):
        assert not left.exists()


def test_what_is_being_fetched_is_not_half_written(place: Place) -> None:
    """A claim of the same key, whose last holder was killed, does not delete it."""
    place.open().commit(KEY, BIG, dict(META))
    second = place.open("two")
    local = getattr(second, "copies", second)
    entry = found(second)
    lock = Path(local.url) / "locks" / f"{KEY}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    with local.filling(KEY, f"{KEY}-fetch") as folder:
        with second.claim(KEY, "input:A"):
            assert Path(folder).is_dir()
        assert write_entry(folder, KEY, BIG, dict(META), keep_value=True).content == entry.content
    assert place.locks() == []


def test_several_processes_load_one_entry_at_once(place: Place) -> None:
    keys = [f"{index:032x}" for index in range(20)]
    for key in keys:
        place.open().commit(key, BIG, dict(META))
    start, loaded = threading.Barrier(8), []

    def load() -> None:
        store = place.open("two")
        for key in keys:
            start.wait(10)
            loaded.append(store.load(found(store, key)) == BIG)

    others = [threading.Thread(target=load) for _ in range(8)]
    for other in others:
        other.start()
    for other in others:
        other.join(60)
    assert loaded == [True] * 160


def test_an_error_lets_a_claim_go(place: Place) -> None:
    with pytest.raises(ZeroDivisionError), place.open().claim(KEY, "input:A"):
        raise ZeroDivisionError
    with place.open().claim(KEY, "input:A"):
        pass


class Breaks:
    """Writes a part, and fails."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def save_to_dir(self, directory: Path) -> None:
        directory.mkdir()
        (directory / "half").write_text("half")
        raise self.error

    @classmethod
    def load_from_dir(cls, directory: Path) -> Any:
        raise AssertionError("it was never whole")


@pytest.mark.parametrize(
    ("error", "expected"), [(ValueError("no"), Unsaveable), (KeyboardInterrupt(), KeyboardInterrupt)]
)
def test_a_commit_that_fails_leaves_what_was_there(place: Place, error: BaseException, expected: type) -> None:
    store = place.open()
    for before in ([], [f"ab/{KEY}/meta.json", f"ab/{KEY}/value.txt"]):
        with pytest.raises(expected):
            store.commit(KEY, Breaks(error), dict(META))
        assert place.names() == before
        assert not list(place.folder.rglob(".*tmp*"))
        if not before:
            assert store.find(KEY) is None
            store.commit(KEY, BIG, dict(META))
    assert store.load(found(store)) == BIG


def truncate(place: Place, path: str) -> None:
    place.files.pipe_file(path, b"x" * 1000)


def alter(place: Place, path: str) -> None:
    place.files.pipe_file(path, b"y" * 100_000)


def lose(place: Place, path: str) -> None:
    place.files.rm_file(path)


DAMAGES = [truncate, alter, lose]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("looked_before", [False, True], ids=["", "looked before"])
def test_a_damaged_payload_is_not_served(
    place: Place, damage: Callable[[Place, str], None], looked_before: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    place.open().commit(KEY, BIG, dict(META))
    store = place.open("two")
    entry = found(store) if looked_before else None
    damage(place, place.path(KEY, "value.txt"))
    entry = entry or found(store)
    with pytest.raises(DamagedEntry):
        store.load(entry)
    assert "damaged" in capsys.readouterr().err
    assert store.find(KEY) is None
    assert place.is_set_aside(KEY)
    assert place.open("three").find(KEY) is None
    store.commit(KEY, BIG, dict(META))
    assert store.load(found(store)) == place.open("three").load(found(place.open("three"))) == BIG


def test_damage_in_a_small_value(place: Place) -> None:
    place.open().commit(KEY, [1, 2], dict(META))
    place.put_meta(KEY, {**place.meta(KEY), "value": "[1, 3]"})
    store = place.open("two")
    with pytest.raises(DamagedEntry):
        store.load(found(store))
    assert store.find(KEY) is None


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_verify_finds_damage(place: Place, damage: Callable[[Place, str], None]) -> None:
    store = place.open()
    store.commit(KEY, BIG, dict(META))
    store.commit(OTHER, [1], dict(META))
    assert [store.verify(entry) for entry in store.entries()] == [True, True]
    damage(place, place.path(KEY, "value.txt"))
    assert [store.verify(entry) for entry in store.entries()] == [False, True]
    assert [entry.key for entry in store.entries()] == [OTHER]
    assert store.find(KEY) is None


def test_a_damaged_copy_is_not_served(place: Place) -> None:
    """On a machine that has read it before; in a folder the copy is the thing itself."""
    store = place.open()
    store.commit(KEY, BIG, dict(META))
    own = [path for path in place.folder.rglob("value.txt") if place.is_local or "one" in path.parts]
    [path] = own
    path.write_text("y" * 100_000)
    with pytest.raises(DamagedEntry):
        store.load(found(store))
    assert (store.find(KEY) is None) == place.is_local
    if not place.is_local:  # it is fetched again
        assert store.load(found(store)) == BIG


@pytest.mark.parametrize("torn", [b"", b'{"version": 1, "key', b"\xff\xfe\x00", b"[]", b'{"version": 1}'])
def test_a_torn_meta_is_not_there(place: Place, torn: bytes) -> None:
    store = place.open()
    store.commit(KEY, BIG, dict(META))
    place.files.pipe_file(place.path(KEY), torn)
    other = place.open("two")
    assert other.find(KEY) is None
    assert other.entries() == []
    other.commit(KEY, BIG, dict(META))
    assert other.load(found(place.open("three"))) == BIG


def test_another_key_s_entry_is_not_served(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Whole, but copied to a place that is not its own."""
    store = place.open()
    store.commit(OTHER, BIG, dict(META))
    for name in ("meta.json", "value.txt"):
        data = place.files.cat_file(place.path(OTHER, name))
        if name == "meta.json":
            place.put_meta(KEY, json.loads(data))
        place.files.makedirs(os.path.dirname(place.path(KEY, name)), exist_ok=True)
        place.files.pipe_file(place.path(KEY, name), data)
    other = place.open("two")
    assert other.find(KEY) is None
    assert f"it is the entry of '{OTHER}'" in capsys.readouterr().err
    assert [entry.key for entry in other.entries()] == [OTHER]


HOSTILE = [
    "../../../escaped",
    "/tmp/escaped",
    "..\\..\\escaped",
    "C:\\escaped",
    "C:escaped",
    "a/../../b",
    "",
    ".",
    "a\0b",
]
FOREIGN = [{"files": [1]}, {"files": {"value.txt": 7}}, {"files": {"value.txt": ["1", 2, "x"]}}, {"files": None}]


@pytest.mark.parametrize(
    "change", [*({"files": {name: [3, 0, "0" * 32]}} for name in HOSTILE), *FOREIGN], ids=lambda change: repr(change)
)
def test_a_hostile_meta_touches_nothing(
    place: Place, change: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Names are looked at before anything is read or written by them."""
    place.open().commit(KEY, BIG, dict(META))
    place.put_meta(KEY, {**place.meta(KEY), **change})
    before = sorted(path for path in place.folder.rglob("*") if path.is_file() and KEY not in path.parts)
    store = place.open("two")
    assert store.find(KEY) is None
    assert store.entries() == []
    assert "damaged" in capsys.readouterr().err
    after = sorted(path for path in place.folder.rglob("*") if path.is_file() and KEY not in str(path))
    assert after == before
    store.commit(KEY, BIG, dict(META))
    assert store.load(found(store)) == BIG


def test_a_file_that_others_could_not_take_is_not_committed(place: Place) -> None:
    class Odd:
        def save_to_dir(self, directory: Path) -> None:
            directory.mkdir()
            (directory / "..\\up").write_text("x")

        @classmethod
        def load_from_dir(cls, directory: Path) -> Odd:
            return cls()

    with pytest.raises(Unsaveable, match="not every system"):
        place.open().commit(KEY, Odd(), dict(META))
    assert place.names() == []


def test_a_name_that_is_a_file_and_a_folder(place: Place) -> None:
    place.open().commit(KEY, BIG, dict(META))
    facts = place.meta(KEY)["files"]["value.txt"]
    place.put_meta(KEY, {**place.meta(KEY), "files": {"value.txt": facts, "value.txt/b": facts}})
    store = place.open("two")
    with pytest.raises(DamagedEntry):
        store.load(found(store))


def test_pickles_need_trust(place: Place) -> None:
    trusting, careful = place.open(allow_pickle=True), place.open("two", allow_pickle=False)
    trusting.commit(KEY, {1, 2}, dict(META))
    with pytest.raises(StoreError, match="can run code"):
        careful.load(found(careful))
    assert trusting.load(found(trusting)) == {1, 2}
    if place.is_local:
        assert place.open().load(found(trusting)) == {1, 2}
    else:  # others write there too
        with pytest.raises(StoreError, match="allow_pickle"):
            place.open().load(found(trusting))


def test_eviction_keeps_the_record(place: Place) -> None:
    store = place.open()
    before = store.commit(KEY, DatasetDict({"train": Dataset.from_dict({"x": [1]})}), dict(META))
    store.commit(OTHER, BIG, dict(META))
    early = place.open("early")
    seen = found(early)
    store.evict(found(store))
    assert [name for name in place.names() if name.startswith("ab")] == [f"ab/{KEY}/meta.json"]
    for other in (store, place.open("two")):
        entry = found(other)
        assert (entry.content, entry.has_value, entry.bytes) == (before.content, False, before.bytes)
        assert other.load(found(other, OTHER)) == BIG
    assert not list(place.folder.rglob("rows.arrow"))  # nor is there a copy on this machine
    with pytest.raises(DamagedEntry):
        early.load(seen)
    if not place.is_local:  # where it was looked at before, the next look sees that it has gone
        assert not found(early).has_value
    store.commit(KEY, BIG, dict(META))
    assert place.open("two").load(found(place.open("two"))) == BIG


def test_entries(place: Place) -> None:
    store = place.open()
    keys = [f"{n:02x}" * 16 for n in (7, 200, 3)]
    for key in keys:
        store.commit(key, key * 1000, dict(META))
    store.commit(OTHER, None, dict(META), keep_value=False)
    store.write_read_index(KEY, [READS], {})
    store.record_key("input:A", KEY)
    other = place.open("two")
    assert [entry.key for entry in other.entries()] == sorted([*keys, OTHER])
    assert other.load(other.entries()[0]) == other.entries()[0].key * 1000
    assert all(other.location(key).endswith(f"{key[:2]}/{key}") for key in keys)


def test_sweeping(place: Place) -> None:
    store = place.open()
    store.commit(KEY, BIG, dict(META))
    store.commit(OTHER, BIG, dict(META))
    lose(place, place.path(OTHER, "value.txt"))
    assert not store.verify(found(store, OTHER))
    before = place.names()
    assert store.sweep() == 0  # of today: somebody may look at it, or be writing it
    time.sleep(0.01)
    count = store.sweep(dry_run=True, older_than=-1)  # some servers tell whole seconds
    assert (count, place.names()) == (len(before) - 2 if place.is_local else 1, before)
    assert store.sweep(older_than=-1) == count
    assert place.names() == [f"ab/{KEY}/meta.json", f"ab/{KEY}/value.txt"]
    assert store.load(found(store)) == BIG


def test_sweeping_locks(place: Place) -> None:
    """Earlier versions left one a key; one that is held stays, however old."""
    store = place.open()
    with store.claim(KEY, "input:A"):
        [held] = place.locks()
        for name in (f"{OTHER}.lock", f"fetch-{OTHER}.lock", "new.lock"):
            (held.parent / name).touch()
        for path in place.locks():
            if path.name != "new.lock":
                os.utime(path, (0, 0))
        assert place.open().sweep() == 2
        assert [path.name for path in place.locks()] == [held.name, "new.lock"]
        assert place.open().sweep(dry_run=True, older_than=-1) >= 1
        assert [path.name for path in place.locks()] == [held.name, "new.lock"]
    assert [path.name for path in place.locks()] == ["new.lock"]


def test_what_a_killed_upload_left_is_no_entry(place: Place) -> None:
    """The payload is there, ``meta.json`` is not."""
    place.files.makedirs(f"{place.root}/ab/{KEY}/{OTHER}", exist_ok=True)
    place.files.pipe_file(f"{place.root}/ab/{KEY}/{OTHER}/old.txt", b"half")
    store = place.open()
    assert store.find(KEY) is None
    assert store.entries() == []
    store.commit(KEY, BIG, dict(META))
    assert place.names() == [f"ab/{KEY}/meta.json", f"ab/{KEY}/value.txt"]


READS = {"config": [["value", ["train", "batch_size"]]], "files": [["file", "data.txt"]], "flags": []}
MORE = {"config": [], "files": [], "flags": ["use_dummy_data"]}


def test_read_index(place: Place) -> None:
    store = place.open()
    assert store.read_index(KEY) == ([], {})
    known: dict[str, Any] = {"data.txt": [1, 2, 3, 4, 5, "digest"]}
    store.write_read_index(KEY, [READS], known)
    assert store.read_index(KEY) == ([READS], known)
    other = place.open("two")
    assert other.read_index(KEY)[0] == [READS]
    other.write_read_index(KEY, [MORE, READS], {})
    assert sorted(map(str, store.read_index(KEY)[0])) == sorted(map(str, [MORE, READS]))
    assert store.read_index(OTHER) == ([], {})
    for torn in (b"", b"{", b"[]", b"\xff\xfe"):
        place.files.pipe_file(f"{place.root}/ab/{KEY}.reads.json", torn)
        assert place.open("three").read_index(KEY) == ([], {})
    place.open("three").write_read_index(KEY, [MORE], {})
    assert place.open("four").read_index(KEY)[0] == [MORE]


def test_journal(place: Place) -> None:
    store = place.open()
    assert store.last_keys() == {}
    store.commit(KEY, 1, dict(META))
    for node, key in (("input:A", OTHER), ("output:B", OTHER), ("input:A", KEY)):
        store.record_key(node, key)
    last = {"input:A": KEY, "output:B": OTHER}
    assert store.last_keys() == place.open().last_keys() == last
    [journal] = place.folder.rglob("journal.jsonl")
    store.sweep()
    assert len(journal.read_text().splitlines()) == 2
    assert place.open().last_keys() == last
    with journal.open("a") as file:
        file.write("[]\n{torn")
    assert place.open().last_keys() == last


def test_it_is_opened_again_by_its_url(place: Place) -> None:
    store = place.open()
    store.commit(KEY, BIG, dict(META))
    again = open_store(store.url, project=place.folder / "elsewhere", allow_pickle=store.allow_pickle)
    assert (again.url, again.allow_pickle, type(again)) == (store.url, store.allow_pickle, type(store))
    assert again.load(found(again)) == BIG
    if place.url.startswith("memory"):  # which ends with the process
        return
    code = """
PARTS = {"transform": "T", "code": {}, "arguments": {}, "inputs": [], "list": False, "versions": {}}
import sys
from pathlib import Path
from runway.pipeline.store import open_store
store = open_store(sys.argv[1], project=Path(sys.argv[2]))
print(len(store.load(store.find(sys.argv[3]))))
with store.claim("ef" * 16, "input:C"):
    store.commit("ef" * 16, "z" * 5000, {"node": "input:C", "parts": PARTS, "seconds": 0})
"""
    command = [sys.executable, "-c", code, store.url, str(place.folder / "process"), KEY]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "100000\n"
    assert store.load(found(store, "ef" * 16)) == "z" * 5000


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_a_copy_saves_the_journey(kind: str, tmp_path: Path) -> None:
    place = Place(kind, tmp_path)
    place.open().commit(KEY, BIG, dict(META))
    store = place.open("two")
    assert store.load(found(store)) == BIG
    place.files.rm(place.root, recursive=True)
    for machine in ("one", "two"):
        other = place.open(machine)
        assert other.is_whole(found(other))
        assert other.load(found(other)) == BIG
    assert place.open("three").find(KEY) is None


def test_a_url_that_cannot_be_reached(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened") as caught:
        open_store("nosuch://bucket/x", project=tmp_path).find(KEY)
    assert "driver" in str(caught.value.hint)
    (tmp_path / "file").write_text("not a folder")
    store = open_store(f"file://{tmp_path}/file", project=tmp_path / "project")
    with pytest.raises(StoreError, match="cannot be reached"):
        store.commit(KEY, BIG, dict(META))
    assert not list((tmp_path / "project").rglob("value.txt"))  # what is not there, no copy says that it is


def test_files_beside_the_entries(place: Place, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"one")
    name = "snapshots/ab.tar"
    store = place.open()
    assert store.blob(name) is None
    store.keep_blob(name, tmp_path / "a.tar")
    for machine in ("one", "two", "two"):
        kept = place.open(machine).blob(name)
        assert kept is not None
        assert kept.read_bytes() == b"one"
    kept = store.blob(name)
    assert kept is not None
    store.keep_blob(name, kept)  # the kept file itself
    assert kept.read_bytes() == b"one"
    assert store.entries() == []
    store.drop_blob(name)
    store.drop_blob(name)
    assert place.open("three").blob(name) is None
    for wrong in ("../a/b", "ab/cd", "top", "/abs/olute", ".hidden/x"):
        with pytest.raises(StoreError):
            store.keep_blob(wrong, tmp_path / "a.tar")
