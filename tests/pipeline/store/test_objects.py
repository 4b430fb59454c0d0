"""Objects at a URL: files of any size, conditions, and what is said where the place cannot be reached."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from runway.errors import StoreError
from runway.pipeline.store.objects import PIECE, Objects, open_objects, without_secrets

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.s3_server import S3Server


@pytest.fixture(params=["s3", "file", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    """An empty place."""
    if request.param == "s3":
        return open_objects(f"s3://{request.getfixturevalue('bucket')}/some/prefix")
    return open_objects(f"{request.param}://{tmp_path}/place")


def test_small_objects_and_conditions(place: Objects) -> None:
    assert place.read("a/b") is None
    assert place.modified("a/b") is None
    assert place.replace("a/b", b"new", None if not place.excludes else {"e_tag": "x"}) is None
    first = place.create("a/b", b"one")
    assert place.create("a/b", b"two") is None
    second = place.replace("a/b", b"three", first)
    assert place.replace("a/b", b"four", first) is None
    found = place.read("a/b")
    assert found is not None
    assert (found.data, found.version) == (b"three", second)
    place.create("a/c/d", b"five")
    place.create("e", b"six")
    assert sorted(place.names()) == ["a/b", "a/c/d", "e"]
    assert sorted(place.names("a")) == ["a/b", "a/c/d"]
    assert place.names("nothing") == []
    assert place.read_all(["a/b", "e", "gone"]) == {"a/b": b"three", "e": b"six"}
    assert abs(place.now() - (place.modified("e") or 0)) < 5
    place.delete(["a/b", "gone"])
    place.delete([])
    assert sorted(place.names()) == ["a/c/d", "e"]
    again = pickle.loads(pickle.dumps(place))
    assert sorted(again.names()) == ["a/c/d", "e"]


@pytest.mark.parametrize("size", [0, 1000, PIECE - 1, PIECE, 2 * PIECE + 1])
def test_files_of_any_size(place: Objects, size: int, tmp_path: Path) -> None:
    data = os.urandom(size)
    (tmp_path / "sent").write_bytes(data)
    place.upload(str(tmp_path / "sent"), "a/fi le ü%20.bin")
    assert place.names() == ["a/fi le ü%20.bin"]
    assert place.download("a/fi le ü%20.bin", str(tmp_path / "fetched"))
    assert (tmp_path / "fetched").read_bytes() == data
    assert not place.download("a/none", str(tmp_path / "none"))


def test_an_upload_that_is_interrupted_is_not_there(
    bucket: str, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C between two pieces: the pieces that were sent go, too."""
    place = open_objects(f"s3://{bucket}/prefix")
    (tmp_path / "sent").write_bytes(b"x" * (20 * PIECE))

    def interrupt(method: str, path: str) -> None:
        if method == "PUT":
            s3_server.before = lambda method, path: None
            import _thread

            _thread.interrupt_main()

    monkeypatch.setattr(s3_server, "before", interrupt)
    with pytest.raises(KeyboardInterrupt):
        place.upload(str(tmp_path / "sent"), "a")
    assert place.names() == []
    sent = [request for request in s3_server.requests if request.path.startswith(f"/{bucket}/")]
    assert "DELETE" in [request.method for request in sent]  # what is still on its way then finds no upload
    assert len([request for request in sent if request.method == "PUT"]) < 20


def test_of_many_who_create_one_succeeds(bucket: str) -> None:
    start, made = threading.Barrier(8), []

    def create(index: int) -> None:
        place = open_objects(f"s3://{bucket}/prefix")
        start.wait(60)
        for round_ in range(5):
            if place.create(f"a/{round_}", str(index).encode()) is not None:
                made.append(round_)

    others = [threading.Thread(target=create, args=[index]) for index in range(8)]
    for other in others:
        other.start()
    for other in others:
        other.join(60)
    assert sorted(made) == list(range(5))


def test_an_object_in_a_folder_is_never_seen_half_written(tmp_path: Path) -> None:
    place = open_objects(f"file://{tmp_path}/shared")
    old, new = b"a" * 3_000_000, b"b" * 3_000_000
    place.create("a/x", old)
    done = threading.Event()

    def write() -> None:
        for _ in range(10):
            place.replace("a/x", old, old)
            place.replace("a/x", new, old)
            place.replace("a/x", old, new)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while not done.is_set():
        read = place.read("a/x")
        seen.add(read.data if read else None)
    writer.join(60)
    assert seen <= {old, new}
    assert place.names() == ["a/x"]


# -- what is said


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("s3://bucket/prefix", "s3://bucket/prefix"),
        ("s3://bucket/user@place", "s3://bucket/user@place"),
        ("abfs://container@account.dfs.core.windows.net/x", "abfs://container@account.dfs.core.windows.net/x"),
        ("ftp://user:word@host/x", "ftp://***@host/x"),
        ("s3://KEY:sec/ret@bucket/x", "s3://***@bucket/x"),
        ("az://container/x?sig=abc", "az://container/x?***"),
    ],
)
def test_no_secret_is_shown(url: str, shown: str) -> None:
    assert without_secrets(url) == shown


def test_credentials_in_the_url_of_a_bucket() -> None:
    with pytest.raises(StoreError, match="are not used") as caught:
        open_objects("s3://KEY:sec/ret@bucket/x")
    assert "sec" not in str(caught.value)
    assert "AWS_SECRET_ACCESS_KEY" in str(caught.value)


def test_a_driver_s_error_shows_no_secret() -> None:
    """Nor does the error behind it, which a traceback would print."""
    place = open_objects("nosuch://user:word@host/x")
    with pytest.raises(StoreError, match="cannot be opened") as caught:
        place.read("a")
    assert "word" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_bucket_that_is_not_there(bucket: str, tmp_path: Path) -> None:
    place = open_objects("s3://no-such-bucket/x")
    (tmp_path / "a").write_bytes(b"x")
    for ask in (
        lambda: place.read("a"),
        lambda: place.create("a", b"x"),
        lambda: place.names(),
        lambda: place.upload(str(tmp_path / "a"), "a"),
        lambda: place.download("a", str(tmp_path / "b")),
    ):
        with pytest.raises(StoreError, match="there is no such bucket"):
            ask()


def test_http_has_to_be_allowed(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    with pytest.raises(StoreError, match="cannot be reached") as caught:
        open_objects(f"s3://{bucket}/x").read("a")
    assert "AWS_ALLOW_HTTP" in str(caught.value)
    assert "Debug source" not in str(caught.value)


def test_names_that_no_object_can_have(bucket: str, tmp_path: Path) -> None:
    place = open_objects(f"s3://{bucket}/x")
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(StoreError, match="no file of this name"):
        place.upload(str(tmp_path / "a"), "a\nb")
    assert not place.download("a\nb", str(tmp_path / "b"))


def test_the_extra_is_named_where_obstore_is_not_installed() -> None:
    code = """
import sys
sys.modules["obstore"] = sys.modules["obstore.store"] = None
from runway.pipeline.store.objects import open_objects
open_objects("s3://bucket/x").read("a")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'runway-for-ml[s3]'" in done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_is_told_and_does_not_hang(bucket: str) -> None:
    code = """
import os, sys
from runway.pipeline.store.objects import open_objects
place = open_objects(sys.argv[1])
place.create("a", b"x")
child = os.fork()
if child == 0:
    try:
        place.read("a")
    except Exception as error:
        print(error, flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(place.read("a").data)
"""
    command = [sys.executable, "-W", "ignore", "-c", code, f"s3://{bucket}/x"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "a forked process cannot use" in done.stdout
    assert done.stdout.endswith("b'x'\n")
