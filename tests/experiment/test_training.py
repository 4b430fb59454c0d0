"""Training: what is written, what is refused before anything is written, when it stops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from runway.errors import ConfigError, RunwayError
from runway.executors.base_executor import BaseExecutor
from runway.registry import register_executor
from tests.experiment.tiny import TinyRegression, names, tiny, weights


def test_a_training_leaves_a_complete_run_folder(tmp_path: Path) -> None:
    result = tiny(tmp_path).train()
    assert result.path == tmp_path / "runs" / "tiny_V0" / "train"
    assert set(names(result.path)) >= {
        "config.json",
        "provenance.json",
        "model_summary.txt",
        "metrics_history.json",
        "logs",
        "saved_models",
        "recorders",
        "run.log",
    }
    assert result.checkpoint is not None
    assert result.checkpoint.parent == result.path / "saved_models"
    assert set(result.metrics) >= {"train_loss", "val_loss", "mean_error"}
    assert names(result.path / "recorders") == ["validation-step10", "validation-step20"]
    config = json.loads((result.path / "config.json").read_text())
    assert config["train"]["trainer_paras"]["max_epochs"] == 2
    assert "49" in (result.path / "model_summary.txt").read_text()


def test_every_training_is_a_new_version(tmp_path: Path) -> None:
    assert [tiny(tmp_path).train().path.parent.name for _ in range(2)] == ["tiny_V0", "tiny_V1"]
    named = tiny(tmp_path, experiment_name="other", tags=["small"]).train()
    assert named.path.parent.name == "other_V0_tag:small"


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    one, other = (tiny(tmp_path).train().checkpoint for _ in range(2))
    third = tiny(tmp_path, "meta.seed=8").train().checkpoint
    assert one
    assert other
    assert third
    assert all(torch.equal(weights(one)[key], weights(other)[key]) for key in weights(one))
    assert any(not torch.equal(weights(one)[key], weights(third)[key]) for key in weights(one))


@register_executor
class NeedsCoffee(TinyRegression):
    """Cannot be built."""

    def _init_model(self, model_config: Any) -> None:
        raise RuntimeError("no coffee")


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("executor.ExecutorClass=TinyRegresion", "TinyRegresion"),
        ("executor.ExecutorClass=NeedsCoffee", "no coffee"),
        ("executor.init_kwargs.use_data_node=output:Cols", "output:Cols"),
        ("executor.init_kwargs.depth=3", "depth"),
        ("data_pipeline.transforms.output:Rows.setup_kwargs.colour=red", "colour"),
        ("meta.logger_enable=[cvs]", "'cvs'"),
        ("train.trainer_paras.accelerator=quantum", "quantum"),
        ("train.trainer_paras.precision=17-mixed", "17-mixed"),
        ("train.load_model_path=nowhere.ckpt", "nowhere.ckpt"),
        ("train.model_checkpoint_callback_paras.dirpath=/tmp", "dirpath"),
        ("train.model_checkpoint_callback_paras.filename=../../x", "filename"),
        ("train.model_checkpoint_callback_paras={'mode': 'mid'}", "mode"),
        ("train.early_stopping_callback_paras={'mode': 'mid'}", "mode"),
    ],
)
def test_a_start_that_fails_leaves_no_version(tmp_path: Path, override: str, says: str) -> None:
    with pytest.raises((RunwayError, RuntimeError), match=says):
        tiny(tmp_path, override).train()
    assert names(tmp_path / "runs") == []


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
    ("override", "says"),
    [
        ("optimizer_name=AdmW", "unknown optimiser 'AdmW'"),
        ("optimizer_params.learning_rate=0.1", "no argument 'learning_rate'"),
        ("optimizer_params.lr=fast", "does not take these arguments"),
        ("scheduler=linaer", "unknown scheduler 'linaer'"),
        ("{'scheduler': 'linear', 'scheduler_params': {'warmup': 3}}", "no argument 'warmup'"),
        ("{'scheduler': 'StepLR', 'scheduler_params': {'step_size': 'a'}}", "does not take these arguments"),
    ],
)
def test_a_mistake_about_the_optimizer_is_told_before_data_or_model_are_made(
    tmp_path: Path, override: str, says: str
) -> None:
    setting = f"train.optimizer_config{'=' if override.startswith('{') else '.'}{override}"
    later = ["executor.ExecutorClass=NeedsCoffee", "data_pipeline.transforms.output:Rows.setup_kwargs.colour=red"]
    with pytest.raises(ConfigError, match=says) as caught:
        tiny(tmp_path, setting, *later).train()
    assert str(caught.value.where).startswith("train.optimizer_config")
    assert names(tmp_path / "runs") == []


@register_executor
class Deep(TinyRegression):
    """Has settings with types, and passes the others on."""

    def __init__(self, *args: Any, depth: int = 1, scale: float | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("depth=deep", "`depth` must be a whole number, but is 'deep' instead"),
        ("depth=null", "`depth` must be a whole number, but is null instead"),
        ("scale=[1]", r"`scale` must be a number or null, but is \[1\] instead"),
        ("use_data_node=3", "`use_data_node` must be text or null, but is 3 instead"),
    ],
)
def test_a_setting_of_the_executor_that_has_the_wrong_type_is_told_before_the_data_is_made(
    tmp_path: Path, override: str, says: str
) -> None:
    later = "data_pipeline.transforms.output:Rows.setup_kwargs.colour=red"
    chosen = "executor.ExecutorClass=Deep"
    with pytest.raises(ConfigError, match=says) as caught:
        tiny(tmp_path, chosen, f"executor.init_kwargs.{override}", later).train()
    assert (caught.value.where, caught.value.hint) == ("executor.init_kwargs", "runway show Deep")


@register_executor
class OwnOptimizer(TinyRegression):
    """Makes its own, so that what the config says of it is its own affair."""

    def configure_optimizers(self) -> Any:
        """Plain SGD."""
        return torch.optim.SGD(self.parameters(), lr=self.train_config["optimizer_config"]["optimizer_params"]["pace"])


def test_an_executor_with_its_own_optimizer_reads_the_config_as_it_likes(tmp_path: Path) -> None:
    assert (
        tiny(
            tmp_path,
            "executor.ExecutorClass=OwnOptimizer",
            "train.optimizer_config={'optimizer_name': 'Mine', 'optimizer_params': {'pace': 0.001}}",
        )
        .train()
        .checkpoint
    )


@register_executor
class WithoutSteps(BaseExecutor):
    """Has a model only."""

    def _init_model(self, model_config: Any) -> None:
        self.model = torch.nn.Linear(4, 1)


@register_executor
class TrainsOnly(WithoutSteps):
    """Has no ``test_step``."""

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        """Squared error."""
        return ((self.model(batch[1]) - batch[2]) ** 2).mean()


def test_an_executor_without_the_step_of_its_mode(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="'WithoutSteps' has no `training_step`"):
        tiny(tmp_path, "executor.ExecutorClass=WithoutSteps").train()
    assert names(tmp_path / "runs") == []
    tiny(tmp_path, "executor.ExecutorClass=TrainsOnly").train()
    assert "'TrainsOnly' has no `test_step`" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="'TrainsOnly' has no `test_step`, which a test needs") as caught:
        tiny(tmp_path, "executor.ExecutorClass=TrainsOnly").test()
    assert "test_step(self, batch, batch_idx)" in str(caught.value.hint)


def test_weights_to_start_from(tmp_path: Path) -> None:
    first = tiny(tmp_path).train()
    assert first.checkpoint is not None
    pretrained = tmp_path / "pretrained.pt"
    model_state = {key.removeprefix("model."): value for key, value in weights(first.checkpoint).items()}
    torch.save(model_state, pretrained)
    frozen = (
        "train.trainer_paras.max_epochs=1",
        "train.optimizer_config.optimizer_params.lr=0.0",
        "train.optimizer_config.optimizer_params.weight_decay=0.0",
    )
    second = tiny(tmp_path, "train.load_model_path=pretrained.pt", *frozen).train()
    assert second.checkpoint is not None
    assert all(torch.equal(weights(second.checkpoint)[f"model.{key}"], value) for key, value in model_state.items())
    with pytest.raises(RunwayError, match="do not fit the model"):
        tiny(tmp_path, "train.load_model_path=pretrained.pt", "model_config.width=3").train()


def test_validations_and_steps_are_told_in_plain_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny(tmp_path, "train.trainer_paras.enable_progress_bar=true").train()
    told = capsys.readouterr().err
    assert "epoch 2/2  step 10/10  loss" in told
    assert "validation at step 20: mean_error" in told
    assert "litlogger" not in told
    assert "workers" not in told
