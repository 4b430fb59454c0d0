"""A monitored metric that no step will ever log is found out before the first step."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from runway.errors import ConfigError
from runway.experiment.callbacks.monitoring import checkpoint_callback
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


@pytest.mark.parametrize("section", ["model_checkpoint_callback_paras", "early_stopping_callback_paras"])
def test_a_metric_that_is_not_logged_is_an_error_with_near_names(
    tmp_path: Path, section: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match="'mean_eror' is not logged") as caught:
        tiny(tmp_path, f"train.{section}.monitor=mean_eror").train()
    assert "'mean_error'" in str(caught.value.hint)
    assert caught.value.where == f"train.{section}.monitor"
    record = json.loads((tmp_path / "runs/tiny_V0/train/provenance.json").read_text())
    assert record["status"] == "failed"
    assert "mean_eror" in record["error"]
    assert " ConfigError: the metric 'mean_eror' is not logged" in (tmp_path / "runs/tiny_V0/train/run.log").read_text()
    assert "mean_eror" not in capsys.readouterr().err  # the command shows it when it ends


@pytest.mark.parametrize(
    ("monitor", "hint"),
    [("mean", "did you mean 'mean_error'?"), ("f1", "logged are: lr, mean_error, train_loss, val_loss")],
)
def test_a_metric_too_short_to_be_near_gets_what_holds_it_or_the_list(tmp_path: Path, monitor: str, hint: str) -> None:
    with pytest.raises(ConfigError, match="is not logged") as caught:
        tiny(tmp_path, f"train.model_checkpoint_callback_paras.monitor={monitor}").train()
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("interval", "expected"),
    [(90, timedelta(seconds=90)), ({"minutes": 2}, timedelta(minutes=2)), (None, None)],
)
def test_the_time_between_checkpoints(tmp_path: Path, interval: object, expected: timedelta | None) -> None:
    paras = {"train_time_interval": interval}
    made = checkpoint_callback({"model_checkpoint_callback_paras": paras}, tmp_path)
    assert made._train_time_interval == expected


@pytest.mark.parametrize("interval", [True, "soon", {"fortnights": 1}, [1]])
def test_no_time_between_checkpoints(tmp_path: Path, interval: object) -> None:
    with pytest.raises(ConfigError, match="must be seconds or") as caught:
        checkpoint_callback({"model_checkpoint_callback_paras": {"train_time_interval": interval}}, tmp_path)
    assert caught.value.where == "train.model_checkpoint_callback_paras.train_time_interval"
