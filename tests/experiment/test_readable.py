"""What a training saves can be read again, or is told before its first step."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch

from runway.errors import ConfigError, ExperimentError
from runway.experiment.checkpoint_content import read_checkpoint
from runway.experiment.readable import readable, write_and_read_back
from runway.registry import register_executor
from tests.experiment.tiny import TinyRegression, names, tiny


class Gadget:
    """Nothing that a checkpoint may hold."""


@register_executor
class SavesHyperparameters(TinyRegression):
    """Lightning's usual idiom; the pipeline is among the arguments."""

    def __init__(self, *args: Any, width: int = 3, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.save_hyperparameters()


@register_executor
class SavesMore(TinyRegression):
    """Adds to its checkpoints."""

    more: Any = None
    after = 0

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add it, from a step on."""
        super().on_save_checkpoint(checkpoint)
        if self.global_step >= self.after:
            checkpoint["mine"] = {"more": self.more}


def test_hyperparameters_are_saved_without_the_pipeline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = "executor.ExecutorClass=SavesHyperparameters"
    run = tiny(tmp_path, chosen).train()
    assert "not in the checkpoints, which hold plain values only: data_pipeline (" in capsys.readouterr().err
    assert run.checkpoint is not None
    kept = read_checkpoint(run.checkpoint)["hyper_parameters"]
    assert (kept["width"], kept["mode"], kept["model_config"]["width"]) == (3, "train", 8)
    assert "data_pipeline" not in kept
    assert tiny(tmp_path, chosen).test().metrics["test_loss"] > 0
    tiny(tmp_path, chosen, "train.trainer_paras.max_epochs=3", resume=True).train()


@pytest.mark.parametrize(
    "value", [np.float64(0.5), np.float32(2), np.int64(3), np.arange(4.0), np.array(["a", "bc"]), Path("x/y")]
)
def test_numbers_arrays_and_paths_are_read_back(tmp_path: Path, monkeypatch: Any, value: Any) -> None:
    monkeypatch.setattr(SavesMore, "more", value)
    run = tiny(tmp_path, "executor.ExecutorClass=SavesMore", "train.trainer_paras.max_epochs=1").train()
    assert run.checkpoint is not None
    read = read_checkpoint(run.checkpoint)["mine"]["more"]
    assert np.array_equal(read, value) if isinstance(value, np.ndarray) else read == value


def test_an_object_is_told_before_the_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SavesMore, "more", [1, Gadget()])
    with pytest.raises(ConfigError, match=r"mine\.more\.1 \(tests\.experiment\.test_readable\.Gadget\)") as caught:
        tiny(tmp_path, "executor.ExecutorClass=SavesMore").train()
    assert "add_safe_globals" in str(caught.value.hint)
    assert names(tmp_path / "runs") == []


@pytest.mark.parametrize("value", [Gadget(), lambda: None])
def test_an_object_that_comes_later_is_left_out(
    tmp_path: Path, monkeypatch: Any, value: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """By then there is work to lose."""
    monkeypatch.setattr(SavesMore, "more", value)
    monkeypatch.setattr(SavesMore, "after", 1)
    chosen = "executor.ExecutorClass=SavesMore"
    run = tiny(tmp_path, chosen).train()
    assert capsys.readouterr().err.count("left out of the checkpoint") == 1
    assert run.checkpoint is not None
    assert read_checkpoint(run.checkpoint)["mine"] == {}
    assert tiny(tmp_path, chosen).test().metrics
    with pytest.raises(ConfigError, match=r"mine\.more"):  # a resume knows it before its first step
        tiny(tmp_path, chosen, "train.trainer_paras.max_epochs=3", resume=True).train()


@register_executor
class NeedsAStep(TinyRegression):
    """What it saves is made in a step."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Not before."""
        checkpoint["seen"] = self.seen

    def on_step(self, batch_idx: int) -> None:
        """Make it."""
        self.seen = batch_idx


def test_a_hook_that_cannot_be_tried_yet_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tiny(tmp_path, "executor.ExecutorClass=NeedsAStep").train()
    assert "cannot be tried before the first step" in capsys.readouterr().err
    assert run.checkpoint is not None
    assert read_checkpoint(run.checkpoint)["seen"] == 9


def test_the_first_checkpoint_holds_no_weights_and_goes_again(tmp_path: Path) -> None:
    large = {"state_dict": {"weight": torch.ones(1000, 1000)}, "step": 3}
    write_and_read_back(large, tmp_path / "saved")
    assert names(tmp_path / "saved") == []
    (tmp_path / "file").write_text("")
    with pytest.raises((ExperimentError, OSError)):
        write_and_read_back(large, tmp_path / "file")


def test_readable_copies_only_what_it_changes() -> None:
    weights = {"a": torch.ones(3)}
    content = {"state_dict": weights, "both": (1, Gadget()), "path": PurePosixPath("x")}
    cleaned, left_out = readable(content)
    assert cleaned["state_dict"] is weights
    assert cleaned["both"] == (1, None)
    assert list(left_out) == ["both.1"]
    assert readable(weights) == (weights, {})
