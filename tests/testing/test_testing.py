"""The helpers for a project's tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runway import BaseTransform, transform
from runway.errors import ConfigError, RunFailed
from runway.testing import assert_stable, check_config, run_transform
from runway.testing.freeze import freeze, record_file, told

LOADS = """{
  experiment_name: 'e',
  data_pipeline: { transforms: {
    'input:Load': { transform_name: 'LoadHFDataset', setup_kwargs: { dataset_path: 'rows.csv' } },
    'output:Some': { input_node: 'input:Load', transform_name: 'SelectRows', setup_kwargs: { num_rows: { train: 1 } } },
  } },
}"""


@transform
def join_words(data: Any, vocabulary: Any, sep: str = "-") -> str:
    return sep.join([*data, *vocabulary])


class TestingUpper(BaseTransform):
    __test__ = False

    def _call(self, data: Any) -> Any:
        return data.upper() + self.global_config["mark"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "rows.csv").write_text("text,label\na,1\nb,0\n")
    (tmp_path / "exp.jsonnet").write_text(LOADS)
    return tmp_path


def test_a_transform_by_name_class_or_function(project: Path) -> None:
    assert run_transform(TestingUpper, "a", config={"mark": "!"}, project=project) == "A!"
    joined = run_transform(join_words, ["a"], inputs={"vocabulary": ["b"]}, sep="+", project=project)
    assert joined == "a+b"
    rows = run_transform("FilterRows", [{"n": 1}, {"n": 2}], conditions={"n": 2}, project=project)
    assert rows["n"] == [2]
    splits = run_transform(
        "FilterRows", {"train": [{"n": 1}], "test": [{"n": 2}]}, conditions={"n": 1}, project=project
    )
    assert {name: len(part) for name, part in splits.items()} == {"train": 1, "test": 0}
    with pytest.raises(ConfigError, match="has no setting 'spe'"):
        run_transform(join_words, ["a"], inputs={"vocabulary": []}, spe="+", project=project)
    with pytest.raises(RunFailed, match="KeyError"):
        run_transform(TestingUpper, "a", project=project)


def test_a_config_is_checked_and_its_keys_are_stable(project: Path) -> None:
    assert list(check_config(project / "exp.jsonnet")) == ["input:Load", "output:Some"]
    with pytest.raises(ConfigError, match="there is no node"):
        check_config(project / "exp.jsonnet", "data_pipeline.transforms.output:Some.input_node=input:Lod")
    assert_stable(project / "exp.jsonnet")


def test_a_frozen_config_tells_which_node_has_moved(project: Path) -> None:
    file = freeze(project / "exp.jsonnet")
    assert file == record_file(project / "exp.jsonnet")
    assert told(file) is None
    (project / "rows.csv").write_text("text,label\na,1\nc,0\n")
    assert "node 'output:Some': input input:Load" in str(told(file))
    (project / "rows.csv").write_text("text,label\na,1\nb,0\n")
    (project / "exp.jsonnet").write_text(LOADS.replace("train: 1", "train: 2"))
    assert "node 'output:Some': argument num_rows.train 1 → 2" in str(told(file))
    file.write_text("{}")
    assert "this is no record of `runway freeze`" in str(told(file))


def test_the_plugin_makes_a_test_of_each_record(project: Path, request: pytest.FixtureRequest) -> None:
    from runway.testing.pytest_plugin import FrozenFile, Moved, pytest_collect_file

    file = freeze(project / "exp.jsonnet")
    session = request.session
    found = pytest_collect_file(file, session)
    assert isinstance(found, FrozenFile)
    assert pytest_collect_file(project / "exp.jsonnet", session) is None
    (item,) = found.collect()
    assert item.name == "exp"
    item.runtest()
    (project / "exp.jsonnet").write_text(LOADS.replace("train: 1", "train: 2"))
    with pytest.raises(Moved, match="num_rows"):
        item.runtest()


def test_a_training_goes_on_record_too(project: Path) -> None:
    """The first batch, the weights before the first step, the losses of three."""
    import json

    from tests.experiment.tiny import tiny_config

    tiny_config(project)
    file = freeze(project / "tiny.jsonnet")
    kept = json.loads(file.read_text())
    assert (len(kept["losses"]), sorted(kept["batch"])) == (3, ["0", "1", "2"])
    assert told(file) is None
    kept["losses"][2] += 1
    kept["weights"] = "other"
    file.write_text(json.dumps(kept))
    moved = str(told(file))
    assert "the weights before the first step differ" in moved
    assert "the loss of step 3 was" in moved
