"""What early stopping watches, and for how long."""

from __future__ import annotations

import json
from pathlib import Path

from runway.experiment.callbacks.early_stopping import RunEarlyStopping
from tests.experiment.tiny import names, tiny


def test_early_stopping_watches_what_the_checkpoints_watch(tmp_path: Path) -> None:
    checkpoints = {"monitor": "mean_error", "mode": "max"}
    stopping = {"patience": 1, "min_delta": 100.0}  # nothing improves by as much
    experiment = tiny(
        tmp_path,
        "train.trainer_paras.max_epochs=9",
        f"train.model_checkpoint_callback_paras={json.dumps(checkpoints)}",
        f"train.early_stopping_callback_paras={json.dumps(stopping)}",
    )
    result = experiment.train()
    assert len(names(result.path / "recorders")) == 2
    assert "early stopping" in (result.path / "run.log").read_text()


def test_early_stop_patience_is_the_short_form(tmp_path: Path) -> None:
    result = tiny(
        tmp_path, "train.trainer_paras.max_epochs=40", "train.early_stop_patience=1", "model_config.width=1"
    ).train()
    assert 2 <= len(names(result.path / "recorders")) < 40


def test_patience_after_a_resume_is_the_configs(tmp_path: Path) -> None:
    callback = RunEarlyStopping("val_loss", patience=9)
    callback.load_state_dict(RunEarlyStopping("val_loss", patience=2).state_dict())
    assert callback.patience == 9
