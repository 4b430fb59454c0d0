"""A monitored metric that no step will ever log is found out before the first step."""

from __future__ import annotations

from pathlib import Path

import pytest

from runway.errors import ConfigError
from tests.experiment.tiny import names, tiny

NO_VALIDATION = "data_pipeline.transforms.output:Rows.setup_kwargs={valid: false}"


@pytest.mark.parametrize(
    "override",
    [
        "train.model_checkpoint_callback_paras={monitor: 'val_loss', mode: 'min'}",
        "train.early_stopping_callback_paras={monitor: 'val_loss', patience: 2}",
    ],
)
def test_a_metric_of_a_validation_that_will_not_be(tmp_path: Path, override: str) -> None:
    with pytest.raises(ConfigError, match="nothing to validate on") as caught:
        tiny(tmp_path, NO_VALIDATION, override).train()
    assert override.partition("=")[0] in str(caught.value.where)
    assert not any(name.startswith("tiny_V") for name in names(tmp_path / "runs"))


def test_without_a_monitor_no_validation_is_needed(tmp_path: Path) -> None:
    early_stopping = "train.early_stopping_callback_paras={monitor: null, patience: 2}"
    checkpoint = tiny(tmp_path, NO_VALIDATION, early_stopping).train().checkpoint
    assert checkpoint is not None
    assert checkpoint.name == "last.ckpt"
