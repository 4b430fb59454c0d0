"""Which files a folder or a pattern means: links, circles of them, caches, brackets."""

from __future__ import annotations

from pathlib import Path

import pytest

from runway.errors import RunwayError
from runway.walk import CACHE_TAG, escape_existing, files_in, mark_as_cache, matches, walk


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with hidden names, a cache, a linked folder, a circle of links, and a link to nothing."""
    elsewhere = tmp_path / "scratch"
    data = tmp_path / "data"
    for name in ("a.csv", "sub/b.csv", ".ipynb_checkpoints/a.csv", "__pycache__/c.csv", "_SUCCESS", "cache/ab/d.csv"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text("x")
    mark_as_cache(data / "cache")
    elsewhere.mkdir()
    (elsewhere / "e.csv").write_text("x")
    (data / "test").symlink_to(elsewhere)
    (data / "sub" / "up").symlink_to(data)
    (elsewhere / "back").symlink_to(elsewhere)
    (data / "gone").symlink_to(tmp_path / "nowhere")
    return data


def test_files_of_a_folder(folder: Path) -> None:
    assert files_in(folder, hidden=False) == ["a.csv", "sub/b.csv", "test/e.csv"]
    every = [".ipynb_checkpoints/a.csv", "_SUCCESS", "__pycache__/c.csv", "a.csv", "sub/b.csv", "test/e.csv"]
    assert files_in(folder) == every
    assert files_in(folder / "cache") == [CACHE_TAG, "ab/d.csv"], "the folder that is asked for is no cache in itself"


def test_why_something_is_left(folder: Path) -> None:
    left = {name: why for name, why in walk(folder, hidden=False) if why}
    assert left == {
        ".ipynb_checkpoints": "hidden",
        "__pycache__": "hidden",
        "_SUCCESS": "hidden",
        "cache": "a cache",
        "gone": "a link to nothing",
        "sub/up": "a link back to what it lies in",
        "test/back": "a link back to what it lies in",
    }


def test_a_folder_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RunwayError, match="a folder cannot be read"):
        files_in(tmp_path / "nowhere")


def test_patterns_skip_caches_and_circles(folder: Path) -> None:
    assert matches("[!_]*/**/*.csv", folder) == ["sub/b.csv", "test/e.csv"]
    assert matches("**/*.csv", folder) == ["__pycache__/c.csv", "a.csv", "sub/b.csv", "test/e.csv"]
    assert matches(f"{folder}/[!_]*/*.csv") == [f"{folder}/sub/b.csv", f"{folder}/test/e.csv"]
    assert matches("cache/*/*.csv", folder) == ["cache/ab/d.csv"], "a cache that is named is meant"
    assert matches("a.csv", folder) == ["a.csv"]


def test_a_name_that_is_there_is_no_pattern(tmp_path: Path) -> None:
    project = tmp_path / "thesis [2024]"
    for name in ("data [a]/x.csv", "data a/y.csv", "part1.csv"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("x")

    def found(pattern: str) -> list[str]:
        return matches(escape_existing(pattern, project), project)

    assert found("data [a]/*.csv") == ["data [a]/x.csv"]
    assert found("data [a]/x.csv") == ["data [a]/x.csv"]
    assert found("part[0-9].csv") == ["part1.csv"]
    assert found("data [b]/*.csv") == []
    absolute = escape_existing(project / "*/*.csv", tmp_path)
    assert matches(absolute) == [f"{project}/data [a]/x.csv", f"{project}/data a/y.csv"]


def test_a_link_to_itself_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a")
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    assert dict(walk(tmp_path)) == {"a.csv": "", "loop.csv": "a link to nothing"}
