"""Run folders: names that stay inside, versions that are claimed once, files that are whole."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from runway.errors import ConfigError, ExperimentError
from runway.experiment.folders.run_folder import ExperimentFolder, RunFolder, folder_name, read_json, write_json


@pytest.mark.parametrize("name", ["bert-imdb", "a.b", "größe_1", "lr=1e-4+small", "list"])
def test_a_plain_name_is_taken_as_it_is(name: str) -> None:
    assert folder_name(name, "experiment_name") == name


@pytest.mark.parametrize(
    "name", ["", "  ", "../up", "a/b", "/abs", "..", ".", ".hidden", "a\\b", "nul\0", "x" * 300, None, 3]
)
def test_a_name_cannot_leave_its_folder(name: object, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        ExperimentFolder(tmp_path, name)  # type: ignore[arg-type]
    assert caught.value.where == "experiment_name"


def test_a_test_suffix_cannot_leave_the_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="test_suffix"):
        RunFolder(tmp_path, 0).test("../../elsewhere")


def test_versions_are_counted_from_zero_and_never_reused_while_there(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path / "runs", "tiny")
    first, second = folder.claim(), folder.claim()
    ExperimentFolder(tmp_path / "runs", "tiny_V1").claim()  # another experiment whose name looks like a version
    assert [first.path.name, second.path.name] == ["tiny_V0", "tiny_V1"]
    folder.remove([first])
    assert folder.claim().version == 2
    assert [run.version for run in folder.versions()] == [1, 2]


def test_tags_are_part_of_the_name_but_not_of_the_count(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path, "tiny")
    folder.claim()
    tagged = folder.claim(["small", "fast"])
    assert tagged.path.name == "tiny_V1_tag:small+fast"
    assert folder.get(1).tags == ("small", "fast")
    assert folder.claim().version == 2
    for bad in (["../x"], ["a" * 120, "b" * 120], ["\udcff"]):
        with pytest.raises(ConfigError):
            folder.claim(bad)
    assert len(folder.versions()) == 3


def _claim_some(root: str) -> list[str]:
    folder = ExperimentFolder(Path(root), "tiny")
    return [folder.claim(["t"] if index % 2 else []).path.name for index in range(25)]


def test_two_processes_never_get_the_same_version(tmp_path: Path) -> None:
    with ProcessPoolExecutor(2) as pool:
        one, other = pool.map(_claim_some, [str(tmp_path)] * 2)
    versions = [name.split("_V")[1].split("_")[0] for name in one + other]
    assert len(set(versions)) == 50
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(one + other)


def test_a_version_that_is_not_there_is_an_error_that_lists_those_that_are(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path, "tiny")
    folder.claim()
    with pytest.raises(ExperimentError, match="no version 4") as caught:
        folder.get(4)
    assert "tiny_V0" in str(caught.value)
    with pytest.raises(ConfigError, match="whole number"):
        folder.get("latest")


def test_latest_passes_over_versions_that_will_not_do(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path, "tiny")
    trained, empty = folder.claim(), folder.claim()
    trained.saved_models.mkdir(parents=True)
    (trained.saved_models / "last.ckpt").touch()
    assert folder.latest(RunFolder.has_checkpoints, "checkpoints", "train").version == trained.version
    folder.remove([trained])
    with pytest.raises(ExperimentError, match="no version with checkpoints"):
        folder.latest(RunFolder.has_checkpoints, "checkpoints", "train it first")
    assert empty.path.is_dir()


def test_removing_a_linked_version_leaves_what_it_points_to(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "model.ckpt").touch()
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / "tiny_V0").symlink_to(precious)
    folder = ExperimentFolder(runs, "tiny")
    folder.remove(folder.versions())
    assert (precious / "model.ckpt").is_file()
    assert folder.versions() == []


def test_a_json_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "facts.json"
    write_json(path, {"a": 1, "path": Path("x"), "pair": (1, 2)})
    write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 2}
    assert [entry.name for entry in path.parent.iterdir()] == ["facts.json"]
    path.write_text("{half")
    with pytest.raises(ExperimentError, match=r"facts\.json is damaged"):
        read_json(path)
    assert read_json(tmp_path / "none.json", []) == []
