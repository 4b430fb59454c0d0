"""Mistakes that are told before data or model are made, and leave no version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from runway.errors import ConfigError, RunwayError
from runway.executors.base_executor import BaseExecutor
from runway.registry import register_executor
from tests.experiment.tiny import TinyRegression, names, tiny


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
