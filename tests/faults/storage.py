"""The storage driver: ``python -m tests.faults.storage FOLDER FAULTS SEED``.

A store is filled with an entry of every format, with a read index and a journal. Then a file of it is damaged at
random: a bit flipped, cut, filled with zeros, appended to, exchanged with another file of the entry or of another
entry, deleted, filled with junk or with JSON of another form. Each damage must be seen by ``check_records`` and
``verify``, and after it the value that was stored comes back, or is not there: never another one, never an error that
is none of runway's. That is done in a folder and at a URL. Full disks: a small tmpfs (or, where nobody may mount one,
a writing that fails after so many bytes) ends in an error that says so, and the next run with room is as any other.
"""

from __future__ import annotations

import collections
import contextlib
import hashlib
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.errors import StoreError
from runway.pipeline.store import formats, open_store
from runway.pipeline.store.local import JOURNAL

if TYPE_CHECKING:
    from runway.pipeline.store.base import Store

PARTS: dict[str, Any] = {"transform": "T", "code": {}, "arguments": {}, "inputs": [], "list": False, "versions": {}}
READS = {"config": [["value", ["train", "batch_size"]]], "files": [["file", "data.txt"]], "flags": []}
JSON_OF_ANOTHER_FORM = [
    b"", b"[]", b"{}", b"null", b"7", b'"x"', b"\xff\xfe\x00", b"[" * 100_000, b'{"a":' * 5000, b"9" * 5000,
    b'{"version": 1}', b'{"version": 1e999}', b'{"version": true}', b'{"version": 1, "key": {}}', b'{"sets": 7}',
    b'{"sets": [{"config": [["x", [[]]]]}], "files": {}}', b'{"sets": [], "files": {"a\\u0000": 1}}', b"\0" * 4096,
]  # fmt: skip


class Own:
    """An object that saves itself."""

    def save_to_dir(self, directory: Path) -> None:
        """Two files, one in a folder."""
        (directory / "inner").mkdir(parents=True)
        (directory / "a.txt").write_text("first " * 50)
        (directory / "inner" / "b.txt").write_text("second" * 50)

    @classmethod
    def load_from_dir(cls, directory: Path) -> tuple[str, str]:
        """What is in both."""
        return (directory / "a.txt").read_text(), (directory / "inner" / "b.txt").read_text()


def light_values() -> dict[str, Any]:
    """{format: a value that is kept in it}, of those that need no library."""
    return {
        "inline": [1, 2, "three"],
        "none": None,
        "text": "some text " * 200,
        "json": {"rows": list(range(2000))},
        "pickle": {"a set": {1, 2, 3}},
    }


def values() -> dict[str, Any]:
    """{format: a value that is kept in it}, one of each, and one that is larger than what is hashed at each load."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import torch
    from datasets import Dataset, DatasetDict
    from transformers import BertConfig

    rows = Dataset.from_dict({"text": [f"row {n}" for n in range(50)], "label": list(range(50))})
    found = light_values() | {
        "dataset": rows,
        "dataset_dict": DatasetDict({"train": rows, "test": rows.select(range(9))}),
        "numpy": np.arange(500),
        "torch": {"weight": torch.arange(300.0)},
        "pandas": pd.DataFrame({"x": range(100), "y": ["a"] * 100}),
        "arrow": pa.table({"x": list(range(200))}),
        "object": Own(),
        "pretrained": BertConfig(hidden_size=8, num_attention_heads=2),
        "large": np.arange(200_000),
    }
    assert set(found) - {"inline", "none", "large"} == {kind.name for kind in formats.FORMATS}
    return found


def told(value: Any) -> str:
    """A value as text by which it is compared."""
    if hasattr(value, "to_pandas") and hasattr(value, "schema"):
        value = value.to_pydict()
    elif hasattr(value, "features"):
        value = value.to_list()
    elif hasattr(value, "items") and not isinstance(value, dict):
        value = dict(value)
    if isinstance(value, dict):
        return repr({key: told(part) for key, part in value.items()})
    if hasattr(value, "tobytes"):
        return hashlib.sha256(value.tobytes()).hexdigest()
    return value.to_json() if hasattr(value, "to_json") else repr(value)


def key_of(name: str) -> str:
    """The key of an entry here."""
    return hashlib.blake2b(name.encode(), digest_size=16).hexdigest()


def fill(store: Store, kept: dict[str, Any]) -> None:
    """Commit every value, with a read index, and a line in the journal."""
    for name, value in kept.items():
        meta = {"node": f"input:{name}", "parts": PARTS, "seconds": 0.5, "reads": None, "base_key": key_of(name)}
        store.commit(key_of(name), value, meta, keep_value=name != "none")
        store.record_key(f"input:{name}", key_of(name))
    store.write_read_index(key_of("text"), [READS], {"data.txt": [1, 2, 3, 4, 5, "ab" * 16]})


def damage(files: list[Path], draw: random.Random) -> str | None:
    """Damage one of the files; gives how, or None where its bytes came out the same."""
    path = draw.choice(files)
    before = path.read_bytes()
    other = draw.choice([file for file in files if file.parent == path.parent or draw.random() < 0.3] or files)
    status = path.stat()
    how = draw.choice(["flip", "cut", "zeros", "append", "swap", "delete", "junk", "other form", "as old"])
    position = draw.randrange(max(1, len(before)))
    if how in ("flip", "as old"):
        now = before[:position] + bytes([before[position] ^ 1 << draw.randrange(8)]) + before[position + 1 :]
        path.write_bytes(now if before else b"x")
    elif how == "cut":
        path.write_bytes(before[:position])
    elif how == "zeros":
        path.write_bytes(before[:position] + bytes(len(before[position : position + 4096])) + before[position + 4096 :])
    elif how == "append":
        path.write_bytes(before + draw.choice([b"\0", b" ", b"\n", b"{}", before]))
    elif how == "swap":
        content = other.read_bytes()
        other.write_bytes(before)
        path.write_bytes(content)
    elif how == "delete":
        path.unlink()
    elif how == "junk":
        path.write_bytes(draw.randbytes(len(before)))
    else:
        path.write_bytes(draw.choice(JSON_OF_ANOTHER_FORM))
    if how == "as old" and path.exists():  # as rsync and backups set times
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = path.read_bytes() if path.exists() else None
    is_same = after == before
    if after is not None and path.name == JOURNAL:  # a line that stands there twice says what it said
        lines, lines_before = set(after.splitlines()), set(before.splitlines())
        is_same = lines == lines_before
        how = "delete" if lines < lines_before else how  # as in a journal that is younger: it only tells why nodes run
    return None if is_same else how


def own_files(root: Path) -> list[Path]:
    """The files of the store that a disk may damage."""
    return sorted(path for path in root.rglob("*") if path.is_file() and path.name != "CACHEDIR.TAG")


def look(store: Store, expected: dict[str, str], known: list[Any]) -> None:
    """Read everything as runs do: what comes back must be what was stored.

    Raises:
        AssertionError: something else came.
    """
    for name, text in expected.items():
        try:
            entry = store.find(key_of(name))
            if entry is not None and entry.has_value and store.is_whole(entry):
                found = told(store.load(entry))
                assert found == text, f"{name}: another value is served: {found[:80]}"
        except StoreError:
            pass
    sets, _ = store.read_index(key_of("text"))
    assert sets in ([], [READS]), f"other reads: {sets}"
    assert store.last_keys().items() <= {f"input:{name}": key_of(name) for name in known}.items()


def faults(folder: Path, count: int, seed: int, kind: str) -> collections.Counter[str]:
    """Damage a store that many times; gives {how: times}.

    Args:
        folder: where to work.
        count: how many damages.
        seed: of the choice.
        kind: ``folder`` or ``file``: a local store, or one at a URL.

    Raises:
        AssertionError: one was not seen, or another value was served.
    """
    draw = random.Random(seed)
    root = folder / "shared"
    url = str(root) if kind == "folder" else f"file://{root}"
    kept = values()
    options = {"project": folder / "writer", "allow_pickle": True}
    fill(open_store(url, **options), kept)
    whole = open_store(url, **options)
    expected = {name: told(whole.load(whole.find(key_of(name)))) for name in kept if name != "none"}  # type: ignore[arg-type]
    shutil.copytree(root, folder / "pristine")
    done: collections.Counter[str] = collections.Counter()
    while sum(done.values()) < count:
        shutil.rmtree(root)
        shutil.copytree(folder / "pristine", root)
        state = draw.getstate()
        how = damage(own_files(root), draw)
        if how is None:
            continue
        done[how] += 1
        machine = folder / "machine"
        shutil.rmtree(machine, ignore_errors=True)
        try:
            look(open_store(url, project=machine, allow_pickle=True), expected, list(kept))
            shutil.rmtree(root)
            shutil.copytree(folder / "pristine", root)
            draw.setstate(state)
            damage(own_files(root), draw)  # the same once more, for `cache verify`
            store = open_store(url, project=machine / "verifies", allow_pickle=True)
            seen = store.check_records() + [
                entry.key for entry in store.entries() if entry.has_value and not store.verify(entry)
            ]
            left = {entry.key for entry in store.entries()}
            assert seen or left != {key_of(name) for name in kept} or how == "delete", "it is not seen by verify"
            look(store, expected, list(kept))
            fill(store, kept)  # as after it was computed again
            look(store, expected, list(kept))
            again = open_store(url, project=machine / "reads", allow_pickle=True)
            assert all(again.load(again.find(key_of(name))) is not None for name in expected)  # type: ignore[arg-type]
        except Exception as error:
            raise AssertionError(f"{kind}, seed {seed}, damage {sum(done.values())} ({how}): {error!r}") from error
    return done


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[str]:
    """A place that takes so many bytes; gives of which kind it is: a tmpfs, or a limit of a file's size."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    with contextlib.ExitStack() as undo:
        if shutil.which("mount") and subprocess.run(mount, capture_output=True, check=False).returncode == 0:
            undo.callback(subprocess.run, ["umount", "-l", str(folder)], check=False)
            yield "tmpfs"
        else:
            before = resource.getrlimit(resource.RLIMIT_FSIZE)
            undo.callback(resource.setrlimit, resource.RLIMIT_FSIZE, before)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))  # Python ignores SIGXFSZ
            yield "file size"


def full_disks(folder: Path, sizes: int, seed: int, most: int = 1 << 20) -> collections.Counter[str]:
    """Fill disks of random sizes with every value; gives {how each ended: times}.

    Raises:
        AssertionError: the error was another one, or an entry came out torn.
    """
    draw = random.Random(seed)
    kept = values()
    done: collections.Counter[str] = collections.Counter()
    for number in range(sizes):
        place = folder / f"disk{number}"
        with small_disk(place, draw.randrange(1 << 14, most)) as kind:
            store = open_store(str(place / "cache"), project=folder)
            try:
                fill(store, kept)
                end = "there was room"
            except StoreError as error:
                end = f"{error.message} ({error.hint})"
            assert end == "there was room" or ("is full" in end and "cache: false" not in end), end
            done[f"{kind}: {end.partition(':')[0]}"] += 1
            for entry in store.entries():
                assert not entry.has_value or store.verify(entry), f"{entry.meta['node']} is torn"
            assert not list((place / "cache").rglob(".*tmp*")), "something is left over"
    return done


def timed(name: str, work: Callable[[], collections.Counter[str]]) -> None:
    """Do it, and print its figures."""
    started = time.monotonic()
    done = work()
    figures = ", ".join(f"{how} {times}" for how, times in sorted(done.items()))
    print(
        f"{sum(done.values())} {name} in {time.monotonic() - started:.0f} s, none served wrong: {figures}", flush=True
    )


def main(folder: Path, count: int, seed: int) -> None:
    """Everything, half of the damages at a URL."""
    timed("damages in a folder", lambda: faults(folder / "local", count - count // 2, seed, "folder"))
    timed("damages at a URL", lambda: faults(folder / "remote", count // 2, seed, "file"))
    timed("small disks", lambda: full_disks(folder / "disks", 20, seed))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
