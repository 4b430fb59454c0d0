"""The key of a node: what it is made of, and that the place of a ready-made op's module is no part of it."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import runway
from runway.pipeline.keys.code import Code
from runway.pipeline.keys.key import KeyParts

if TYPE_CHECKING:
    from tests.conftest import Project


def parts(**changes: object) -> KeyParts:
    facts = {
        "transform": "Clean",
        "code": Code({"ops.Clean": "1"}, frozenset()),
        "arguments": {"size": 1, "inner": {"a": [1]}},
        "inputs": [("input:A", "aa")],
        "takes_list": False,
        "versions": {},
        "where": "here",
    }
    return KeyParts(**(facts | changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"code": Code({"ops.Clean": "2"}, frozenset())}, ["code: ops.Clean changed"]),
        ({"code": Code({"ops.Clean": "1", "ops.f": "3"}, frozenset())}, ["code: ops.f is used now"]),
        ({"arguments": {"size": 1.0, "inner": {"a": [1]}}}, ["argument size 1 → 1.0"]),
        ({"arguments": {"size": 1, "inner": {"a": [1], "b": None}}}, ["argument inner.b added: null"]),
        ({"arguments": {"size": 1, "inner": {}}}, ["argument inner.a removed"]),
        ({"inputs": [("input:A", "bb")]}, ["input input:A"]),
        ({"takes_list": True}, ["input_node input:A → [input:A]"]),
        ({"inputs": []}, ["input_node input:A → none"]),
        ({"versions": {"numpy": "2"}}, ["version of numpy None → 2"]),
    ],
)
def test_what_changes_the_key_is_what_is_told(changes: dict, said: list[str]) -> None:
    old, new = parts(), parts(**changes)
    assert old.key() == parts().key() != new.key()
    assert new.differences(old.plain()) == said
    assert old.differences(parts().plain()) == []


def test_names_are_no_part_of_the_key() -> None:
    renamed = parts(transform="Other", inputs=[("input:Renamed", "aa")], where="elsewhere")
    assert renamed.key() == parts().key()


CONFIG = """
    {
      data_pipeline: { transforms: {
        'input:Rows': { transform_name: 'LoadHFDataset', setup_kwargs: { dataset_path: 'rows.csv' } },
        'process:Select': { transform_name: 'SelectRows', input_node: 'input:Rows', setup_kwargs: { num_rows: 3 } },
        'process:Own': { transform_name: 'Own', input_node: 'process:Select' },
        'output:Columns': {
          transform_name: 'SelectColumns', input_node: 'process:Own', setup_kwargs: { columns: ['text'] },
        },
      } },
    }
"""
OWN = """
    from runway import register_transform_functor
    from runway.transforms.base import HFDatasetTransform

    @register_transform_functor
    class Own(HFDatasetTransform):
        def _call(self, data):
            from runway.transforms.base import as_dataset_dict

            return as_dataset_dict(data)
"""


def test_a_moved_module_runs_nothing_again(project: Project, tmp_path: Path) -> None:
    project.write("rows.csv", "text,label\na,0\nb,1\nc,0\nd,1\n")
    project.write("config.jsonnet", CONFIG)
    project.write("src/data_ops/own.py", OWN)
    project.run("prepare", "config.jsonnet")

    moved = tmp_path / "moved"
    shutil.copytree(Path(runway.__file__).parent, moved / "runway", ignore=shutil.ignore_patterns("__pycache__"))
    transforms = moved / "runway" / "transforms"
    (transforms / "elsewhere").mkdir()
    (transforms / "elsewhere" / "__init__.py").touch()
    new_places = {
        "runway.transforms.datasets.rows": "runway.transforms.elsewhere.picking",
        "runway.transforms.loading.data_files": "runway.transforms.elsewhere.reading",
        "runway.transforms.arrow_tables": "runway.transforms.elsewhere.columns",
    }
    for old, new in new_places.items():
        source = moved / (old.replace(".", os.sep) + ".py")
        source.rename(moved / (new.replace(".", os.sep) + ".py"))
    for file in moved.rglob("*.py"):
        text = file.read_text()
        for old, new in new_places.items():
            text = re.sub(rf"\b{re.escape(old)}\b", new, text)
        file.write_text(text)

    environment = {"PYTHONPATH": str(moved)}
    where = project.python("-c", "import runway; print(runway.__file__)", env=environment).stdout
    assert str(moved) in where
    assert "no nodes ran" in project.run("prepare", "config.jsonnet", env=environment).stderr
    picking = transforms / "elsewhere" / "picking.py"
    text = picking.read_text()
    picking.write_text(text.replace("select_columns(self.columns)", "select_columns(list(self.columns))"))
    assert picking.read_text() != text
    assert "1 node ran" in project.run("prepare", "config.jsonnet", env=environment).stderr
