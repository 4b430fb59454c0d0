"""The builders of HF datasets over local files: relative to the project, tracked, never from HF's cache."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runway.errors import ConfigError, DataError
from tests.transforms.loading.conftest import fill

Make = Callable[..., Any]


def png(color: int) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("L", (2, 2), color).save(buffer, "PNG")
    return buffer.getvalue()


def test_an_image_folder_is_relative_to_the_project_and_tracked(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("photos [1]/train/cat/a.png", "photos [1]/train/dog/b.png", "photos [1]/test/cat/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(png(3))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    settings = {"dataset_name": "imagefolder", "load_kwargs": {"data_dir": "photos [1]"}}
    node = make("LoadHFDataset", **settings)
    loaded = node()
    assert {name: len(part) for name, part in loaded.items()} == {"train": 2, "test": 1}
    assert loaded["train"].features["label"].names == ["cat", "dog"]
    assert node._runway_reads.files == {("folder", str(tmp_path / "photos [1]"))}

    def stored(part: Any) -> bytes:
        return part.with_format("arrow")[0].column("image")[0].as_py()["bytes"]

    assert stored(loaded["test"]) == png(3), "the rows hold the image, not the name of its file"
    path = tmp_path / "photos [1]/test/cat/c.png"
    status = path.stat()
    path.write_bytes(png(9))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    assert stored(make("LoadHFDataset", **settings)()["test"]) == png(9), "size and time are as before"
    dummy = make("LoadHFDataset", **settings, dummy_rows=1, use_dummy_data=True)()
    assert {name: len(part) for name, part in dummy.items()} == {"train": 1, "test": 1}


def test_a_pattern_for_a_builder_takes_what_the_builder_reads(make: Make, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(png(1))
    (tmp_path / "photos" / "metadata.csv").write_text("file_name,text\na.png,a photo\n")
    (tmp_path / "photos" / "notes.txt").write_text("x")
    settings = {"dataset_name": "imagefolder", "load_kwargs": {"data_files": {"train": "photos/*"}}}
    assert make("LoadHFDataset", **settings)()["train"]["text"][:] == ["a photo"]


def test_files_are_named_once(make: Make, data: Path) -> None:
    for path in ({"train": "data/r.csv"}, ["data/r.csv"], "data/r.csv"):
        with pytest.raises(ConfigError, match=r"`load_kwargs.data_files` and `dataset_path` both name files"):
            make("LoadHFDataset", dataset_path=path, load_kwargs={"data_files": "data/r.tsv"})()


def test_builders_of_formats_that_are_read_here(make: Make, data: Path) -> None:
    for settings in (
        {"dataset_name": "csv", "load_kwargs": {"data_dir": "data", "data_files": {"test": ["r.c?v"]}}},
        {"dataset_name": "csv", "load_kwargs": {"data_files": {"test": "data/r.csv"}}},
        {"dataset_path": "data", "load_kwargs": {"data_files": {"test": "r.csv"}}},
    ):
        loaded = make("LoadHFDataset", **settings)()
        assert {name: len(part) for name, part in loaded.items()} == {"test": 10}
    (data / "sub").mkdir()
    (data / "sub" / "train.csv").write_text("text\na\n")
    (data / "sub" / "train.json").write_text("[]")
    assert len(make("LoadHFDataset", dataset_name="csv", load_kwargs={"data_dir": "data/sub"})()["train"]) == 1
    assert (
        len(make("LoadHFDataset", dataset_path="data", load_kwargs={"data_dir": "sub"}, file_format="csv")()["train"])
        == 1
    )


def test_a_web_dataset(make: Make, tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(tmp_path / "shard.tar", "w") as archive:
        for name in ("0.txt", "1.txt"):
            info = tarfile.TarInfo(name)
            info.size = 1
            archive.addfile(info, io.BytesIO(b"x"))
    node = make("LoadHFDataset", dataset_name="webdataset", load_kwargs={"data_files": "*.tar"})
    assert len(node()["train"]) == 2
    assert node._runway_reads.files == {("glob", str(tmp_path / "*.tar"))}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"dataset_name": "imagefolder", "load_kwargs": {"data_dir": "photo"}}, "did you mean 'photos'"),
        ({"dataset_name": "imagefolder", "load_kwargs": {"data_dir": "empty"}}, "reads"),
        ({"dataset_name": "imagefolder", "load_kwargs": {"data_files": "x.png"}}, "there is no file"),
        ({"dataset_name": "imagefolder", "load_kwargs": {"data_dir": "photos", "nonsense": 1}}, "nonsense"),
        ({"dataset_name": "webdataset", "load_kwargs": {"data_files": "broken.tar"}}, "cannot read the files"),
    ],
)
def test_mistakes_with_builders(make: Make, tmp_path: Path, settings: dict, expected: str) -> None:
    fill(tmp_path, ["photos/a.png", "empty/a.csv", "broken.tar"])
    with pytest.raises(DataError) as caught:
        make("LoadHFDataset", **settings)()
    assert expected in str(caught.value)
