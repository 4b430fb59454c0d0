"""Training: the run folder, versions, the same weights from the same seed, weights to start from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from runway.errors import RunwayError
from tests.experiment.tiny import names, tiny, weights


def test_a_training_leaves_a_complete_run_folder(tmp_path: Path) -> None:
    result = tiny(tmp_path).train()
    assert result.path == tmp_path / "runs" / "tiny_V0" / "train"
    assert set(names(result.path)) >= {
        "config.json",
        "provenance.json",
        "model_summary.txt",
        "metrics_history.json",
        "logs",
        "saved_models",
        "recorders",
        "run.log",
    }
    assert result.checkpoint is not None
    assert result.checkpoint.parent == result.path / "saved_models"
    assert set(result.metrics) >= {"train_loss", "val_loss", "mean_error"}
    assert names(result.path / "recorders") == ["validation-step10", "validation-step20"]
    config = json.loads((result.path / "config.json").read_text())
    assert config["train"]["trainer_paras"]["max_epochs"] == 2
    assert "49" in (result.path / "model_summary.txt").read_text()


def test_every_training_is_a_new_version(tmp_path: Path) -> None:
    assert [tiny(tmp_path).train().path.parent.name for _ in range(2)] == ["tiny_V0", "tiny_V1"]
    named = tiny(tmp_path, experiment_name="other", tags=["small"]).train()
    assert named.path.parent.name == "other_V0_tag:small"


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    one, other = (tiny(tmp_path).train().checkpoint for _ in range(2))
    third = tiny(tmp_path, "meta.seed=8").train().checkpoint
    assert one
    assert other
    assert third
    assert all(torch.equal(weights(one)[key], weights(other)[key]) for key in weights(one))
    assert any(not torch.equal(weights(one)[key], weights(third)[key]) for key in weights(one))


def test_weights_to_start_from(tmp_path: Path) -> None:
    first = tiny(tmp_path).train()
    assert first.checkpoint is not None
    pretrained = tmp_path / "pretrained.pt"
    model_state = {key.removeprefix("model."): value for key, value in weights(first.checkpoint).items()}
    torch.save(model_state, pretrained)
    frozen = (
        "train.trainer_paras.max_epochs=1",
        "train.optimizer_config.optimizer_params.lr=0.0",
        "train.optimizer_config.optimizer_params.weight_decay=0.0",
    )
    second = tiny(tmp_path, "train.load_model_path=pretrained.pt", *frozen).train()
    assert second.checkpoint is not None
    assert all(torch.equal(weights(second.checkpoint)[f"model.{key}"], value) for key, value in model_state.items())
    with pytest.raises(RunwayError, match="do not fit the model"):
        tiny(tmp_path, "train.load_model_path=pretrained.pt", "model_config.width=3").train()


def test_validating_not_in_the_first_epoch_is_no_mistake(tmp_path: Path) -> None:
    paras = "train.trainer_paras"
    every_second = (f"{paras}.check_val_every_n_epoch=2", f"{paras}.num_sanity_val_steps=0")
    result = tiny(tmp_path, *every_second, "train.model_checkpoint_callback_paras={monitor: 'val_loss'}").train()
    assert result.checkpoint
    assert result.checkpoint.name == "epoch=1-step=20.ckpt"
