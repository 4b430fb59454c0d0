"""A resumed training: what its config says is what it does, and each config is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from runway.errors import ConfigError, RunwayError
from runway.registry import register_executor
from tests.experiment.tiny import TinyRegression, names, tiny

LR = "train.optimizer_config.optimizer_params.lr"
MORE = "train.trainer_paras.max_epochs=4"


def group_of(run: Path) -> dict[str, Any]:
    """The first parameter group in ``last.ckpt``."""
    return torch.load(run / "saved_models/last.ckpt", weights_only=True)["optimizer_states"][0]["param_groups"][0]


@pytest.mark.parametrize(
    ("override", "says"),
    [
        (f"{LR}=0.001", rf"{LR} \(0.01 -> 0.001\) has no effect"),
        ("train.optimizer_config.optimizer_params.weight_decay=0.5", r"weight_decay \(nothing -> 0.5\)"),
        ("train.optimizer_config.scheduler=linear", r"scheduler \(nothing -> \"linear\"\)"),
        ("train.optimizer_config.optimizer_name=SGD", "optimizer_name"),
        ("train.batch_size=7", "an epoch is counted in batches"),
        ("data_pipeline.transforms.output:Rows.setup_kwargs.batch_size=7", "an epoch is counted in batches"),
        ("meta.seed=8", "the random state goes on from the checkpoint"),
        ("train.load_model_path=w.ckpt", "the weights are those of the checkpoint"),
    ],
)
def test_what_would_have_no_effect_is_an_error(tmp_path: Path, override: str, says: str) -> None:
    run = tiny(tmp_path).train().path
    before = (run / "config.json").read_bytes()
    with pytest.raises(ConfigError, match=says) as caught:
        tiny(tmp_path, MORE, override, resume=True).train()
    if "meta" not in override and "load_model" not in override:
        assert f"--take-new {caught.value.where}" in str(caught.value.hint)
    assert (run / "config.json").read_bytes() == before
    assert not list(run.glob("config.resume*"))


def test_each_resume_keeps_its_own_config_and_provenance_lists_them(tmp_path: Path) -> None:
    run = tiny(tmp_path).train().path
    first = (run / "config.json").read_bytes()
    tiny(tmp_path, "train.trainer_paras.max_epochs=3", resume=True).train()
    tiny(tmp_path, MORE, f"{LR}=0.001", resume=True, take_new=[LR]).train()
    assert (run / "config.json").read_bytes() == first
    second, third = (json.loads((run / f"config.resume-{number}.json").read_text()) for number in (1, 2))
    assert second["train"]["trainer_paras"]["max_epochs"] == 3
    assert third["train"]["optimizer_config"]["optimizer_params"]["lr"] == 0.001
    record = json.loads((run / "provenance.json").read_text())
    assert (record["config"], record["take_new"]) == ("config.resume-2.json", [LR])
    assert [one["config"] for one in record["earlier_runs"]] == ["config.json", "config.resume-1.json"]


def test_the_new_learning_rate_is_taken_and_stays_that_of_the_version(tmp_path: Path) -> None:
    run = tiny(tmp_path).train().path
    assert group_of(run)["lr"] == 0.01
    tiny(tmp_path, "train.trainer_paras.max_epochs=3", f"{LR}=0.001", resume=True, take_new=[LR]).train()
    assert group_of(run)["lr"] == 0.001
    with pytest.raises(ConfigError, match=r"lr \(0.001 -> 0.01\) has no effect"):  # the checkpoint has the other by now
        tiny(tmp_path, MORE, resume=True).train()
    tiny(tmp_path, MORE, f"{LR}=0.001", resume=True).train()
    assert group_of(run)["lr"] == 0.001


@pytest.mark.parametrize(
    ("take_new", "overrides", "says"),
    [
        (["train.optimiser_config"], [f"{LR}=0.1"], "--take-new train.optimiser_config"),
        ([LR], [], "nothing differs|trained with"),
        (["train.optimizer_config"], [f"{LR}=0.1", "train.batch_size=3"], "train.batch_size"),
        (["meta.seed"], ["meta.seed=8"], "has no effect"),
    ],
)
def test_a_flag_that_takes_nothing_or_not_all(
    tmp_path: Path, take_new: list[str], overrides: list[str], says: str
) -> None:
    tiny(tmp_path).train()
    with pytest.raises(RunwayError, match=says):
        tiny(tmp_path, MORE, *overrides, resume=True, take_new=take_new).train()


def test_the_flag_is_for_a_resume(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--take-new is for `train --resume`"):
        tiny(tmp_path, take_new=[LR]).train()
    assert names(tmp_path / "runs") == []


@register_executor
class EndsInsideAnEpoch(TinyRegression):
    """Raises in the second one."""

    def on_step(self, batch_idx: int) -> None:
        """After three batches that are saved, and one that is not."""
        if self.global_step == 14:
            raise KeyError("gold")


def test_another_batch_size_inside_an_epoch_cannot_be_placed(tmp_path: Path) -> None:
    settings = [
        "executor.ExecutorClass=EndsInsideAnEpoch",
        "train.model_checkpoint_callback_paras.every_n_train_steps=13",
    ]
    with pytest.raises(KeyError):
        tiny(tmp_path, *settings).train()
    with pytest.raises(ConfigError, match="inside an epoch, after 3 batches"):
        tiny(tmp_path, *settings, "train.batch_size=4", resume=True, take_new=["train.batch_size"]).train()


def test_another_batch_size_between_epochs_is_taken(tmp_path: Path) -> None:
    tiny(tmp_path).train()
    tiny(tmp_path, MORE, "train.batch_size=4", resume=True, take_new=["train.batch_size"]).train()
