"""Progress in plain lines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.experiment.tiny import tiny

if TYPE_CHECKING:
    import pytest


def test_validations_and_steps_are_told_in_plain_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny(tmp_path, "train.trainer_paras.enable_progress_bar=true").train()
    told = capsys.readouterr().err
    assert "epoch 2/2  step 10/10  loss" in told
    assert "validation at step 20: mean_error" in told
    assert "litlogger" not in told
    assert "workers" not in told
