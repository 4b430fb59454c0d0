"""`runway cache`: ls, gc and verify, in a folder and at a URL."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from runway.pipeline.store.objects import open_objects
from tests.cli.conftest import as_json

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.s3_server import S3Server
    from tests.conftest import Project


def test_cache(reviews: Project) -> None:
    reviews.run("prepare", "config.jsonnet")
    listed = as_json(reviews, "cache", "ls")
    assert {entry["node"] for entry in listed} == {"input:Make", "process:Clean", "output:Reviews"}
    assert "3 entries" in reviews.run("cache", "ls").stdout
    assert as_json(reviews, "cache", "verify") == {"entries": 3, "damaged": []}
    # room is made, and what was computed stays known
    assert "would free" in reviews.run("cache", "gc", "--max-size", "0", "--dry-run").stdout
    assert len(as_json(reviews, "cache", "gc", "--max-size", "0", "--dry-run")["evicted"]) == 3
    assert reviews.run("prepare", "config.jsonnet", "--quiet").stdout == ""
    freed = as_json(reviews, "cache", "gc", "--max-size", "0")
    assert len(freed["evicted"]) == 3
    assert freed["bytes"] > 3000
    assert "evicted" in reviews.run("cache", "ls").stdout
    assert as_json(reviews, "cache", "verify") == {"entries": 3, "damaged": []}
    assert as_json(reviews, "prepare", "config.jsonnet") == {"ran": []}
    # a new consumer needs the value again: that node runs, and nothing above it that is not needed
    batch = "train.batch_size=3"
    assert as_json(reviews, "prepare", "config.jsonnet", batch)["ran"] == ["input:Make", "process:Clean"]
    assert as_json(reviews, "prepare", "config.jsonnet") == {"ran": []}
    assert as_json(reviews, "cache", "gc", "--older-than", "1") == {"evicted": [], "bytes": 0}
    # damage is found, also where a size and a time do not show it
    entry = next(entry for entry in as_json(reviews, "cache", "ls") if entry["node"] == "input:Make" and entry["files"])
    [name] = entry["files"]
    (reviews.path / entry["path"] / name).write_bytes(b"?" * entry["files"][name][0])
    result = reviews.run("cache", "verify", "--json", check=False)
    assert (result.returncode, json.loads(result.stdout)["damaged"]) == (1, [entry["key"]])
    assert as_json(reviews, "cache", "verify")["damaged"] == []
    # it runs again, and what is below it and was evicted; the output came out the same
    assert as_json(reviews, "prepare", "config.jsonnet") == {"ran": ["input:Make", "process:Clean"]}


def test_cache_at_a_url(reviews: Project, tmp_path: Path) -> None:
    """What is done is done at the URL, and another machine sees it."""
    shared = tmp_path / "shared"
    url = f"file://{shared}"
    to_url = f"meta.default_cache_dir={url}"
    assert len(as_json(reviews, "prepare", "config.jsonnet", to_url)["ran"]) == 3
    listed = as_json(reviews, "cache", "ls", url)
    assert {entry["node"] for entry in listed} == {"input:Make", "process:Clean", "output:Reviews"}
    assert all(entry["path"] == f"{url}/{entry['key'][:2]}/{entry['key']}" for entry in listed)
    assert "3 entries" in reviews.run("cache", "ls", url).stdout
    assert as_json(reviews, "cache", "verify", url) == {"entries": 3, "damaged": []}
    # a machine without copies runs nothing either
    shutil.rmtree(reviews.path / "cache")
    assert as_json(reviews, "prepare", "config.jsonnet", to_url) == {"ran": []}
    # damage there is found there, though its size does not show it
    entry = next(entry for entry in listed if entry["node"] == "input:Make" and entry["files"])
    [name] = entry["files"]
    damaged = shared / entry["key"][:2] / entry["key"]
    (damaged / entry["upload"] / name).write_bytes(b"?" * entry["files"][name][0])
    result = reviews.run("cache", "verify", url, "--json", check=False)
    assert (result.returncode, json.loads(result.stdout)["damaged"]) == (1, [entry["key"]])
    assert json.loads((damaged / "meta.json").read_text())["version"] == 0
    assert as_json(reviews, "cache", "verify", url) == {"entries": 2, "damaged": []}
    assert as_json(reviews, "prepare", "config.jsonnet", to_url) == {"ran": ["input:Make"]}
    # so is room made there
    before = sum(path.stat().st_size for path in shared.rglob("*") if path.is_file())
    assert "would free" in reviews.run("cache", "gc", url, "--max-size", "0", "--dry-run").stdout
    assert sum(path.stat().st_size for path in shared.rglob("*") if path.is_file()) == before
    freed = as_json(reviews, "cache", "gc", url, "--max-size", "0")
    assert len(freed["evicted"]) == 3
    assert {path.name for path in shared.rglob("*") if path.is_file()} <= {"meta.json", *index_names(shared)}
    assert "evicted" in reviews.run("cache", "ls", url).stdout
    assert as_json(reviews, "prepare", "config.jsonnet", to_url) == {"ran": []}
    # a folder that was left without its meta.json goes once it is a day old
    left = shared / "ab" / ("ab" * 16)
    left.mkdir(parents=True)
    (left / "half.txt").write_text("half")
    assert "0 leftovers" in reviews.run("cache", "gc", url).stdout
    os.utime(left / "half.txt", (0, 0))
    assert "1 leftovers" in reviews.run("cache", "gc", url).stdout
    assert not (left / "half.txt").exists()


@pytest.mark.slow
def test_a_project_that_moves_keeps_its_keys(
    reviews: Project, bucket: str, s3_server: S3Server, tmp_path: Path
) -> None:
    """To another folder, and its cache to another bucket; there the commands find it."""
    to_url = f"meta.default_cache_dir=s3://{bucket}/cache"
    assert len(as_json(reviews, "prepare", "config.jsonnet", to_url)["ran"]) == 3
    shutil.rmtree(reviews.path / "cache")
    shutil.move(reviews.path, tmp_path / "elsewhere")
    moved = type(reviews)(tmp_path / "elsewhere")
    assert as_json(moved, "prepare", "config.jsonnet", to_url) == {"ran": []}
    shutil.rmtree(moved.path / "cache")
    old = open_objects(f"s3://{bucket}/cache")
    url = f"s3://{s3_server.make_bucket()}/other/place"
    for name in old.names():
        assert old.download(name, str(tmp_path / "object"))
        open_objects(url).upload(str(tmp_path / "object"), name)
    assert as_json(moved, "prepare", "config.jsonnet", f"meta.default_cache_dir={url}") == {"ran": []}
    listed = as_json(moved, "cache", "ls", url)
    assert {entry["path"] for entry in listed} == {f"{url}/{entry['key'][:2]}/{entry['key']}" for entry in listed}
    assert as_json(moved, "cache", "verify", url) == {"entries": 3, "damaged": []}
    assert len(as_json(moved, "cache", "gc", url, "--max-size", "0")["evicted"]) == 3
    assert not [name for name in open_objects(url).names() if not name.endswith(".json")]


def test_a_bucket_that_is_not_there(reviews: Project, bucket: str) -> None:
    result = reviews.run("prepare", "config.jsonnet", "meta.default_cache_dir=s3://no-such-bucket/x", check=False)
    assert result.returncode == 2
    assert "there is no such bucket" in result.stderr
    assert "Traceback" not in result.stderr


def index_names(folder: Path) -> set[str]:
    """The files that say what nodes have read."""
    return {path.name for path in folder.rglob("*.reads.json")}


@pytest.mark.parametrize("size", ["10 apples", "-1", "1.2.3"])
def test_a_size_that_is_none(reviews: Project, size: str) -> None:
    reviews.run("prepare", "config.jsonnet")
    result = reviews.run("cache", "gc", f"--max-size={size}", check=False)
    assert result.returncode == 2
    assert size in result.stderr
    assert "Traceback" not in result.stderr
