"""The key of a training: what counts, what differs in words, and taking a version that is the same."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from runway.errors import ConfigError, ExperimentError
from runway.experiment.training_key import TrainingKey, training_key
from runway.registry import register_executor, register_transform_functor
from runway.transforms.base import BaseTransform
from tests.experiment.tiny import ExperimentRows, TinyRegression, names, same_weights, tiny, weights

if TYPE_CHECKING:
    from tests.conftest import Project


def key_of(project: Path, *overrides: str, **flags: Any) -> TrainingKey:
    """The key of a tiny training; its data is not kept, so nothing need be prepared."""
    return training_key(tiny(project, *overrides, **flags))


def record_of(train: Path) -> dict[str, Any]:
    """What a training has left of its key."""
    return json.loads((train / "provenance.json").read_text())["training"]


@pytest.mark.parametrize(
    "override",
    [
        "experiment_name=other",
        "test_suffix=second",
        "test.batch_size=7",
        "meta.logger_enable=[tensorboard]",
        "meta.default_cache_dir=elsewhere",
        "train.trainer_paras.log_every_n_steps=9",
        "train.trainer_paras.devices=1",
        "~eval",
    ],
)
def test_what_changes_nothing_of_the_result_does_not_count(tmp_path: Path, override: str) -> None:
    assert key_of(tmp_path).key() == key_of(tmp_path, override).key()


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("meta.seed=8", "meta.seed 7 → 8"),
        ("model_config.width=9", "model_config.width 8 → 9"),
        ("train.batch_size=3", "train.batch_size added: 3"),
        ("train.optimizer_config.optimizer_params.lr=0.1", "train.optimizer_config.optimizer_params.lr 0.01 → 0.1"),
        ("train.trainer_paras.max_epochs=3", "train.trainer_paras.max_epochs 2 → 3"),
        ("my_own={deep: [1, 2]}", 'my_own added: {"deep": [1, 2]}'),
        ("train.trainer_paras.devices=2", "ranks 1 → 2"),
        ("data_pipeline.transforms.output:Rows.setup_kwargs.valid=false", "data: the content of output:Rows"),
    ],
)
def test_what_counts_is_named_where_it_differs(tmp_path: Path, override: str, said: str) -> None:
    key, other = key_of(tmp_path), key_of(tmp_path, override)
    assert key.key() != other.key()
    assert other.differences(key.plain()) == [said]


def test_the_validations_evaluation_counts_where_it_is_monitored(tmp_path: Path) -> None:
    watched = ("train.model_checkpoint_callback_paras={monitor: 'mean_error', mode: 'min'}",)
    changed = "eval.pipeline_config.transforms.output:MeanError.inspect=true"
    assert key_of(tmp_path, *watched).key() != key_of(tmp_path, *watched, changed).key()
    assert key_of(tmp_path).key() == key_of(tmp_path, changed).key()


def test_weights_count_by_their_content(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(2)}, tmp_path / "one.pt")
    torch.save({"state_dict": {"a": torch.zeros(2)}, "epoch": 3}, tmp_path / "two.ckpt")
    torch.save({"a": torch.ones(2)}, tmp_path / "three.pt")
    one, two, three = (key_of(tmp_path, f"train.load_model_path={name}") for name in ("one.pt", "two.ckpt", "three.pt"))
    assert one.key() == two.key() != three.key()
    assert three.differences(one.plain()) == ["train.load_model_path: the content of one.pt → three.pt"]


def test_a_folder_that_is_named_counts_by_its_content(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "config.json").write_text("{}")
    one, two = (key_of(tmp_path, f"model_config.folder=models/{name}") for name in ("a", "b"))
    assert one.key() == two.key()
    (tmp_path / "models" / "b" / "config.json").write_text('{"x": 1}')
    assert key_of(tmp_path, "model_config.folder=models/b").key() != two.key()


def test_a_file_that_a_setting_names_counts_without_a_slash(tmp_path: Path) -> None:
    settings = ("model_config.vocabulary=words.txt", "executor.init_kwargs.own={weights: 'weights.json'}")
    files = (tmp_path / "words.txt", tmp_path / "weights.json")
    for file in files:
        file.write_text("1")
    keys = [key_of(tmp_path, *settings).key()]
    for file in files:
        file.write_text("2")
        keys.append(key_of(tmp_path, *settings).key())
    assert len(set(keys)) == 3


@pytest.mark.parametrize("text", ["/", "./", "../", "a/" + "b" * 300, "~nobody-of-this-name/x"])
def test_a_text_that_is_no_path_of_a_file_counts_as_a_text(tmp_path: Path, text: str) -> None:
    key = key_of(tmp_path, f"model_config.split_at={json.dumps(text)}")
    assert list(key.contents) == ["executor.init_kwargs.use_data_node"]


def test_data_that_is_not_prepared_has_no_key(tmp_path: Path) -> None:
    experiment = tiny(tmp_path, "data_pipeline.transforms.output:Rows.cache=true")
    with pytest.raises(ExperimentError, match="output:Rows has yet to run"):
        training_key(experiment)
    experiment.prepare_data()
    assert training_key(experiment).key()


def test_the_key_stands_in_the_provenance_and_is_the_same_for_the_same_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (tiny(tmp_path).train() for _ in range(2))
    assert record_of(first.path)["key"] == record_of(second.path)["key"] == key_of(tmp_path).key()
    assert "the same as tiny_V0: --reuse takes that" in capsys.readouterr().err
    assert first.checkpoint
    assert second.checkpoint
    assert same_weights(weights(first.checkpoint), weights(second.checkpoint))
    tiny(tmp_path, "train.batch_size=3", "meta.seed=8").train()
    assert "differs from tiny_V1: meta.seed 7 → 8; train.batch_size added: 3" in capsys.readouterr().err


def test_reuse_takes_the_finished_version_and_its_test_is_of_it(tmp_path: Path) -> None:
    first = tiny(tmp_path).train()
    tiny(tmp_path, "meta.seed=8").train()
    experiment = tiny(tmp_path, reuse=True)
    result = experiment.train()
    assert (result.path, result.checkpoint) == (first.path, first.checkpoint)
    assert result.metrics["val_loss"] == pytest.approx(first.metrics["val_loss"])
    assert names(tmp_path / "runs") == ["tiny_V0", "tiny_V1"]
    assert experiment.test().path.parent.parent.name == "tiny_V0"  # not the newest


def test_reuse_trains_where_nothing_is_the_same(tmp_path: Path) -> None:
    tiny(tmp_path).train()
    assert tiny(tmp_path, "meta.seed=8", reuse=True).train().path.parent.name == "tiny_V1"
    with pytest.raises(ConfigError, match="contradict"):
        tiny(tmp_path, reuse=True, resume=True).train()
    with pytest.raises(ConfigError, match="the mode is 'test'"):
        tiny(tmp_path, reuse=True).test()


@pytest.mark.parametrize("status", ["running", "failed", "interrupted"])
def test_what_is_not_finished_is_not_taken(tmp_path: Path, status: str, capsys: pytest.CaptureFixture[str]) -> None:
    first = tiny(tmp_path).train()
    record = json.loads((first.path / "provenance.json").read_text())
    (first.path / "provenance.json").write_text(json.dumps({**record, "status": status}))
    assert tiny(tmp_path, reuse=True).train().path.parent.name == "tiny_V1"
    assert "the same as tiny_V0, which is not finished" in capsys.readouterr().err


def test_a_finished_version_whose_checkpoints_are_gone_is_not_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = tiny(tmp_path).train()
    shutil.rmtree(first.path / "saved_models")
    assert tiny(tmp_path, reuse=True).train().path.parent.name == "tiny_V1"
    assert "not finished" not in capsys.readouterr().err  # there is nothing to resume


def test_a_damaged_record_hides_no_other_version(tmp_path: Path) -> None:
    first = tiny(tmp_path).train()
    second = tiny(tmp_path, "meta.seed=8").train()
    (second.path / "provenance.json").write_text("{")
    assert tiny(tmp_path, reuse=True).train().path == first.path


def test_a_resumed_training_keeps_its_key_unless_something_differs(tmp_path: Path) -> None:
    first = tiny(tmp_path).train()
    clean = record_of(first.path)["key"]
    tiny(tmp_path, resume=True).train()
    assert record_of(first.path)["key"] == clean
    lr = "train.optimizer_config.optimizer_params.lr"
    more = ("train.trainer_paras.max_epochs=3", f"{lr}=0.1")
    tiny(tmp_path, *more, resume=True, take_new=[lr]).train()
    record = record_of(first.path)
    assert record["key"] not in (clean, key_of(tmp_path, *more).key())
    assert record["resumed"][0]["key"] == clean
    assert record["resumed"][0]["step"] == 20
    assert f"{lr} 0.01 → 0.1" in record["resumed"][0]["changes"]
    tiny(tmp_path, *more, resume=True).train()
    assert record_of(first.path)["key"] == record["key"]
    assert tiny(tmp_path, *more, reuse=True).train().path.parent.name == "tiny_V1"


def test_going_on_from_a_version_without_a_key_gives_none(tmp_path: Path) -> None:
    first = tiny(tmp_path).train()
    record = json.loads((first.path / "provenance.json").read_text())
    del record["training"]
    (first.path / "provenance.json").write_text(json.dumps(record))
    tiny(tmp_path, "train.trainer_paras.max_epochs=3", resume=True).train()
    assert record_of(first.path) is None


EXECUTOR = '''
import torch
from runway import BaseExecutor, register_executor
from models.parts import scale

@register_executor
class Mine(BaseExecutor):
    """A model."""
    def _init_model(self, model_config):
        self.model = torch.nn.Linear(2, 1)

    def training_step(self, batch, batch_idx):
        return scale(self.model(batch)).mean()

    def test_step(self, batch, batch_idx):
        pass
'''


def test_code_that_changed_is_named(project: Project) -> None:
    """The executor's methods and what they reach; comments and docstrings do not count."""
    project.write("src/models/parts.py", "def scale(x):\n    return 2 * x\n")
    project.write("src/executors/mine.py", EXECUTOR)
    project.write("src/data_ops/rows.py", "")
    project.write(
        "c.jsonnet",
        json.dumps(
            {
                "experiment_name": "mine",
                "data_pipeline": {"transforms": {"output:Rows": {"transform_name": "LoadRows"}}},
                "executor": {"ExecutorClass": "Mine", "init_kwargs": {"use_data_node": "output:Rows"}},
                "train": {},
            }
        ),
    )
    project.write(
        "src/data_ops/rows.py",
        "from runway import BaseTransform, register_transform_functor\n"
        "@register_transform_functor\nclass LoadRows(BaseTransform):\n    def _call(self, data):\n        return [1]\n",
    )
    project.write("keys.py", ONE_SESSION)
    command = [sys.executable, "keys.py"]
    done = subprocess.run(command, cwd=project.path, env=project.environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith("[")]
    assert said == ["[]", "['code: Mine.training_step changed']", "['code: models.parts.scale changed']"]


ONE_SESSION = """
import importlib, sys
from pathlib import Path
from runway import RunwayExperiment, load_config
from runway.experiment.training_key import training_key

x = RunwayExperiment(load_config("c.jsonnet"))
x.prepare_data()
old = training_key(x)
parts, mine = Path("src/models/parts.py"), Path("src/executors/mine.py")
edits = [
    (mine, "A model.", "Another docstring."),
    (mine, ".mean()", ".sum() # a comment"),
    (parts, "2 *", "3 *"),
]
for path, text, other in edits:
    path.write_text(path.read_text().replace(text, other))
    importlib.reload(sys.modules["models.parts"])
    importlib.reload(sys.modules["executors.mine"])
    new = training_key(x)
    assert (new.key() == old.key()) == (not new.differences(old.plain()))
    print(new.differences(old.plain()))
    old = new
"""


@register_transform_functor
class RowsOfAFile(ExperimentRows):
    """ExperimentRows, as many as a file says."""

    def _call(self, data: Any) -> Any:
        self.track_file("rows.txt")
        return super()._call(data)


@register_executor
class AsksForMore(TinyRegression):
    """Takes data of a node that no setting names."""

    def setup(self, stage: str) -> None:
        """Ask for it."""
        assert self.dp is not None
        self.more = self.dp.get_data(["process:More"], explode=True)


@register_transform_functor
class More(BaseTransform):
    """A number."""

    def setup(self, number: int = 1, **kwargs: Any) -> None:
        """Take it."""
        super().setup(**kwargs)
        self.number = number

    def _call(self, data: Any) -> int:
        return self.number


def test_files_that_a_node_reads_which_is_not_kept_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows.txt").write_text("1")
    rows = "data_pipeline.transforms.output:Rows.transform_name=RowsOfAFile"
    first = tiny(tmp_path, rows).train()
    assert tiny(tmp_path, rows, reuse=True).train().path == first.path
    (tmp_path / "rows.txt").write_text("2")
    capsys.readouterr()
    assert tiny(tmp_path, rows, reuse=True).train().path != first.path
    assert "differs from tiny_V0: file rows.txt changed" in capsys.readouterr().err


@register_executor
class OpensFiles(TinyRegression):
    """Reads a file that no setting names when it is made, and in a step one that it has written itself."""

    def _init_model(self, model_config: Any) -> None:
        super()._init_model(model_config)
        self.bias = float((self.project_dir / "bias.txt").read_text())

    def on_step(self, batch_idx: int) -> None:
        """Count steps in the run's folder and in the project's."""
        for file in (self.recorders_dir.parent / "steps.txt", self.project_dir / "steps.txt"):
            file.write_text(file.read_text() + "." if file.exists() else ".")


def test_a_file_that_the_executor_opens_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bias.txt").write_text("1")
    opens = "executor.ExecutorClass=OpensFiles"
    first = tiny(tmp_path, opens).train()
    assert record_of(first.path)["reads"]["set"]["files"] == [["file", "bias.txt"]]
    assert tiny(tmp_path, opens, reuse=True).train().path == first.path
    (tmp_path / "bias.txt").write_text("2")
    capsys.readouterr()
    assert tiny(tmp_path, opens, reuse=True).train().path != first.path
    assert "differs from tiny_V0: file bias.txt changed" in capsys.readouterr().err


def test_a_node_that_the_executor_asks_for_by_itself_counts(tmp_path: Path) -> None:
    nodes = {
        "output:Rows": {"transform_name": "ExperimentRows", "cache": False},
        "process:More": {"transform_name": "More"},
    }
    executor = {"ExecutorClass": "AsksForMore", "init_kwargs": {"use_data_node": "output:Rows"}}
    sections = {"data_pipeline": {"transforms": nodes}, "executor": executor}
    first = tiny(tmp_path, sections=sections).train()
    assert tiny(tmp_path, sections=sections, reuse=True).train().path == first.path
    other = "data_pipeline.transforms.process:More.setup_kwargs.number=2"
    assert tiny(tmp_path, other, sections=sections, reuse=True).train().path != first.path
