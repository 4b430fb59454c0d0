"""What touches the disk: locks, the file for what outgrows memory, the digest of rows."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pyarrow as pa
import pytest

from runway import disk
from runway.disk import ArrowDigest, SpillFile, expanded, hold
from runway.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

DAY = datetime.date(2020, 1, 2)
COLUMNS = {
    "bool": pa.array([True, None, False, True]),
    "text": pa.array(["é", None, "", "ab"]),
    "large text": pa.array(["é", None, "", "ab"], pa.large_string()),
    "lists": pa.array([[1, 2], None, [], [None]]),
    "fixed lists": pa.array([[1, 2], None, [3, 4], [5, None]], pa.list_(pa.int64(), 2)),
    "large lists": pa.array([["a"], None, [], [None]], pa.large_list(pa.string())),
    "structs": pa.array([{"a": 1, "b": ["x"]}, None, {"a": None, "b": []}, {"a": 2, "b": None}]),
    "times": pa.array([datetime.datetime(2020, 1, 2), None, datetime.datetime(1999, 1, 1), None]),
    "days": pa.array([DAY, None, DAY, DAY]),
    "decimals": pa.array([decimal.Decimal("1.5"), None, decimal.Decimal("2.5"), None]),
    "codes": pa.array(["a", "b", None, "a"]).dictionary_encode(),
    "maps": pa.array([[("a", 1)], None, [], [("b", 2)]], pa.map_(pa.string(), pa.int64())),
    "nothing": pa.nulls(4),
}


def digest_of(*arrays: pa.Array) -> bytes:
    digest = ArrowDigest()
    for array in arrays:
        digest.add("column", array)
    return digest.digest()


@pytest.mark.parametrize("name", COLUMNS)
def test_a_digest_is_the_same_however_the_rows_are_cut(name: str) -> None:
    array = COLUMNS[name]
    whole = digest_of(array)
    assert digest_of(array.slice(0, 1), array.slice(1, 2), array.slice(3)) == whole
    assert digest_of(pa.chunked_array([array.slice(0, 3), array.slice(3)])) == whole
    assert digest_of(array.slice(0, 3)) != whole


def test_a_digest_sees_types_and_what_moved_between_rows() -> None:
    digests = {name: digest_of(array) for name, array in COLUMNS.items()}
    digests |= {str(values): digest_of(pa.array(values)) for values in (["ab", "c"], ["a", "bc"], [["a"], ["b"]])}
    digests |= {str(values): digest_of(pa.array(values)) for values in ([["a", "b"], []], [0, 1], [0.0, 1.0])}
    assert len(set(digests.values())) == len(digests)


@pytest.mark.parametrize("named", [True, False])
def test_a_spill_file_gives_back_each_stretch(named: bool, tmp_path: Path) -> None:
    file = SpillFile(tmp_path / "rows" if named else None)
    stretches = [b"x" * 5, b"", b"y" * 70_000]
    starts = [file.append(stretch) for stretch in stretches]
    for start, stretch in zip(starts, stretches, strict=True):
        assert file.read(start, len(stretch)).to_pybytes() == stretch
    with pytest.raises(OSError, match="shorter than what was written"):
        file.read(starts[-1], 70_001)
    assert [path.name for path in tmp_path.iterdir()] == (["rows"] if named else [])


# --- locks


class Busy(Exception):
    """Somebody holds it."""


def leave() -> NoReturn:
    raise Busy


def is_free(path: Path) -> bool:
    """Whether nobody holds the lock."""
    try:
        with hold(str(path), leave):
            return True
    except Busy:
        return False


def test_a_lock_s_file_is_there_while_it_is_held(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with hold(str(path), leave) as was_there:
        assert path.exists()
        assert not was_there
        assert not is_free(path)
        assert path.exists()
    assert not path.exists()
    with pytest.raises(ZeroDivisionError), hold(str(path), leave):
        raise ZeroDivisionError
    assert not path.exists()
    path.touch()  # as a killed holder leaves it
    with hold(str(path), leave) as was_there:
        assert was_there
    assert not path.exists()


def test_who_waited_for_a_file_that_is_deleted_takes_the_next(tmp_path: Path) -> None:
    """Three in turn: the first deletes its file, on whose lock the second and third wait."""
    path = tmp_path / "a.lock"
    inside: list[int] = []
    most, waiting = [0], []

    def work(index: int) -> None:
        with hold(str(path), lambda: waiting.append(index)):
            inside.append(index)
            most[0] = max(most[0], len(inside))
            time.sleep(0.1)
            inside.remove(index)

    with hold(str(path), leave):
        others = [threading.Thread(target=work, args=(index,)) for index in range(3)]
        for other in others:
            other.start()
        while len(waiting) < 3:
            time.sleep(0.001)
        os.unlink(path)  # and somebody clears the folder
        fourth = threading.Thread(target=work, args=(3,))
        fourth.start()
        time.sleep(0.05)
        assert path.exists()
    for other in [*others, fourth]:
        other.join(30)
    assert most == [1]
    assert sorted(waiting) in ([0, 1, 2], [0, 1, 2, 3])  # said once by each, however often it had to wait
    assert not path.exists()


def test_a_holder_deletes_no_other_s_file(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with contextlib.ExitStack() as second:
        with hold(str(path), leave):
            path.unlink()
            second.enter_context(hold(str(path), leave))
        assert path.exists()
        assert not is_free(path)
    assert not path.exists()


CHURN = """
import os, sys
from runway.disk import hold
lock, inside = sys.argv[1:]
for _ in range(1500):
    with hold(lock, lambda: None):
        os.close(os.open(inside, os.O_CREAT | os.O_EXCL))  # raises where another one is inside
        os.unlink(inside)
"""


def test_never_two_hold_it(tmp_path: Path) -> None:
    """Processes that take and release one lock as fast as they can."""
    command = [sys.executable, "-c", CHURN, str(tmp_path / "a.lock"), str(tmp_path / "inside")]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(6)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert os.listdir(tmp_path) == []


HOLDER = """
import os, sys, time
from runway.disk import hold
with hold(sys.argv[1], lambda: None):
    if os.fork() == 0:  # as a worker of `map(num_proc)`, which may outlive its parent for a while
        time.sleep(20)
        os._exit(0)
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("waits", [False, True], ids=["", "somebody waits"])
def test_a_killed_holder_holds_nothing(waits: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert not is_free(path)
        found: list[bool] = []

        def wait() -> None:
            with hold(str(path), lambda: None) as was_there:
                found.append(was_there)

        waiter = threading.Thread(target=wait, daemon=True)
        if waits:
            waiter.start()
            time.sleep(0.1)
        holder.send_signal(signal.SIGKILL)
        began = time.monotonic()
        if not waits:
            waiter.start()
        waiter.join(10)
        assert found == [True]
        assert time.monotonic() - began < 10
        holder.stdout.close()
    assert not path.exists()


def test_a_forked_process_releases_nothing(tmp_path: Path) -> None:
    """Also where it comes out of the block by itself, and its own locks are its own."""
    path, other = tmp_path / "a.lock", tmp_path / "b.lock"

    def work() -> None:
        stack.close()
        with hold(str(other), leave):
            os._exit(0 if path.exists() and not is_free(path) and not is_free(other) else 1)

    with contextlib.ExitStack() as stack:
        stack.enter_context(hold(str(path), leave))
        child = multiprocessing.get_context("fork").Process(target=work)
        child.start()
        child.join(30)
        assert child.exitcode == 0
        assert not is_free(path)
    assert not path.exists()
    assert is_free(other)


def no_locks(descriptor: int, operation: int) -> NoReturn:
    raise OSError(errno.ENOLCK, "No locks available")


def other_inodes(path: str, descriptor: int) -> bool:
    return False


@pytest.mark.parametrize(
    ("where", "name", "failing"), [(disk.fcntl, "flock", no_locks), (disk, "_is_at", other_inodes)]
)
def test_a_file_system_without_locks_is_told(
    where: object,
    name: str,
    failing: Callable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nor does it hang where a file is never found to be the one that was opened."""
    monkeypatch.setattr(where, name, failing)
    monkeypatch.setattr(disk, "MOST_TURNS", 50)
    path = tmp_path / "a.lock"
    path.touch()
    with hold(str(path), leave) as was_there:
        assert not was_there  # its holder may be alive: what it has half-written is not touched
    assert f"no file locks under {tmp_path}" in capsys.readouterr().err


def test_a_home_of_nobody_is_a_name(tmp_path: Path) -> None:
    assert expanded("~/a") == Path.home() / "a"
    assert expanded("~nobody-of-that-name/a") == Path("~nobody-of-that-name/a")
    deep = "/".join(["a folder"] * 100)
    assert expanded(deep) == Path(deep)
    with pytest.raises(ConfigError, match="longer than 255 bytes"):
        expanded("é" * 128)
    with pytest.raises(ConfigError, match="NUL"):
        expanded("~a\0b")
