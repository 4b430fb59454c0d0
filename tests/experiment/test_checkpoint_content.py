"""What checkpoints hold: weights only, nothing that would be executed; what is said of damaged ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from runway.errors import ExperimentError
from runway.experiment.checkpoint_content import read_checkpoint
from tests.experiment.tiny import tiny, weights


def test_weights_only_checkpoints_are_small_and_can_be_tested(tmp_path: Path) -> None:
    result = tiny(tmp_path, "train.model_checkpoint_callback_paras.save_weights_only=true").train()
    assert result.checkpoint is not None
    assert "optimizer_states" not in read_checkpoint(result.checkpoint)
    assert tiny(tmp_path).test().checkpoint == result.checkpoint


class Gadget:
    """An object that a checkpoint should not hold."""


def test_a_checkpoint_that_would_execute_something_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.ckpt"
    torch.save({"state_dict": {}, "gadget": Gadget()}, path)
    with pytest.raises(ExperimentError, match="objects other than tensors") as caught:
        read_checkpoint(path)
    assert "add_safe_globals" in str(caught.value.hint)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    result = tiny(tmp_path).train()
    assert result.checkpoint is not None
    whole = result.checkpoint.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"not a checkpoint"):
        result.checkpoint.write_bytes(content)
        with pytest.raises(ExperimentError, match=r"epoch=1-step=20\.ckpt") as caught:
            tiny(tmp_path, "test.checkpoint_name='epoch=1-step=20'").test()
        assert str(result.checkpoint) == caught.value.where


def test_load_model_path_takes_weights_from_anywhere(tmp_path: Path) -> None:
    result = tiny(tmp_path / "a").train()
    assert result.checkpoint is not None
    elsewhere = tmp_path / "b" / "weights.ckpt"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(result.checkpoint.read_bytes())
    here = tiny(tmp_path / "a").test()
    there = tiny(tmp_path / "b", "test.load_model_path=weights.ckpt").test()
    assert there.metrics == here.metrics
    assert there.path == tmp_path / "b/runs/tiny_V0/test/first"
    with pytest.raises(ExperimentError, match=r"no file 'weight\.ckpt'") as caught:
        tiny(tmp_path / "b", "test.load_model_path=weight.ckpt").test()
    assert "weights.ckpt" in str(caught.value.hint)


def test_safetensors_are_taken_too(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    result = tiny(tmp_path).train()
    assert result.checkpoint is not None
    save_file(dict(weights(result.checkpoint)), tmp_path / "model.safetensors")
    by_name = tiny(tmp_path).test()
    by_path = tiny(tmp_path, "test.load_model_path=model.safetensors").test()
    assert by_path.metrics == by_name.metrics
