"""What a README.md says of the files beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runway.errors import DataError
from runway.transforms.loading.readme import files_of_readme
from tests.transforms.loading.conftest import fill

Make = Callable[..., Any]

README = """---
configs:
- config_name: small
  default: true
  data_files:
  - split: train
    path: rows/*.csv
  - split: held_out
    path: [other.csv]
  sep: ";"
- config_name: large
  data_files: "**/*.csv"
---
# A set
"""


def test_a_readme_says_which_files(make: Make, tmp_path: Path) -> None:
    folder = fill(tmp_path / "set", ["rows/a.csv", "rows/b.csv", "other.csv", "train.csv"])
    (folder / "rows" / "a.csv").write_text("text;label\nx;1\n")
    (folder / "rows" / "b.csv").write_text("text;label\ny;1\n")
    (folder / "README.md").write_text(README)
    loaded = make("LoadHFDataset", dataset_path="set")()
    assert loaded["train"].to_list() == [{"text": "x", "label": 1}, {"text": "y", "label": 1}]
    assert loaded["held_out"].to_list() == [{"text": "other.csv"}]
    choice, _ = files_of_readme(folder, "large", "here")  # type: ignore[misc]
    assert choice.splits == {"train": ["other.csv", "rows/a.csv", "rows/b.csv", "train.csv"]}
    with pytest.raises(DataError, match="there is no folder 'largest'"):
        make("LoadHFDataset", dataset_path="set", subset="largest")()
    assert len(make("LoadHFDataset", dataset_path="set", subset="rows", file_format="csv")()["train"]) == 2
    (folder / "README.md").write_text("---\nconfigs:\n- config_name: a\n  data_dir: rows\n---\n")
    assert len(make("LoadHFDataset", dataset_path="set")()["train"]) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("---\nconfigs: 3\n---\n", "README.md cannot be read"),
        ("---\nconfigs:\n- config_name: a\n  data_files: nowhere.csv\n---\n", "there is no such file"),
        ("---\nconfigs:\n- config_name: a\n  data_files: ../x.csv\n---\n", "not in its folder"),
        ("---\nconfigs:\n- config_name: a\n  data_dir: ../set\n---\n", "not in its folder"),
        ("---\nconfigs:\n- config_name: a\n- config_name: b\n---\n", "to one of: a, b"),
    ],
)  # fmt: skip
def test_mistakes_of_a_readme(make: Make, tmp_path: Path, text: str, expected: str) -> None:
    fill(tmp_path, ["set/x.csv", "x.csv"])
    (tmp_path / "set" / "README.md").write_text(text)
    with pytest.raises(DataError) as caught:
        make("LoadHFDataset", dataset_path="set")()
    assert expected in str(caught.value)


def test_a_readme_without_configs_changes_nothing(make: Make, tmp_path: Path) -> None:
    fill(tmp_path / "set", ["train.csv", "README.md"])
    for text in ("# A set", "---\nlicense: mit\n---\n", "---\nA title: between: rules\n---\n"):
        (tmp_path / "set" / "README.md").write_text(text)
        assert len(make("LoadHFDataset", dataset_path="set")()["train"]) == 1
