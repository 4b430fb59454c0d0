"""Claims among machines, at a place in memory whose clock is wrong and whose answers may be lost on the way."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterable

import pytest

from runway.errors import ConfigError, StoreError
from runway.pipeline.store import claims
from runway.pipeline.store.claims import Holder, claim_seconds, claimed
from runway.pipeline.store.objects import Objects, Read

NAME = "claims/ab.json"


class Place(Objects):
    """Objects in memory.

    Attributes:
        ahead: by how many seconds its clock differs from this machine's.
        lost: how many of the next writes are done, and answered as if they had come second.
        unreachable: whether every request fails.
    """

    excludes = True

    def __init__(self) -> None:
        super().__init__("place://here")
        self.held: dict[str, tuple[bytes, int, float]] = {}
        self.ahead = -10 * 365 * 86400.0
        self.lost = 0
        self.unreachable = False
        self.writes = itertools.count()
        self._lock = threading.Lock()

    def read(self, name: str) -> Read | None:
        self._reach()
        found = self.held.get(name)
        return None if found is None else Read(found[0], found[1])

    def create(self, name: str, data: bytes) -> int | None:
        self._reach()
        with self._lock:
            return None if name in self.held else self._write(name, data)

    def replace(self, name: str, data: bytes, version: int) -> int | None:
        self._reach()
        with self._lock:
            return self._write(name, data) if name in self.held and self.held[name][1] == version else None

    def _write(self, name: str, data: bytes) -> int | None:
        number = next(self.writes)
        self.held[name] = (data, number, time.time() + self.ahead)
        self.lost, is_lost = max(self.lost - 1, 0), self.lost > 0
        return None if is_lost else number

    def _reach(self) -> None:
        if self.unreachable:
            raise StoreError("the cache cannot be reached")

    def names(self, folder: str = "") -> list[str]:
        return [name for name in self.held if name.startswith(f"{folder}/")]

    def modified(self, name: str) -> float | None:
        return self.held[name][2] if name in self.held else None

    def delete(self, names: Iterable[str]) -> None:
        self._reach()
        for name in names:
            self.held.pop(name, None)

    def upload(self, path: str, name: str) -> None:
        raise AssertionError("a claim is no file")

    def download(self, name: str, path: str) -> bool:
        raise AssertionError("a claim is no file")

    def claim_of_another(self, *, age: float = 0.0, **said: object) -> None:
        """A claim that nobody renews, written some seconds ago."""
        body = {"claim": "1" * 32, "host": "elsewhere", "process": "7", "folder": "/c", "seconds": 1.0, **said}
        self.held[NAME] = (json.dumps(body).encode(), next(self.writes), time.time() + self.ahead - age)


@pytest.fixture
def place() -> Place:
    """An empty place."""
    return Place()


def hold(place: Place, *, folder: str = "/copies", left_here: bool = False):
    """The claim, held by this process."""
    return claimed(place, NAME, "input:A", folder=folder, left_here=left_here)


def test_it_is_there_while_it_is_held(place: Place) -> None:
    with hold(place):
        said = json.loads(place.held[NAME][0])
        assert (said["what"], said["folder"], said["seconds"]) == ("input:A", "/copies", 120)
    assert not place.held
    with pytest.raises(ZeroDivisionError), hold(place):
        raise ZeroDivisionError
    assert not place.held


def test_it_is_renewed_and_outlives_its_time(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(claims.SECONDS, "3")
    order = []

    def wait() -> None:
        with hold(place):
            order.append("second")

    with hold(place):
        first = place.held[NAME][1]
        other = threading.Thread(target=wait)
        other.start()
        other.join(4.0)  # longer than it holds without a sign of life
        assert other.is_alive()
        assert place.held[NAME][1] - first >= 3
        order.append("first")
    other.join(20)
    assert order == ["first", "second"]
    assert not place.held


def test_a_dead_claim_is_waited_for_as_long_as_it_says(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.claim_of_another(seconds=1.5)
    start = time.monotonic()
    with hold(place):
        assert 1.5 <= time.monotonic() - start < 4
        assert "elsewhere" not in place.held[NAME][0].decode()
    said = capsys.readouterr().err
    assert "input:A: process 7 on elsewhere is computing it, waiting" in said
    assert "not there any more" in said


def test_one_that_died_long_ago_is_not_waited_for(place: Place) -> None:
    """By the server's clock, which is ten years behind; this machine's is not asked."""
    place.claim_of_another(seconds=3600, age=7200)
    start = time.monotonic()
    with hold(place):
        pass
    assert time.monotonic() - start < 1


def test_a_dead_holder_of_this_machine_is_not_waited_for(place: Place) -> None:
    host = Holder.of(place_body(place)).host
    place.claim_of_another(seconds=3600, host=host, folder="/copies")
    start = time.monotonic()
    with hold(place, left_here=True):
        pass
    assert time.monotonic() - start < 1
    # but one of another folder, whose lock this process does not hold, is
    place.claim_of_another(seconds=1.5, host=host, folder="/others")
    start = time.monotonic()
    with hold(place, left_here=True):
        assert time.monotonic() - start >= 1.5


def place_body(place: Place) -> bytes:
    """What a claim of this process says."""
    with hold(place):
        return place.held[NAME][0]


def test_an_answer_that_was_lost_is_not_a_lost_claim(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(claims.SECONDS, "3")
    place.lost = 1
    with hold(place):
        place.lost = 1
        first = place.held[NAME][1]
        end = time.monotonic() + 10
        while place.held[NAME][1] < first + 2 and time.monotonic() < end:
            time.sleep(0.05)
        place.lost = 1
    assert not place.held
    assert capsys.readouterr().err == ""


def test_who_lost_it_says_so_and_leaves_the_other_s(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(claims.SECONDS, "3")
    with hold(place):
        place.claim_of_another()  # as after a sleep of hours
        other = place.held[NAME]
    assert place.held[NAME] == other
    assert "lost its claim" in capsys.readouterr().err


def test_a_claim_that_was_deleted_is_made_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(claims.SECONDS, "1")
    with hold(place):
        del place.held[NAME]
        end = time.monotonic() + 10
        while NAME not in place.held and time.monotonic() < end:
            time.sleep(0.02)
        assert NAME in place.held
    assert not place.held


def test_a_place_that_cannot_be_reached(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    with hold(place):
        place.unreachable = True  # what is computed is not lost for it
    assert "cannot be released" in capsys.readouterr().err
    with pytest.raises(StoreError), hold(place):
        pass


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b'{"claim": 1}', b"[" * 100_000])
def test_what_is_no_claim_holds_for_the_usual_time(data: bytes) -> None:
    assert Holder.of(data).seconds == claims.DEFAULT_SECONDS


@pytest.mark.parametrize(("said", "seconds"), [(float("nan"), 1), (float("inf"), 3600), (1e9, 3600), (-5, 1), (60, 60)])
def test_no_claim_holds_for_ever(said: float, seconds: float) -> None:
    body = {"claim": "x", "host": "a\x1b[2Jb", "process": 1, "folder": "", "seconds": said}
    holder = Holder.of(json.dumps(body).encode())
    assert (holder.seconds, holder.host) == (seconds, "a[2Jb")


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "4000"])
def test_a_time_that_is_none(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(claims.SECONDS, text)
    with pytest.raises(ConfigError, match="from 1 to 3600"):
        claim_seconds()
