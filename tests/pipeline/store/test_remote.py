"""A store in a bucket: what several machines do to one entry at once, what kills leave, what old ones hold."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runway.errors import StoreError
from runway.pipeline.store import open_store
from runway.pipeline.store.base import DamagedEntry, Entry
from runway.pipeline.store.local import LocalStore
from runway.pipeline.store.remote import RemoteStore

if TYPE_CHECKING:
    from benchmarks.s3_server import S3Server

KEY = "ab" * 16
OTHER = "cd" * 16
PARTS: dict[str, Any] = {"transform": "T", "code": {}, "arguments": {}, "inputs": [], "list": False, "versions": {}}
META = {"node": "input:A", "parts": PARTS, "seconds": 0.5, "reads": None, "base_key": KEY}
BIG = "x" * 100_000
READS = [{"config": [["value", ["train", str(index)]]], "files": [], "flags": []} for index in range(8)]


class Machines:
    """Several machines that share a bucket: each has a project folder of its own."""

    def __init__(self, bucket: str, folder: Path, server: S3Server) -> None:
        self.url = f"s3://{bucket}/cache"
        self.folder = folder
        self.server = server
        self.bucket = bucket

    def open(self, machine: str = "one", url: str | None = None) -> RemoteStore:
        """The store, as a machine sees it."""
        store = open_store(url or self.url, project=self.folder / machine)
        assert isinstance(store, RemoteStore)
        return store

    def names(self) -> list[str]:
        """All objects."""
        return sorted(self.open().objects.names())

    def write(self, name: str, data: bytes) -> None:
        """Write an object as somebody else would."""
        objects = self.open().objects
        objects.delete([name])
        assert objects.create(name, data) is not None


@pytest.fixture
def machines(bucket: str, tmp_path: Path, s3_server: S3Server) -> Machines:
    """Machines that share an empty bucket."""
    return Machines(bucket, tmp_path, s3_server)


def found(store: RemoteStore, key: str = KEY) -> Entry:
    """The entry, which has to be there."""
    entry = store.find(key)
    assert entry is not None
    return entry


# -- several at once


def test_of_two_who_commit_the_first_one_counts(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a laptop slept over its claim: what it brings afterwards replaces nothing, and is taken away again."""
    late = machines.open("late")
    upload = late.objects.upload

    def upload_and_sleep(path: str, name: str) -> None:
        upload(path, name)
        machines.open("early").commit(KEY, "early" * 1000, dict(META))

    monkeypatch.setattr(late.objects, "upload", upload_and_sleep)
    entry = late.commit(KEY, "late" * 1000, dict(META))
    names = machines.names()
    assert len(names) == 2
    for machine in ("late", "early", "third"):
        store = machines.open(machine)
        assert found(store).content == entry.content
        assert store.load(found(store)) == "early" * 1000
        assert store.verify(found(store))


def test_an_answer_that_was_lost_makes_no_second_entry(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    store = machines.open()
    create = store.objects.create
    monkeypatch.setattr(store.objects, "create", lambda name, data: create(name, data) and None)
    entry = store.commit(KEY, BIG, dict(META))
    assert len(machines.names()) == 2
    assert found(machines.open("two")).is_same(entry)
    assert machines.open("two").load(entry) == store.load(entry) == BIG


def test_a_reader_never_sees_a_mix(machines: Machines) -> None:
    """While others replace the entry it is one of theirs, or told to have gone; never damaged."""
    stop = threading.Event()
    values = ["a" * 50_000, "b" * 60_000, "c" * 70_000]
    machines.open().commit(KEY, values[0], dict(META))

    def replace(index: int) -> None:
        store = machines.open(f"writer{index}")
        while not stop.is_set():
            with store.claim(KEY, "input:A"):
                store.commit(KEY, values[index], dict(META))

    writers = [threading.Thread(target=replace, args=[index]) for index in range(3)]
    for writer in writers:
        writer.start()
    seen = set()
    reader = machines.open("reader")
    for _ in range(30):
        entry = reader.find(KEY)
        assert entry is not None
        try:
            value = reader.load(entry)
        except DamagedEntry:
            continue
        assert value in values
        seen.add(value)
        reader.copies.discard(KEY)
    stop.set()
    for writer in writers:
        writer.join(60)
    assert seen
    assert not [name for name in machines.names() if name.startswith("claims/")]
    last = machines.open("last")
    assert last.verify(found(last))
    assert len(machines.names()) == 2


def test_no_machine_s_reads_are_lost(machines: Machines) -> None:
    start = threading.Barrier(len(READS))

    def note(index: int) -> None:
        store = machines.open(f"machine{index}")
        start.wait(60)
        store.write_read_index(KEY, [READS[index]], {})

    others = [threading.Thread(target=note, args=[index]) for index in range(len(READS))]
    for other in others:
        other.start()
    for other in others:
        other.join(60)
    assert sorted(map(str, machines.open("new").read_index(KEY)[0])) == sorted(map(str, READS))


def test_what_was_replaced_meanwhile_is_neither_evicted_nor_set_aside(machines: Machines) -> None:
    two = machines.open("two")
    machines.open().commit(KEY, BIG, dict(META))
    old = found(two)
    machines.open().commit(KEY, "y" * 5000, dict(META))
    two.evict(old)
    with pytest.raises(DamagedEntry):
        two.load(old)
    assert two.load(found(two)) == "y" * 5000


# -- kills

UPLOAD_AND_DIE = """
PARTS = {"transform": "T", "code": {}, "arguments": {}, "inputs": [], "list": False, "versions": {}}
import os, sys
from pathlib import Path
from runway.pipeline.store import open_store

url, project, key = sys.argv[1:]
store = open_store(url, project=Path(project))
upload = store.objects.upload

def die(path, name):
    upload(path, name)
    os.kill(os.getpid(), 9)

store.objects.upload = die
with store.claim(key, "input:A"):
    store.commit(key, "x" * 100_000, {"node": "input:A", "parts": PARTS, "seconds": 0, "base_key": key})
"""


def test_a_killed_upload_is_seen_by_nobody_and_blocks_for_its_claim_s_time(
    machines: Machines, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RUNWAY_CLAIM_SECONDS", "2")

    def kill_one() -> None:
        command = [sys.executable, "-c", UPLOAD_AND_DIE, machines.url, str(machines.folder / "dead"), KEY]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
        assert {name.partition("/")[0] for name in machines.names()} == {"ab", "claims"}
        for machine in ("dead", "alive"):
            store = machines.open(machine)
            assert store.find(KEY) is None
            assert store.entries() == []

    kill_one()
    start = time.monotonic()
    with machines.open("alive").claim(KEY, "input:A"):
        assert time.monotonic() - start < 2 + 3
        assert "computing it, waiting" in capsys.readouterr().err
    assert [name.partition("/")[0] for name in machines.names()] == ["ab"]
    kill_one()
    start = time.monotonic()
    store = machines.open("dead")  # on the same machine nobody waits
    with store.claim(KEY, "input:A"):
        assert time.monotonic() - start < 1.5
        assert "computing it, waiting" not in capsys.readouterr().err
        store.commit(KEY, BIG, dict(META))
    assert len(machines.names()) == 2  # what the killed ones left is gone
    assert machines.open("alive").load(found(machines.open("alive"))) == BIG


def test_sweeping_takes_what_killed_ones_left_and_nothing_else(machines: Machines) -> None:
    store = machines.open()
    store.commit(KEY, BIG, dict(META))
    store.write_read_index(KEY, READS[:1], {})
    (machines.folder / "a.tar").write_bytes(b"tar")
    store.keep_blob("snapshots/ab.tar", machines.folder / "a.tar")
    newer = json.dumps({"version": 7, "files": "as it likes"}).encode()
    machines.write("ef/" + "ef" * 16 + "/meta.json", newer)
    machines.write("ef/" + "ef" * 16 + "/payload", b"of a newer runway")
    kept = machines.names()
    machines.write(f"ab/{KEY}/{'1' * 32}/half", b"half")
    machines.write(f"cd/{OTHER}/{'2' * 32}/half", b"half")
    machines.write(f"cd/{OTHER}/{'2' * 32}/b/half", b"half")
    machines.write(f"claims/{OTHER}.json", b"{}")
    everything = machines.names()
    assert store.sweep() == 0
    assert store.sweep(dry_run=True, older_than=-1) == 3
    assert machines.names() == everything
    assert store.sweep(older_than=-1) == 3
    assert machines.names() == kept


# -- copies


def test_room_is_made_on_one_machine_alone(machines: Machines) -> None:
    """`runway cache gc` in the folder of copies: what is needed again is fetched again."""
    machines.open().commit(KEY, BIG, dict(META))
    two = machines.open("two")
    two.load(found(two))
    found_only = machines.open("three")
    found(found_only)
    for store in (two, found_only):
        copies = LocalStore(Path(store.copies.url))
        for entry in copies.entries():
            if entry.has_value:
                copies.evict(entry)
        assert not list(Path(store.copies.url).rglob("value.txt"))
        assert store.find(KEY) == machines.open().find(KEY)
        assert store.load(found(store)) == BIG
    assert len(machines.names()) == 2


def test_what_was_only_looked_up_takes_no_room_here(machines: Machines) -> None:
    machines.open().commit(KEY, BIG, dict(META))
    two = machines.open("two")
    found(two)
    copies = LocalStore(Path(two.copies.url))
    assert [entry.has_value for entry in copies.entries()] == [False]


def test_an_evicted_entry_is_served_where_a_copy_is(machines: Machines) -> None:
    one, two, three = (machines.open(name) for name in ("one", "two", "three"))
    one.commit(KEY, BIG, dict(META))
    assert two.load(found(two)) == BIG
    early = found(three)
    one.evict(found(one))
    assert two.load(found(two)) == BIG
    with pytest.raises(DamagedEntry):
        three.load(early)
    assert not found(three).has_value
    assert not found(one).has_value
    three.commit(KEY, BIG, dict(META))
    assert one.load(found(one)) == BIG


def test_a_second_look_asks_nobody(machines: Machines) -> None:
    machines.open().commit(KEY, BIG, dict(META))
    two = machines.open("two")
    two.load(found(two))
    asked = len(machines.server.requests)
    for store in (two, machines.open("two")):
        assert store.load(found(store)) == BIG
    assert len(machines.server.requests) == asked


# -- what is elsewhere, old, or secret


def test_an_entry_of_the_first_layout_is_read(machines: Machines) -> None:
    """Runway 0.1.0 put the payload beside ``meta.json``."""
    local = LocalStore(machines.folder / "made")
    entry = local.commit(KEY, BIG, dict(META))
    objects = machines.open().objects
    for name in ("value.txt", "meta.json"):
        objects.upload(f"{local.location(KEY)}/{name}", f"ab/{KEY}/{name}")
    store = machines.open("two")
    assert found(store).content == entry.content
    assert store.load(found(store)) == BIG
    assert store.verify(found(store))
    assert store.sweep(older_than=-1) == 0
    store.evict(found(store))
    assert machines.names() == [f"ab/{KEY}/meta.json"]
    store.commit(KEY, BIG, dict(META))
    assert len(machines.names()) == 2


def test_a_cache_that_was_copied_to_another_bucket(machines: Machines, s3_server: S3Server) -> None:
    machines.open().commit(KEY, BIG, dict(META))
    objects = machines.open().objects
    moved = machines.open("two", f"s3://{s3_server.make_bucket()}/other/prefix")
    for name in objects.names():
        file = machines.folder / "object"
        assert objects.download(name, str(file))
        moved.objects.upload(str(file), name)
    assert moved.load(found(moved)) == BIG


@pytest.mark.parametrize("upload", ["../x", "a/b", "", "G" * 32, 7])
def test_an_upload_of_another_name_is_not_followed(
    machines: Machines, upload: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    store = machines.open()
    entry = store.commit(KEY, BIG, dict(META))
    machines.write(f"ab/{KEY}/meta.json", json.dumps({**entry.meta, "upload": upload}).encode())
    two = machines.open("two")
    if upload == "":  # as in the first layout; there is nothing
        with pytest.raises(DamagedEntry):
            two.load(found(two))
    else:
        assert two.find(KEY) is None
        assert "no proper 'upload'" in capsys.readouterr().err


def test_nothing_that_is_kept_holds_a_secret(tmp_path: Path) -> None:
    store = open_store("nosuch://user:word@host/x", project=tmp_path)
    assert "word" not in store.location(KEY)
    with pytest.raises(StoreError) as caught, store.claim(KEY, "input:A"):
        store.commit(KEY, BIG, dict(META))
    assert "word" not in str(caught.value)
    held = "".join(path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file())
    assert "word" not in held
    assert not [path for path in tmp_path.rglob("*") if "word" in path.name]


def test_where_claims_do_not_reach_other_machines_it_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for url, count in ((f"file://{tmp_path}/x", 0), ("memory://claims", 0), (f"simplecache::file://{tmp_path}/y", 1)):
        for key in (KEY, OTHER):
            with open_store(url, project=tmp_path / "project").claim(key, "input:A"):
                pass
        assert capsys.readouterr().err.count("on this machine only") == count


def test_a_server_that_heeds_no_conditions_is_found_out(
    machines: Machines, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machines.server, "heeds_conditions", False)
    store = machines.open()
    for key in (KEY, OTHER):
        with store.claim(key, "input:A"):
            assert machines.names() == []  # a claim there would hold nobody off
    assert capsys.readouterr().err.count("on this machine only") == 1


def test_a_store_is_sent_to_another_process(machines: Machines) -> None:
    """With its URL, and without what it has open."""
    import pickle

    store = machines.open()
    store.commit(KEY, BIG, dict(META))
    sent = pickle.dumps(store)
    again = pickle.loads(sent)
    shutil.rmtree(store.copies.url)
    assert again.load(found(again)) == BIG


def test_what_one_left_that_was_killed_after_its_upload_goes_when_the_entry_is_found(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/shared", project=tmp_path / "other")
    key = KEY
    store.commit(key, "text " * 500, META)
    here = open_store(f"file://{tmp_path}/shared", project=tmp_path / "here")
    copies = here.copies  # type: ignore[attr-defined]
    half = Path(copies.location(key)).with_name(f".{key}.tmp-1-1")
    half.mkdir(parents=True)
    lock = Path(copies.url, "locks", f"{key}.lock")
    lock.parent.mkdir()
    lock.touch()
    assert here.find(key) is not None
    assert not half.exists()
    assert not lock.exists()
