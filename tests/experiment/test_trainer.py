"""The trainer: what it refuses, with the way out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from runway.errors import ConfigError
from tests.experiment.tiny import tiny


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_said_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no accelerator 'gpu'") as caught:
        tiny(tmp_path, "train.trainer_paras.accelerator=gpu", "train.trainer_paras.devices=1").train()
    assert "train.trainer_paras.accelerator=auto" in str(caught.value.hint)
    assert caught.value.exit_code == 2


def test_arguments_that_runway_sets_itself_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'logger'") as caught:
        tiny(tmp_path, "train.trainer_paras.logger=false").train()
    assert "meta.logger_enable" in str(caught.value.hint)
