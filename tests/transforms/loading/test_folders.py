"""Which files of a folder are data, and of which split; held against what HF datasets takes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets.data_files import DataFilesDict, get_data_patterns

from runway.errors import DataError
from runway.transforms.loading.folders import choose_files
from tests.transforms.loading.conftest import fill

Make = Callable[..., Any]
ALIKE = [
    ["train.csv", "test.csv"],
    ["train_0.csv", "train_1.csv", "test_0.csv", "README.md"],
    ["my-train-file.csv", "my-test-file.csv", "notes.csv"],
    ["reviews.csv"],
    ["a/x.csv", "a/y.csv"],
    ["train/a.csv", "train/b.csv", "validation/c.csv"],
    ["data/train/a.csv", "data/dev/b.csv", "data/other.csv"],
    ["data/train-00000-of-00002.csv", "data/train-00001-of-00002.csv", "data/unsupervised-00000-of-00001.csv"],
    ["data/train_sft-00000-of-00001.csv", "data/test_sft-00000-of-00001.csv", "extra.csv"],
    ["train.jsonl", "dataset_infos.json", "config.json"],
    ["train/test_1.csv", "test/train_1.csv"],
    ["x.csv", ".x.csv", ".ipynb_checkpoints/x-checkpoint.csv", "__pycache__/x.csv"],
    ["evaluation.csv", "training.csv"],
    ["latest.csv", "contest.csv"],
]


def taken(folder: Path, **settings: Any) -> dict[str, list[str]]:
    return choose_files(folder, where="here", **{"file_format": None, **settings}).splits


@pytest.mark.parametrize("names", ALIKE, ids=lambda names: names[0])
def test_the_same_as_hf(tmp_path: Path, names: list[str]) -> None:
    folder = str(fill(tmp_path / "set", names))
    patterns = get_data_patterns(folder)
    theirs = DataFilesDict.from_patterns(patterns, folder, allowed_extensions=[".csv", ".jsonl"])
    expected = {str(split): sorted(os.path.relpath(path, folder) for path in paths) for split, paths in theirs.items()}
    assert taken(Path(folder)) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        # HF would leave dev.jsonl, and take the last one twice
        (["test/a.csv", "dev.jsonl"], {"test": ["test/a.csv"], "validation": ["dev.jsonl"]}),
        (["train.csv", "train_test.csv"], {"train": ["train.csv", "train_test.csv"]}),
        (["Train.csv", "TEST.csv"], {"train": ["Train.csv"], "test": ["TEST.csv"]}),
        # HF would take these for rows
        (["a.txt", "README.txt", "LICENSE.txt", "Licence.txt"], {"train": ["a.txt"]}),
        (["a.jsonl", "state.json", "datapackage.json"], {"train": ["a.jsonl"]}),
        (["part-0.csv", "_SUCCESS", "_delta_log/0.json", "_tmp/part-1.csv"], {"train": ["part-0.csv"]}),
        (["licenses.csv"], {"train": ["licenses.csv"]}),
        # a text beside a table is a note, and so is what is of the rarer format
        (["reviews.csv", "words.txt"], {"train": ["reviews.csv"]}),
        (["a.csv", "b.csv", "stats.json"], {"train": ["a.csv", "b.csv"]}),
        (["a.txt", "b.txt", "c.csv"], {"train": ["a.txt", "b.txt"]}),
        # at the root too, where all are shards and one is of a known split
        (["train-00000-of-00001.csv", "rest-00000-of-00001.csv"],
         {"train": ["train-00000-of-00001.csv"], "rest": ["rest-00000-of-00001.csv"]}),
    ],
)  # fmt: skip
def test_better_than_hf(tmp_path: Path, names: list[str], expected: dict) -> None:
    assert taken(fill(tmp_path, names)) == expected


def test_a_draw_of_formats_is_asked_back(tmp_path: Path) -> None:
    fill(tmp_path, ["reviews.csv", "stats.json"])
    with pytest.raises(DataError, match=r"several formats: reviews.csv, stats.json") as caught:
        taken(tmp_path)
    assert "file_format to 'csv' or 'json'" in str(caught.value)
    assert taken(tmp_path, file_format="csv") == {"train": ["reviews.csv"]}
    assert taken(tmp_path, file_format="tsv") == {"train": ["reviews.csv", "stats.json"]}


def test_a_format_for_files_whose_names_say_none(tmp_path: Path) -> None:
    fill(tmp_path, ["a.log", "b.log"])
    with pytest.raises(DataError, match="no data files"):
        taken(tmp_path)
    assert taken(tmp_path, file_format="text") == {"train": ["a.log", "b.log"]}


def test_a_folder_of_images_names_the_builder(tmp_path: Path) -> None:
    fill(tmp_path, ["a.jpg", "b.jpg"])
    with pytest.raises(DataError, match="imagefolder"):
        taken(tmp_path)


def test_what_was_taken_and_left_is_told(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    fill(tmp_path / "set", ["train.csv", "more.csv", "README.txt", "a.bin", ".git/x.csv"])
    (tmp_path / "set" / "test").symlink_to(tmp_path / "nowhere")
    loaded = make("LoadHFDataset", dataset_path="set")()
    told = capsys.readouterr().err
    assert loaded["train"]["text"][:] == ["train.csv"]
    for part in (
        "train from set: 1 (train.csv)",
        "left out of set, about the data: 1 (README.txt)",
        "left out of set, hidden: 1 (.git)",
        "left out of set, in no format that is read here: 1 (a.bin)",
        "left out of set, with no split in the name, where others have one: 1 (more.csv); what is to be taken can",
        "left out of set, a link to nothing: 1 (test)",
    ):
        assert part in told, told


def test_linked_folders_are_read_and_tracked(make: Make, tmp_path: Path) -> None:
    fill(tmp_path, ["scratch/a.csv", "data/train.csv"])
    (tmp_path / "data" / "test").symlink_to(tmp_path / "scratch")
    (tmp_path / "scratch" / "loop").symlink_to(tmp_path / "data")
    loaded = make("LoadHFDataset", dataset_path="data")()
    assert {name: len(part) for name, part in loaded.items()} == {"train": 1, "test": 1}
    node = make("LoadHFDataset", dataset_path="data/**/*.csv")
    assert len(node()["train"]) == 2, "not once for each round of the circle"


def test_patterns_leave_what_is_no_data(make: Make, tmp_path: Path) -> None:
    fill(tmp_path / "data", ["a.csv", "b.csv", "_SUCCESS", "README.md", "photo.jpg", "sub/c.csv", "sub/__x__/d.csv"])
    assert make("LoadHFDataset", dataset_path="data/*")()["train"]["text"][:] == ["a.csv", "b.csv"]
    assert len(make("LoadHFDataset", dataset_path="data/**/*.csv")()["train"]) == 3
    assert len(make("LoadHFDataset", dataset_path="data/sub/__*/*.csv")()["train"]) == 1
    fill(tmp_path / "texts", ["a.txt", "README.txt"])
    assert len(make("LoadHFDataset", dataset_path="texts/*.txt")()["train"]) == 2
    assert len(make("LoadHFDataset", dataset_path="texts/README.txt")()["train"]) == 2, "named, it is meant"


def test_a_folder_may_stand_for_the_files_of_a_split(make: Make, tmp_path: Path) -> None:
    fill(tmp_path, ["a/x.csv", "a/README.txt", "b/y.csv", "c/train.csv", "c/test.csv"])
    loaded = make("LoadHFDataset", dataset_path={"train": ["a", "b/y.csv"], "test": "b"})()
    assert {name: len(part) for name, part in loaded.items()} == {"train": 2, "test": 1}
    with pytest.raises(DataError, match="the folder 'c' has the splits test, train"):
        make("LoadHFDataset", dataset_path={"train": "c"})()
