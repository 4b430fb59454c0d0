"""Which checkpoint is best, which is asked for, what is said when it is not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from runway.errors import ExperimentError
from runway.experiment.folders.find_checkpoint import best_checkpoint, choose_checkpoint
from runway.experiment.folders.run_folder import RunFolder
from tests.experiment.tiny import names, tiny


def _index(train: Path) -> dict:
    return json.loads((train / "saved_models/checkpoints.json").read_text())


def test_the_best_is_that_of_the_monitored_metric_and_last_is_the_last(tmp_path: Path) -> None:
    worst = {"monitor": "val_loss", "mode": "max", "save_top_k": 1, "filename": "model_{step}"}
    result = tiny(tmp_path, f"train.model_checkpoint_callback_paras={json.dumps(worst)}").train()
    assert names(result.path / "saved_models") == ["checkpoints.json", "last.ckpt", "model_step=10.ckpt"]
    index = _index(result.path)
    assert (index["best_model_path"], index["last_model_path"]) == ("model_step=10.ckpt", "last.ckpt")
    last = torch.load(result.path / "saved_models/last.ckpt", weights_only=True)
    assert last["global_step"] == 20
    assert result.checkpoint == result.path / "saved_models/model_step=10.ckpt"


@pytest.mark.parametrize(
    "override",
    [
        "train.model_checkpoint_callback_paras.save_top_k=0",
        "data_pipeline.transforms.output:Rows.setup_kwargs.valid=false",  # so val_loss is not logged
    ],
)
def test_where_nothing_is_monitored_the_best_is_the_last(tmp_path: Path, override: str) -> None:
    result = tiny(tmp_path, override).train()
    assert names(result.path / "saved_models") == ["checkpoints.json", "last.ckpt"]
    assert result.checkpoint == result.path / "saved_models/last.ckpt"
    assert _index(result.path)["best_model_path"] == "last.ckpt"


def test_a_training_that_saves_nothing_says_so(tmp_path: Path) -> None:
    assert tiny(tmp_path, "train.trainer_paras.enable_checkpointing=false").train().checkpoint is None
    with pytest.raises(ExperimentError, match="no version with checkpoints"):
        tiny(tmp_path).test()


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A version with three checkpoints."""
    run = RunFolder(tmp_path / "tiny_V0", 0)
    run.saved_models.mkdir(parents=True)
    for name in ("last", "epoch=0-step=10", "epoch=1-step=20"):
        torch.save({"state_dict": {}}, run.saved_models / f"{name}.ckpt")
    (run.saved_models / "checkpoints.json").write_text('{"best_model_path": "epoch=0-step=10.ckpt"}')
    return run


@pytest.mark.parametrize(
    ("section", "name"),
    [
        ({}, "epoch=0-step=10.ckpt"),
        ({"load_best_model": True}, "epoch=0-step=10.ckpt"),
        ({"checkpoint_name": "best"}, "epoch=0-step=10.ckpt"),
        ({"checkpoint_name": None, "load_model_path": ""}, "epoch=0-step=10.ckpt"),
        ({"checkpoint_name": "last.ckpt"}, "last.ckpt"),
        ({"checkpoint_name": "last", "load_best_model": True}, "last.ckpt"),
        ({"checkpoint_name": "epoch=1-step=20"}, "epoch=1-step=20.ckpt"),
    ],
)
def test_the_checkpoint_that_is_asked_for(run: RunFolder, section: dict, name: str) -> None:
    assert choose_checkpoint(run, section) == run.saved_models / name


def test_a_checkpoint_that_is_not_there_is_an_error_that_lists_those_that_are(run: RunFolder) -> None:
    with pytest.raises(ExperimentError, match=r"no checkpoint 'epoch=1-step=2'") as caught:
        choose_checkpoint(run, {"checkpoint_name": "epoch=1-step=2"})
    assert "epoch=1-step=20.ckpt" in str(caught.value)
    assert "last.ckpt" in str(caught.value)
    with pytest.raises(ExperimentError, match="no checkpoint"):
        choose_checkpoint(run, {"checkpoint_name": "../../other/last.ckpt"})


def test_an_index_whose_best_is_gone_falls_back_to_the_last(run: RunFolder) -> None:
    (run.saved_models / "epoch=0-step=10.ckpt").unlink()
    assert best_checkpoint(run.saved_models) == run.saved_models / "last.ckpt"
