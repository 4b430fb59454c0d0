"""The state of what a node has read: values of the config, files, flags."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runway.config.reads import Reads
from runway.pipeline.keys.tracked import RACY_NS, KnownFiles, read_set, states
from runway.transforms.base import BaseTransform
from runway.walk import mark_as_cache


def state(project: Path, kind: str, name: str, known: KnownFiles | None = None) -> str:
    names = {"config": [], "files": [[kind, name]], "flags": []}
    return states(names, {}, {}, {} if known is None else known, project)[f"{kind} {name}"]


def test_names_of_files_in_the_project_are_relative_to_it(tmp_path: Path) -> None:
    reads = Reads(files={("file", f"{tmp_path}/data/a.csv"), ("glob", "/elsewhere/*.csv")}, flags={"b": 1, "a": 2})
    names = read_set(reads, tmp_path)
    assert names["files"] == [["file", "data/a.csv"], ["glob", "/elsewhere/*.csv"]]
    assert names["flags"] == ["a", "b"]


def test_the_content_of_a_file_counts_and_not_its_time(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    absent = state(tmp_path, "file", "a.txt")
    file.write_text("one")
    first = state(tmp_path, "file", "a.txt")
    file.write_text("two")
    assert len({absent, first, state(tmp_path, "file", "a.txt")}) == 3
    file.write_text("one")
    assert state(tmp_path, "file", "a.txt") == first


def test_a_file_that_is_edited_within_the_clocks_grain_is_read_again(tmp_path: Path) -> None:
    known: KnownFiles = {}
    file = tmp_path / "large.bin"
    found = set()
    for letter in "abc":
        file.write_bytes(letter.encode() * 300_000)  # too large to be read at each look-up
        found.add(state(tmp_path, "file", "large.bin", known))
    assert len(found) == 3


def test_what_is_known_of_a_file_is_taken_where_it_was_hashed_well_after_the_last_write(tmp_path: Path) -> None:
    file = tmp_path / "large.bin"
    file.write_bytes(b"a" * 300_000)
    known: KnownFiles = {}
    first = state(tmp_path, "file", "large.bin", known)
    status = file.stat()
    written = max(status.st_mtime_ns, status.st_ctime_ns)
    known["large.bin"][4:] = [written + RACY_NS, "known"]
    assert state(tmp_path, "file", "large.bin", known) == first
    known["large.bin"][4:] = [written + RACY_NS + 1, "known"]
    assert state(tmp_path, "file", "large.bin", known) == "known"


def test_a_project_that_moved_is_in_the_same_state(tmp_path: Path) -> None:
    for name in ("here", "there"):
        (tmp_path / name / "data").mkdir(parents=True)
        (tmp_path / name / "data" / "a.csv").write_text("x")
    for kind, name in (("file", "data"), ("file", "data/a.csv"), ("glob", "data/*.csv")):
        assert state(tmp_path / "here", kind, name) == state(tmp_path / "there", kind, name)


def test_all_that_is_in_a_folder_counts(tmp_path: Path) -> None:
    inner = tmp_path / "data" / "deep"
    inner.mkdir(parents=True)
    (inner / "a.txt").write_text("one")
    first = state(tmp_path, "file", "data")
    (inner / "b.txt").write_text("")
    second = state(tmp_path, "file", "data")
    (inner / "b.txt").rename(inner / "c.txt")
    assert len({first, second, state(tmp_path, "file", "data")}) == 3


def test_what_matches_a_pattern_later_counts(tmp_path: Path) -> None:
    before = state(tmp_path, "glob", "*.csv")
    (tmp_path / "a.txt").write_text("x")
    assert state(tmp_path, "glob", "*.csv") == before
    (tmp_path / "a.csv").write_text("x")
    assert state(tmp_path, "glob", "*.csv") != before


def test_values_of_the_config_and_flags(tmp_path: Path) -> None:
    names = {"config": [["value", ["train", "size"]], ["presence", ["other"]]], "files": [], "flags": ["dummy"]}

    def found(config: Any, **flags: Any) -> dict[str, str]:
        return states(names, config, flags, {}, tmp_path)

    base = found({"train": {"size": 1}}, dummy=True)
    assert list(base) == ["config train.size", "config other", "flag dummy"]
    assert found({"train": {"size": 1, "lr": 2}, "new": 1}, dummy=True) == base
    for config, dummy in (({"train": {"size": 1.0}}, True), ({"train": {}}, True), ({"train": {"size": 1}}, False)):
        assert found(config, dummy=dummy) != base
    assert found({"train": {"size": 1}, "other": None}, dummy=True) != base  # null is not absent


def test_linked_folders_count_and_a_cache_does_not(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "scratch").mkdir()
    (tmp_path / "data" / "test").symlink_to(tmp_path / "scratch")
    first = state(tmp_path, "file", "data")
    (tmp_path / "scratch" / "a.csv").write_text("x")
    second = state(tmp_path, "file", "data")
    assert second != first
    mark_as_cache(tmp_path / "scratch")
    pattern = state(tmp_path, "glob", "data/*/*.csv")
    assert state(tmp_path, "file", "data") == first
    (tmp_path / "scratch" / "b.csv").write_text("x")
    assert state(tmp_path, "file", "data") == first
    assert state(tmp_path, "glob", "data/*/*.csv") == pattern


def test_hidden_files_count_to_a_path_and_not_to_a_folder_of_data(tmp_path: Path) -> None:
    (tmp_path / "data" / ".ipynb_checkpoints").mkdir(parents=True)
    path, data = (state(tmp_path, kind, "data") for kind in ("file", "folder"))
    (tmp_path / "data" / ".ipynb_checkpoints" / "a.csv").write_text("x")
    assert state(tmp_path, "file", "data") != path
    assert state(tmp_path, "folder", "data") == data
    (tmp_path / "data" / "a.csv").write_text("x")
    assert state(tmp_path, "folder", "data") != data


def test_brackets_in_the_projects_path_are_no_pattern(tmp_path: Path) -> None:
    found = set()
    for name in ("thesis [2024]", "moved [2025]"):
        project = tmp_path / name
        project.mkdir()
        (project / "a.csv").write_text("x")
        node = BaseTransform(project=project)
        assert node.track_glob("*.csv") == [project / "a.csv"]
        names = read_set(node._runway_reads, project)
        assert names["files"] == [["glob", "*.csv"]]
        found.add(states(names, {}, {}, {}, project)["glob *.csv"])
        (project / "b.csv").write_text("x")
        assert state(project, "glob", "*.csv") not in found
        assert node._runway_reads.changed_since() == [("glob", f"{tmp_path}/{name}/*.csv".replace("[", "[[]"))]
    assert len(found) == 1
