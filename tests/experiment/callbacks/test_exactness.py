"""What is told before the first step, because no resume could give it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torchmetrics

from runway.registry import register_executor
from tests.experiment.tiny import TinyRegression, tiny

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


@register_executor
class WithMetric(TinyRegression):
    """Sums up in an object of torchmetrics."""

    def _init_model(self, model_config: object) -> None:
        super()._init_model({"width": 8} | dict(model_config))  # type: ignore[call-overload]
        self.error = torchmetrics.MeanSquaredError()


def test_what_cannot_be_exact_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reload = "train.trainer_paras.reload_dataloaders_every_n_epochs=1"
    tiny(tmp_path, "executor.ExecutorClass=WithMetric", reload).train()
    told = [line for line in capsys.readouterr().err.splitlines() if "will not be exact" in line]
    assert len(told) == 2
    assert "`reload_dataloaders_every_n_epochs`" in told[0]
    assert "torchmetrics are summed up since the resume only (error)" in told[1]


def test_nothing_is_told_of_an_ordinary_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny(tmp_path).train()
    assert "will not be exact" not in capsys.readouterr().err
