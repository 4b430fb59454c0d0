"""``--take-new``: the optimiser and the schedule are those of the new config, at the step where it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.experiment.tiny import names, tiny

SECTION = "train.optimizer_config"


def last(run: Path) -> dict[str, Any]:
    """What ``last.ckpt`` holds."""
    return torch.load(run / "saved_models/last.ckpt", weights_only=True)


def resumed(tmp_path: Path, first: str, second: str, epochs: int = 3) -> tuple[Path, dict[str, Any]]:
    """Two epochs under one optimiser config, and more under another one that is taken."""
    run = tiny(tmp_path, f"{SECTION}={first}").train().path
    before = last(run)
    more = f"train.trainer_paras.max_epochs={epochs}"
    tiny(tmp_path, f"{SECTION}={second}", more, resume=True, take_new=[SECTION]).train()
    return run, before


STEP = "scheduler: StepLR, scheduler_params: {{step_size: 1, gamma: {}}}"


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("{optimizer_params: {lr: 0.01}}", "{optimizer_params: {lr: 0.002}}", 0.002),
        (
            f"{{optimizer_params: {{lr: 0.01}}, {STEP.format(0.5)}}}",
            f"{{optimizer_params: {{lr: 0.1}}, {STEP.format(0.5)}}}",
            0.1 * 0.5**3,
        ),
        (
            f"{{optimizer_params: {{lr: 0.01}}, {STEP.format(0.5)}}}",
            f"{{optimizer_params: {{lr: 0.01}}, {STEP.format(0.1)}}}",
            0.01 * 0.1**3,
        ),
        (
            "{optimizer_params: {lr: 0.01}}",
            "{optimizer_params: {lr: 0.01}, scheduler: constant, scheduler_params: {num_warmup_steps: 60}}",
            0.01 * 30 / 60,
        ),
        (
            "{optimizer_params: {lr: 0.01}, scheduler: constant, scheduler_params: {num_warmup_steps: 60}}",
            "{optimizer_params: {lr: 0.02}}",
            0.02,
        ),
    ],
)
def test_the_rate_is_where_the_new_schedule_would_be(tmp_path: Path, first: str, second: str, expected: float) -> None:
    run, _ = resumed(tmp_path, first, second)
    after = tiny(tmp_path / "whole", f"{SECTION}={second}", "train.trainer_paras.max_epochs=3").train().path
    rates = [last(path)["optimizer_states"][0]["param_groups"][0]["lr"] for path in (run, after)]
    assert rates[0] == pytest.approx(rates[1])
    assert rates[0] == pytest.approx(expected, rel=0.6)  # the last state may be one step short of the schedule's


def test_the_moments_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, before = resumed(tmp_path, "{optimizer_params: {lr: 0.01}}", "{optimizer_params: {lr: 0.002, eps: 1e-6}}")
    after = last(run)["optimizer_states"][0]
    assert after["param_groups"][0]["eps"] == 1e-6
    assert float(after["state"][0]["step"]) == float(before["optimizer_states"][0]["state"][0]["step"]) + 10
    told = capsys.readouterr().err
    assert "--take-new: going on with lr 0.002 (it was 0.01)" in told
    assert "without what it had gathered" not in told


@pytest.mark.parametrize(
    "second",
    ["{optimizer_name: SGD, optimizer_params: {lr: 0.01}}", "{optimizer_params: {lr: 0.01, weight_decay: 0.0}}"],
)
def test_another_optimizer_starts_afresh(tmp_path: Path, second: str, capsys: pytest.CaptureFixture[str]) -> None:
    run, _ = resumed(tmp_path, "{optimizer_params: {lr: 0.01}}", second)
    assert "without what it had gathered" in capsys.readouterr().err
    assert last(run)["global_step"] == 30


def test_a_plateau_keeps_what_it_has_watched(tmp_path: Path) -> None:
    plateau = "scheduler: ReduceLROnPlateau, scheduler_params: {monitor: val_loss, patience: 50}"
    run, before = resumed(
        tmp_path, f"{{optimizer_params: {{lr: 0.01}}, {plateau}}}", f"{{optimizer_params: {{lr: 0.02}}, {plateau}}}"
    )
    assert last(run)["optimizer_states"][0]["param_groups"][0]["lr"] == 0.02
    kept = before["lr_schedulers"][0]["last_epoch"]
    assert kept
    assert last(run)["lr_schedulers"][0]["last_epoch"] >= kept


def test_a_cycle_whose_end_stands_in_the_checkpoint(tmp_path: Path) -> None:
    cycle = f"{SECTION}={{optimizer_params: {{lr: 0.01}}, scheduler: OneCycleLR}}"
    tiny(tmp_path, cycle).train()
    more = "train.trainer_paras.max_epochs=3"
    with pytest.raises(Exception, match=r"max_epochs \(2 -> 3\) has no effect"):
        tiny(tmp_path, cycle, more, resume=True).train()
    run = tiny(tmp_path, cycle, more, resume=True, take_new=["train.trainer_paras.max_epochs"]).train().path
    assert last(run)["lr_schedulers"][0]["total_steps"] == 30
    assert "last.ckpt" in names(run / "saved_models")
