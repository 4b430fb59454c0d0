"""Checkpoints: written beside and put in place; a damaged one is seen, and the one before it is taken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from runway.errors import ExperimentError
from runway.experiment.checkpoint_content import DamagedCheckpoint, read_checkpoint
from runway.experiment.checkpoint_files import WholeCheckpointIO
from runway.experiment.folders.find_checkpoint import read_index
from runway.experiment.folders.in_use import training_in
from tests.experiment.tiny import names, same_weights, tiny, weights

THREE = "train.trainer_paras.max_epochs=3"
KEPT = "train.model_checkpoint_callback_paras={'save_top_k': -1, 'monitor': 'val_loss'}"


def _flip(path: Path, what: bytes) -> None:
    """Flip a bit of what stands in a file."""
    content = bytearray(path.read_bytes())
    content[content.index(what)] ^= 1
    path.write_bytes(content)


def test_a_flipped_bit_of_a_weight_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "one.ckpt"
    weight = torch.randn(100)
    WholeCheckpointIO().save_checkpoint({"state_dict": {"weight": weight}}, path)
    assert torch.equal(WholeCheckpointIO().load_checkpoint(path)["state_dict"]["weight"], weight)
    assert names(tmp_path) == ["one.ckpt"]
    _flip(path, weight.numpy().tobytes()[:40])
    torch.load(path, weights_only=True)  # torch itself takes it
    with pytest.raises(DamagedCheckpoint, match="checksum"):
        read_checkpoint(path)


def test_a_write_that_fails_leaves_the_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "one.ckpt"
    WholeCheckpointIO().save_checkpoint({"step": 1}, path)
    code = (
        "import resource, signal, sys, torch\n"
        "from runway.experiment.checkpoint_files import WholeCheckpointIO\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
        "try: WholeCheckpointIO().save_checkpoint({'step': torch.zeros(9000)}, sys.argv[1])\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    told = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True).stdout
    assert told.startswith("ExperimentError the checkpoint one.ckpt cannot be written")
    assert read_checkpoint(path) == {"step": 1}
    assert names(tmp_path) == ["one.ckpt"]


def test_a_resume_goes_on_from_the_one_before_a_damaged_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny(tmp_path / "whole", THREE, KEPT).train()
    tiny(tmp_path, KEPT).train()
    saved = tmp_path / "runs/tiny_V0/train/saved_models"
    left = saved / ".last.ckpt.tmp-1-2"
    (saved / "last.ckpt").write_bytes((saved / "last.ckpt").read_bytes()[:-30])
    (saved / "epoch=1-step=20.ckpt").write_bytes(b"[3]")
    left.write_text("half")
    capsys.readouterr()
    tiny(tmp_path, THREE, KEPT, resume=True).train()
    assert "epoch=0-step=10.ckpt is taken instead, of step 10: 10 steps are lost" in capsys.readouterr().err
    assert same_weights(
        weights(saved / "last.ckpt"), weights(tmp_path / "whole/runs/tiny_V0/train/saved_models/last.ckpt")
    )
    assert not left.exists()
    for path in saved.glob("*.ckpt"):
        path.write_bytes(b"PK\x03\x04")
    for go in (tiny(tmp_path, THREE, KEPT, resume=True).train, tiny(tmp_path, THREE, KEPT).test):
        with pytest.raises(ExperimentError, match="cannot be read") as caught:
            go()
        assert "no other of the version is whole" in str(caught.value.hint)


def test_a_test_of_a_damaged_best_takes_another_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained = tiny(tmp_path).train()
    assert trained.checkpoint is not None
    whole = tiny(tmp_path).test()
    index = read_index(trained.checkpoint.parent, "")
    assert index["best_model_path"] == trained.checkpoint.name
    for damage in ("", "[7]", '{"best_model_path": '):
        (trained.checkpoint.parent / "checkpoints.json").write_text(damage)
        assert read_index(trained.checkpoint.parent, "") == index
    assert "is damaged" in (told := capsys.readouterr().err)
    assert "what it said is taken from last.ckpt" in told
    _flip(trained.checkpoint, weights(trained.checkpoint)["model.0.weight"].numpy().tobytes()[:40])
    capsys.readouterr()
    tested = tiny(tmp_path).test()
    assert "last.ckpt is taken instead, of step 20" in capsys.readouterr().err
    assert (tested.checkpoint, tested.metrics) == (trained.checkpoint.with_name("last.ckpt"), whole.metrics)


def test_a_version_that_trains_is_not_resumed_twice(tmp_path: Path) -> None:
    run = tiny(tmp_path).train().path.parent
    with (
        training_in(run),
        pytest.raises(ExperimentError, match=r"being trained .*: process \d+ on .+, since 2") as caught,
    ):
        tiny(tmp_path, resume=True).train()
    assert "kill -TERM" in str(caught.value.hint)
    tiny(tmp_path, THREE, resume=True).train()
    assert names(tmp_path / "runs") == ["tiny_V0"]
