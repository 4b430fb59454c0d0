"""LoadRun: which run and checkpoint, what its value counts by, what it says where there is nothing to load."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from runway.errors import RunFailed, RunwayError
from runway.experiment.folders.run_folder import read_json, write_json
from runway.pipeline import DataPipeline
from runway.registry import register_transform_functor
from runway.transforms.base import BaseTransform
from tests.experiment.tiny import tiny, tiny_config

if TYPE_CHECKING:
    from runway.experiment.trained_run import TrainedRun

SHORT = "train.trainer_paras.max_epochs=1"


@register_transform_functor
class NameOfRun(BaseTransform):
    """Takes a run, and says which."""

    def _call(self, data: Any) -> str:
        return f"{data.name} {data.weights}"


def load(project: Path, **settings: Any) -> tuple[TrainedRun, list[str]]:
    """What LoadRun gives, and the nodes that ran for it and for one that takes it."""
    nodes = {
        "input:Run": {"transform_name": "LoadRun", "setup_kwargs": settings},
        "output:Name": {"transform_name": "NameOfRun", "input_node": "input:Run"},
    }
    pipeline = DataPipeline({"transforms": nodes}, global_config=tiny_config(project), project=project)
    ran = pipeline.prepare()
    return pipeline.get_data(["input:Run"], explode=True), ran


def test_a_run_is_found_by_path_name_and_experiment(tmp_path: Path) -> None:
    first = tiny(tmp_path, SHORT).train()
    tiny(tmp_path, SHORT, "meta.seed=8").train()
    found, ran = load(tmp_path, run="tiny_V0")
    assert ran == ["input:Run", "output:Name"]
    assert (found.name, found.folder) == ("tiny_V0", "runs/tiny_V0")
    assert found.checkpoint_path(tmp_path) == first.checkpoint
    assert found.config(tmp_path).meta.seed == 7
    assert pickle.loads(pickle.dumps(found)) == found
    for settings in ({"run": "runs/tiny_V0"}, {"run": str(tmp_path / "runs/tiny_V0")}, {"run": "tiny", "version": 0}):
        again, ran = load(tmp_path, **settings)
        assert (again.name, ran) == ("tiny_V0", ["input:Run"])  # the same weights re-run no consumer
    newest, ran = load(tmp_path, run="tiny")
    assert (newest.name, ran) == ("tiny_V1", ["input:Run", "output:Name"])


def test_the_weights_count_and_not_the_path(tmp_path: Path) -> None:
    tiny(tmp_path, SHORT).train()
    load(tmp_path, run="tiny_V0")
    assert load(tmp_path, run="tiny_V0")[1] == []
    shutil.copytree(tmp_path / "runs/tiny_V0", tmp_path / "elsewhere")
    assert load(tmp_path, run="elsewhere")[1] == ["input:Run"]
    shutil.rmtree(tmp_path / "runs/tiny_V0")
    tiny(tmp_path, SHORT).train()  # again, to the same bits
    assert "output:Name" not in load(tmp_path, run="tiny_V0")[1]
    path = load(tmp_path, run="tiny_V0")[0].checkpoint_path(tmp_path)
    content = torch.load(path, weights_only=True)
    content["state_dict"]["model.0.bias"] += 1
    torch.save(content, path)
    assert load(tmp_path, run="tiny_V0")[1] == ["input:Run", "output:Name"]


def test_the_best_version_by_a_metric(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (7, 8, 7):
        tiny(tmp_path, f"meta.seed={seed}").train()
    runs = [tmp_path / f"runs/tiny_V{number}/train" for number in range(3)]
    scores = [read_json(run / "saved_models/checkpoints.json")["best_model_score"] for run in runs]
    assert scores[0] == scores[2] != scores[1]
    capsys.readouterr()
    best, _ = load(tmp_path, run="tiny", best_by="val_loss")
    assert best.name == ("tiny_V0" if scores[0] < scores[1] else "tiny_V1")
    other, _ = load(tmp_path, run="tiny", best_by="mean_error", mode="max")
    errors = [read_json(run / "metrics_history.json")[-1]["metrics"]["mean_error"] for run in runs]
    assert other.name == ("tiny_V0" if errors[0] > errors[1] else "tiny_V1")
    write_json(runs[int(best.name[-1])] / "provenance.json", {"status": "failed"})
    rest, ran = load(tmp_path, run="tiny", best_by="val_loss")  # a version's record is read, and counts
    assert rest.name != best.name
    assert "input:Run" in ran
    assert f"{best.name} is left out: its training is not finished" in capsys.readouterr().err


def test_the_checkpoint_is_chosen(tmp_path: Path) -> None:
    tiny(tmp_path, "train.model_checkpoint_callback_paras={save_top_k: -1}").train()
    assert load(tmp_path, run="tiny", checkpoint="last")[0].checkpoint == "last.ckpt"
    assert load(tmp_path, run="tiny", checkpoint="epoch=0-step=10")[0].checkpoint == "epoch=0-step=10.ckpt"


@pytest.mark.parametrize(
    ("settings", "message", "hint"),
    [
        ({"run": "tinny"}, "there is no run 'tinny'", "did you mean 'tiny'"),
        ({"run": "runs/tiny_V7"}, "there is no run 'runs/tiny_V7'", "tiny_V0"),
        ({"run": "tiny", "version": 9}, "has no version 9", "tiny_V0"),
        ({"run": "tiny_V1"}, "the run tiny_V1 has no weights", "train it"),
        ({"run": "tiny", "checkpoint": "epoch=0-step=11"}, "has no checkpoint 'epoch=0-step=11'", "did you mean"),
        ({"run": "tiny", "best_by": "val_los"}, "has logged 'val_los'", "did you mean 'val_loss'"),
        ({"run": "tiny", "best_by": "kapa"}, "has logged 'kapa'", "known: "),
        ({"run": "tiny", "best_by": "lr"}, "the lowest 'lr' is the best is not known", "add mode"),
        ({"run": "tiny_V0", "version": 1}, "tiny_V0 is one run", "leave `version` out"),
        ({"run": "tiny", "version": 0, "best_by": "val_loss"}, "`best_by` chooses among all", "leave one"),
        ({}, "must name a run", "a run's folder"),
    ],
)
def test_what_cannot_be_loaded_is_told(trained: Path, settings: dict[str, Any], message: str, hint: str) -> None:
    import re

    with pytest.raises(RunwayError) as caught:
        load(trained, **settings)
    errors = caught.value.failures if isinstance(caught.value, RunFailed) else [caught.value]
    assert message in errors[0].message
    assert re.search(hint, str(errors[0].hint))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with tiny_V0, and tiny_V1 without checkpoints."""
    project = tmp_path_factory.mktemp("trained")
    tiny(project, SHORT).train()
    tiny(project, SHORT, "train.trainer_paras.enable_checkpointing=false").train()
    return project
