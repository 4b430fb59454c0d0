"""`runway inspect`: what a node gives, printed or at a prompt."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.terminal import Terminal, ask, end

if TYPE_CHECKING:
    from tests.conftest import Project

CONFIG = """\
{
  experiment_name: 'look',
  own: { api_key: 'sk-not-for-all-1' },
  data_pipeline: {
    transforms: {
      'input:Load': { transform_name: 'LoadHFDataset', setup_kwargs: { dataset_path: 'reviews.csv' } },
      'process:Split': {
        input_node: 'input:Load',
        transform_name: 'SplitHFDatasetToTrainTestValidation',
        setup_kwargs: { test_size: 0.5 },
      },
      'process:rows': { transform_name: 'Make', setup_kwargs: { what: 'rows' } },
      'process:frame': { transform_name: 'Make', setup_kwargs: { what: 'frame' } },
      'process:number': { transform_name: 'Make', setup_kwargs: { what: 'number' } },
      'process:secret': { transform_name: 'Make', setup_kwargs: { what: 'secret' } },
      'process:loader': { transform_name: 'Make', setup_kwargs: { what: 'loader' }, cache: false },
    },
  },
}
"""
OPERATIONS = """
from runway import BaseTransform, register_transform_functor


@register_transform_functor
class Make(BaseTransform):
    def setup(self, what):
        self.what = what

    def _call(self, data):
        rows = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
        if self.what == "frame":
            import pandas as pd

            return pd.DataFrame(rows)
        if self.what == "secret":
            return [{"said": "with " + self.global_config.own.api_key, "token": "a word"}]
        if self.what == "loader":
            import torch

            return {"train": [torch.utils.data.DataLoader([torch.zeros(3)] * 5, batch_size=2)]}
        return {"rows": rows, "number": 42}[self.what]
"""


@pytest.fixture
def looked_at(project: Project) -> Project:
    """A file of eight reviews, loaded."""
    lines = "".join(f"{'word ' * length}{length},{length % 2}\n" for length in range(1, 9))
    project.write("reviews.csv", f"text,label\n{lines}")
    project.write("src/data_ops/ops.py", OPERATIONS)
    project.write("config.jsonnet", CONFIG)
    return project


def found(project: Project, *words: str) -> dict[str, Any]:
    """The JSON of `runway inspect`."""
    return json.loads(project.run("inspect", "config.jsonnet", *words, "--json").stdout)


def test_rows_of_a_kept_dataset_without_the_library(looked_at: Project) -> None:
    first = looked_at.run("inspect", "config.jsonnet", "input:Load", "--head", "2")
    assert "ran     input:Load" in first.stderr
    code = (
        "import sys; from runway.cli import main;"
        "code = main(['inspect', 'config.jsonnet', 'input:Load', '--head', '2']);"
        "print(code, sorted({'torch', 'datasets', 'pandas'} & set(sys.modules)))"
    )
    again = looked_at.python("-c", code)
    assert again.stderr == ""  # nothing runs
    assert again.stdout.endswith("0 []\n")
    *lines, _ = again.stdout.splitlines()
    assert lines[0].startswith("input:Load: cached, ")
    # What is printed is the same, whether it was read with the library or without.
    assert first.stdout.splitlines()[1:] == lines[1:]
    assert lines[2].startswith("  train: Dataset, 8 rows, ")
    assert "text (string)  length 6 to 41, median 23.5" in lines[3]
    assert "label (int64)  1 4 (50%), 0 4 (50%)" in lines[4]
    assert "word word 2" in again.stdout
    assert "word word word 3" not in again.stdout


def test_conditions_and_splits(looked_at: Project) -> None:
    words = ("process:Split", "--where", "label == 1 and text min_length 10")
    both = found(looked_at, *words)["splits"]
    rows = [row for part in both.values() for row in part["head"]]
    assert sorted(len(row["text"].split()) - 1 for row in rows) == [3, 5, 7]
    assert found(looked_at, *words, "--split", "test")["splits"].keys() == {"test"}
    for wrong, message in (
        (("--split", "tset"), "did you mean 'test'?"),
        (("--where", "lable == 1"), "did you mean 'label'?"),
        (("--where", "label"), "cannot be read"),
        (("--where", "label contains 1"), "does not go with the column's type"),
    ):
        refused = looked_at.run("inspect", "config.jsonnet", "process:Split", *wrong, check=False)
        assert (refused.returncode, message in refused.stderr) == (2, True), refused.stderr


def test_other_values_are_told_alike_when_they_are_kept(looked_at: Project) -> None:
    code = """
        import json
        from runway.cli import main
        for node in ("rows", "frame", "number", "loader", "secret"):
            print("#", main(["inspect", "config.jsonnet", f"process:{node}", "--json"]))
    """
    runs = [looked_at.python("-c", textwrap.dedent(code)).stdout for _ in range(2)]
    fresh, kept = ([json.loads(part) for part in text.split("# 0\n")[:5]] for text in runs)
    assert [{**one, "state": ""} for one in fresh] == [{**one, "state": ""} for one in kept]
    rows, frame, number, loader, secret = kept
    assert secret["splits"][""]["head"] == [{"said": "with ***", "token": "a word"}]
    assert (rows["type"], frame["type"]) == ("list", "DataFrame")
    for told in (rows, frame):
        assert told["splits"][""]["head"] == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    assert (number["sample"], number["splits"]) == ("42", {})
    assert loader["parts"]["train"]["parts"]["0"]["batch"] == {"": "float32 [2, 3]"}


def test_a_prompt_with_the_data(looked_at: Project) -> None:
    looked_at.write("hide/IPython.py", "raise ImportError")
    terminal = Terminal(looked_at)
    try:
        path = f"{looked_at.path}/hide:{looked_at.environment()['PYTHONPATH']}"
        child = terminal("inspect", "config.jsonnet", "input:Load", PYTHONPATH=path)
        child.expect(">>> ")
        assert "`data` is what input:Load gives" in child.before
        assert ask(child, "data['train'].num_rows", ">>> ") == "8"
        assert end(child, "exit()")[1] == 0
        pytest.importorskip("IPython")
        child = terminal("inspect", "config.jsonnet", "input:Load", IPYTHONDIR=str(looked_at.path))
        child.expect(r"In \[")
        ask(child, "data['train'].num_rows", r"Out\[.*8")
        assert end(child, "exit")[1] == 0
    finally:
        terminal.close()
