"""Large files are hashed once a boot, and again after whatever could have changed them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from runway.pipeline.store import payload, proofs
from runway.pipeline.store.base import DamagedEntry, Entry
from runway.pipeline.store.local import LocalStore

PARTS: dict[str, Any] = {"transform": "T", "code": {}, "arguments": {}, "inputs": [], "list": False, "versions": {}}
META = {"node": "input:A", "parts": PARTS, "seconds": 0.5, "reads": None, "base_key": "ef" * 16}
KEY = "ab" * 16
LARGE = "x" * (3 << 20)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The files that are hashed whole; with a memory of its own, and files that are old enough at once."""
    found: list[str] = []
    real = payload.hash_file
    monkeypatch.setattr(payload, "hash_file", lambda file: (found.append(str(file)), real(file))[1])
    monkeypatch.setattr(proofs, "_memory", lambda: tmp_path / "hashed")
    monkeypatch.setattr(proofs, "_boot", lambda: "this boot")
    monkeypatch.setattr(proofs, "RACY_NS", -1)
    return found


def committed(folder: Path) -> tuple[LocalStore, Entry, Path]:
    store = LocalStore(folder / "cache")
    entry = store.commit(KEY, LARGE, dict(META))
    return store, entry, Path(store.location(KEY), "value.txt")


def test_once_a_boot_and_after_each_change(hashed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, entry, _file = committed(tmp_path)
    hashed.clear()
    for _ in range(3):
        assert store.load(entry) == LARGE
    assert len(hashed) == 1
    assert store.verify(entry)
    assert len(hashed) == 2  # it reads all, whatever is remembered
    monkeypatch.setattr(proofs, "_boot", lambda: "the next boot")
    store.load(entry)
    assert len(hashed) == 3
    monkeypatch.setattr(proofs, "_boot", lambda: "")  # a system that gives its boots no names
    store.load(entry)
    store.load(entry)
    assert len(hashed) == 5


@pytest.mark.parametrize("how", ["in place", "replaced"])
def test_a_change_that_keeps_size_and_time(hashed: list[str], tmp_path: Path, how: str) -> None:
    store, entry, file = committed(tmp_path)
    store.load(entry)
    status = file.stat()
    time.sleep(0.02)  # a tick of the file system's clock
    target = file if how == "in place" else tmp_path / "other"
    target.write_text("y" * len(LARGE))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(target, file)
    with pytest.raises(DamagedEntry):
        store.load(entry)


def test_a_memory_that_is_junk_or_cannot_be_kept(hashed: list[str], tmp_path: Path) -> None:
    store, entry, _ = committed(tmp_path)
    (tmp_path / "hashed").write_bytes(b"\xff\0" * 2_000_000)  # more than it may hold: it begins anew
    hashed.clear()
    store.load(entry)
    store.load(entry)
    assert len(hashed) == 1
    (tmp_path / "hashed").unlink()
    (tmp_path / "hashed").mkdir()
    store.load(entry)
    assert len(hashed) == 2


def test_of_a_very_large_payload_blocks_are_hashed(
    hashed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payload, "WHOLE", 2 << 20)
    store, entry, file = committed(tmp_path)
    assert entry.meta["samples"].keys() == {"value.txt"}
    hashed.clear()
    assert store.load(entry) == LARGE
    assert not hashed
    with file.open("r+b") as opened:
        opened.seek(-1, os.SEEK_END)
        opened.write(b"\0")
    with pytest.raises(DamagedEntry):
        store.load(entry)
