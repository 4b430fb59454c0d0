"""Which checkpoint is the best, what is told of a monitored metric before the first step, and what is saved when."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch

from runway.errors import ConfigError
from runway.experiment.callbacks.monitoring import checkpoint_callback
from runway.registry import register_executor, register_transform_functor
from runway.transforms.base import BaseTransform
from tests.experiment.tiny import TinyRegression, names, tiny

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


@pytest.mark.parametrize("section", ["model_checkpoint_callback_paras", "early_stopping_callback_paras"])
def test_a_metric_that_is_not_logged_is_an_error_with_near_names(
    tmp_path: Path, section: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match="'mean_eror' is not logged") as caught:
        tiny(tmp_path, f"train.{section}={{monitor: 'mean_eror', mode: 'min'}}").train()
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
        tiny(tmp_path, f"train.model_checkpoint_callback_paras={{monitor: {monitor}, mode: min}}").train()
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


# Which is the best


def index_of(run: Path) -> dict:
    """The run's ``checkpoints.json``."""
    return json.loads((run / "saved_models/checkpoints.json").read_text())


def validated(run: Path, name: str) -> dict[int, float]:
    """A stat of each validation, by its step."""
    folders = (run / "recorders").iterdir()
    stats = {int(folder.name.removeprefix("validation-step")): folder for folder in folders}
    return {step: json.loads((stats[step] / "eval_recorder-stats_log.json").read_text())[name] for step in stats}


@register_transform_functor
class ScoresByStep(BaseTransform):
    """Gives a score that rises and falls again, under the name that is asked for."""

    def setup(self, stat: str, **kwargs: Any) -> None:
        """Take the name."""
        super().setup(**kwargs)
        self.stat = stat

    def _call(self, data: Any) -> Any:
        step = int(data.name.removeprefix("validation-step")) if "step" in data.name else 0
        data.log_stats_dict({self.stat: 1 / (1 + abs(step - 20))})
        return data


def scored_by(stat: str) -> dict[str, Any]:
    """The config's ``eval``."""
    node = {"transform_name": "ScoresByStep", "setup_kwargs": {"stat": stat}}
    return {"eval": {"pipeline_config": {"transforms": {"output:Scores": node}}}}


@pytest.mark.parametrize(("stat", "best"), [("accuracy", 20), ("val_f1", 20), ("mean_error", 40), ("val_wer", 40)])
def test_the_name_of_a_known_metric_says_which_is_the_best(tmp_path: Path, stat: str, best: int) -> None:
    watched = f"train.model_checkpoint_callback_paras.monitor={stat}"
    run = tiny(tmp_path, watched, "train.trainer_paras.max_epochs=4", sections=scored_by(stat)).train().path
    assert index_of(run)["best_model_path"].endswith(f"step={best}.ckpt")
    assert index_of(run)["best_model_score"] == pytest.approx(validated(run, stat)[best])


@pytest.mark.parametrize(
    "setting",
    [
        "train.model_checkpoint_callback_paras",
        "train.early_stopping_callback_paras",
        "train.optimizer_config.scheduler_params",
    ],
)
def test_of_any_other_metric_the_mode_is_asked_for_before_anything_is_done(tmp_path: Path, setting: str) -> None:
    plateau = "train.optimizer_config.scheduler=ReduceLROnPlateau"
    with pytest.raises(ConfigError, match="'kappa' is the best is not known") as caught:
        tiny(tmp_path, plateau, f"{setting}={{monitor: kappa}}").train()
    assert caught.value.where == f"{setting}.mode"
    assert "mode: 'max'" in str(caught.value.hint)
    assert names(tmp_path / "runs") == []


def test_a_schedule_that_would_take_the_worst_for_the_best(tmp_path: Path) -> None:
    optimizer = "train.optimizer_config={scheduler: ReduceLROnPlateau, scheduler_params: {monitor: accuracy}}"
    with pytest.raises(ConfigError, match="takes the lowest") as caught:
        tiny(tmp_path, optimizer).train()
    assert caught.value.hint == "add mode: 'max'"


def test_a_mode_that_keeps_the_worst_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paras = {"monitor": "rouge1", "mode": "min"}
    assert checkpoint_callback({"model_checkpoint_callback_paras": paras}, tmp_path).mode == "min"
    assert "lowest 'rouge1' for the best one, which is the worst" in capsys.readouterr().err


@pytest.mark.parametrize("every", [2, 3, 5])
def test_a_checkpoint_between_validations_has_no_older_score(tmp_path: Path, every: int) -> None:
    """Each kept file, tested again, gives the score under which it is kept."""
    paras = {"monitor": "mean_error", "every_n_train_steps": every, "save_top_k": -1, "filename": "m_{step}"}
    overrides = [
        "train.trainer_paras.val_check_interval=5",
        f"train.model_checkpoint_callback_paras={json.dumps(paras)}",
    ]
    run = tiny(tmp_path, *overrides).train().path
    scores = torch.load(run / "saved_models/last.ckpt", weights_only=True)["callbacks"]["RunCheckpoint"]
    assert scores["best_k_models"]
    by_step = validated(run, "mean_error")
    for name, score in scores["best_k_models"].items():
        assert float(score) == pytest.approx(by_step[int(name.partition("=")[2].partition(".")[0])])
    tested = tiny(tmp_path, *overrides).test().metrics["mean_error"]
    assert index_of(run)["best_model_score"] == pytest.approx(tested, abs=1e-5)


def test_between_validations_the_last_state_is_saved_and_the_epochs_end_chooses(tmp_path: Path) -> None:
    paras = {"monitor": "mean_error", "every_n_train_steps": 4}
    run = tiny(tmp_path, f"train.model_checkpoint_callback_paras={json.dumps(paras)}").train().path
    index, by_step = index_of(run), validated(run, "mean_error")
    assert index["best_model_score"] == pytest.approx(min(by_step.values()))
    assert index["best_model_path"].endswith(f"step={min(by_step, key=by_step.get)}.ckpt")  # type: ignore[arg-type]


def test_another_metric_after_a_resume_starts_without_scores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sections = scored_by("accuracy")
    first = tiny(tmp_path, sections=sections).train().path
    kept = index_of(first)["best_model_path"]
    watched = "train.model_checkpoint_callback_paras.monitor=accuracy"
    more = "train.trainer_paras.max_epochs=4"
    run = tiny(tmp_path, watched, more, sections=sections, resume=True).train().path
    assert "no longer counts" in capsys.readouterr().err
    index, by_step = index_of(run), validated(run, "accuracy")
    assert (index["monitor"], index["mode"]) == ("accuracy", "max")
    assert index["best_model_score"] == pytest.approx(max(by_step[step] for step in (30, 40)))
    assert (run / "saved_models" / kept).is_file()


def test_fewer_kept_after_a_resume(tmp_path: Path) -> None:
    setting = "train.model_checkpoint_callback_paras={{monitor: accuracy, save_top_k: {}, save_last: true}}"
    sections = scored_by("accuracy")
    tiny(tmp_path, setting.format(2), sections=sections).train()
    more = "train.trainer_paras.max_epochs=4"
    run = tiny(tmp_path, setting.format(1), more, sections=sections, resume=True).train().path
    assert index_of(run)["best_model_path"].endswith("step=20.ckpt")
    state = torch.load(run / "saved_models/last.ckpt", weights_only=True)["callbacks"]["RunCheckpoint"]
    assert len(state["best_k_models"]) == 1


# Told before the first step


@register_executor
class TwoValidations(TinyRegression):
    """Validates on two loaders."""

    def val_dataloader(self) -> Any:
        """The one that there is, twice."""
        return [*super().val_dataloader(), *super().val_dataloader()]

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """As with one."""
        super().validation_step(batch, batch_idx)


@pytest.mark.parametrize("sanity", [0, 2])
def test_with_two_loaders_the_names_that_there_will_be(tmp_path: Path, sanity: int) -> None:
    settings = ["executor.ExecutorClass=TwoValidations", f"train.trainer_paras.num_sanity_val_steps={sanity}"]
    with pytest.raises(ConfigError, match="each of 2 validation loaders") as caught:
        tiny(tmp_path, *settings, "train.model_checkpoint_callback_paras.monitor=val_loss").train()
    assert "val_loss/dataloader_idx_0, val_loss/dataloader_idx_1" in str(caught.value.hint)
    assert names(tmp_path / "runs") == []
    watched = "train.model_checkpoint_callback_paras.monitor='val_loss/dataloader_idx_1'"
    assert index_of(tiny(tmp_path, *settings, watched).train().path)["best_model_score"] is not None


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["max_steps=5"], "the training ends after 5 steps .*, and the first is due after batch 10"),
        (["max_epochs=1", "check_val_every_n_epoch=2"], "ends after 10 batches"),
        (["max_steps=9", "check_val_every_n_epoch=null", "val_check_interval=30"], "due after batch 30"),
        (["max_steps=2", "accumulate_grad_batches=4"], "due after batch 10"),
    ],
)
def test_a_training_that_ends_before_its_first_validation(tmp_path: Path, overrides: list[str], says: str) -> None:
    paras = [f"train.trainer_paras.{override}" for override in overrides]
    with pytest.raises(ConfigError, match=says) as caught:
        tiny(tmp_path, *paras, "train.model_checkpoint_callback_paras.monitor=val_loss").train()
    assert "max_steps" in str(caught.value.hint)
    assert names(tmp_path / "runs") == []


@pytest.mark.parametrize(
    "overrides", [["max_steps=10"], ["max_steps=3", "accumulate_grad_batches=4"], ["check_val_every_n_epoch=2"]]
)
def test_a_training_that_ends_with_its_first_validation(tmp_path: Path, overrides: list[str]) -> None:
    paras = [f"train.trainer_paras.{override}" for override in overrides]
    run = tiny(tmp_path, *paras, "train.model_checkpoint_callback_paras.monitor=val_loss").train().path
    assert index_of(run)["best_model_score"] is not None


def test_without_a_choice_it_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tiny(tmp_path, "train.trainer_paras.max_steps=5").train()
    assert "warning: train: there will be no validation" in capsys.readouterr().err
    assert run.checkpoint is not None
    assert run.checkpoint.name == "last.ckpt"


def test_an_interval_longer_than_the_epoch(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="less than or equal to the number of the training batches") as caught:
        tiny(tmp_path, "train.trainer_paras.val_check_interval=11").train()
    assert caught.value.where == "train.trainer_paras.val_check_interval"
    assert names(tmp_path / "runs") == []


# Saved before anything can raise


@register_executor
class RaisesInValidation(TinyRegression):
    """Until it is mended."""

    mended = False

    def on_validation_epoch_end(self) -> None:
        """Raise, in a validation of the training."""
        if not self.trainer.sanity_checking and not type(self).mended:
            raise KeyError("gold")
        super().on_validation_epoch_end()


@pytest.mark.parametrize("interval", [10, 5])
def test_what_raises_in_a_validation_costs_no_weights(
    tmp_path: Path, interval: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ["executor.ExecutorClass=RaisesInValidation", f"train.trainer_paras.val_check_interval={interval}"]
    with pytest.raises(KeyError):
        tiny(tmp_path, *settings).train()
    last = tmp_path / "runs/tiny_V0/train/saved_models/last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == interval
    monkeypatch.setattr(RaisesInValidation, "mended", True)
    run = tiny(tmp_path, *settings, resume=True).train().path
    assert torch.load(last, weights_only=True)["global_step"] == 20
    assert index_of(run)["best_model_score"] is not None


@register_executor
class RaisesAtAnEpochsEnd(TinyRegression):
    """Has no validation, and raises."""

    def on_train_epoch_end(self) -> None:
        """Raise."""
        raise KeyError("gold")


def test_what_raises_at_the_end_of_an_epoch_costs_no_weights(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        tiny(tmp_path, "executor.ExecutorClass=RaisesAtAnEpochsEnd", NO_VALIDATION).train()
    last = tmp_path / "runs/tiny_V0/train/saved_models/last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == 10
