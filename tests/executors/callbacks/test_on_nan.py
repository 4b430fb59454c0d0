"""A loss or gradients that are no numbers: the step is told, left out or made, and its batch saved."""

from __future__ import annotations

import math

import pytest
import torch

from runway.errors import ConfigError
from runway.executors.callbacks import on_nan
from runway.executors.callbacks.on_nan import NonFiniteLossError, OnNaN
from runway.executors.callbacks.saved_batch import row_indexes, save_batch
from tests.executors.tiny import build, tiny_config, trainer
from tests.executors.walkthrough import WalkthroughExecutor


class Exploding(WalkthroughExecutor):
    """Bad in some batches."""

    bad, factor = (2,), math.nan

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.step_losses = {"first": loss * self.factor, "second": loss}
        return loss * (self.factor if batch_idx in self.bad else 1)


class BadGradient(Exploding):
    """A finite loss, whose gradient is infinite."""

    def training_step(self, batch, batch_idx):
        loss = super(Exploding, self).training_step(batch, batch_idx)
        weight = self.model.classifier.bias.sum()
        return loss + (torch.sqrt(weight - weight.detach()) if batch_idx == 2 else 0)  # d sqrt(x) at 0


class Manual(WalkthroughExecutor):
    """Makes its own steps."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.automatic_optimization = False


def _fit(tmp_path, cls, then="stop", **settings):
    config = tiny_config(tmp_path)
    config.train.on_nan = then
    executor = build(cls, config)
    run = trainer(tmp_path, **{"limit_val_batches": 0, **settings})
    try:
        run.fit(executor)
    finally:
        states = run.optimizers[0].state.values() if run.optimizers else ()
        finite = all(value.isfinite().all() for state in states for value in state.values())
        executor.clean = finite and all(parameter.isfinite().all() for parameter in executor.parameters())
    return executor, run


@pytest.mark.parametrize(("cls", "told"), [(Exploding, "loss is nan (first nan)"), (BadGradient, "gradients are not")])
def test_it_stops_before_the_step_with_the_batch_saved(tmp_path, cls, told):
    with pytest.raises(NonFiniteLossError) as caught:
        _fit(tmp_path, cls)
    error = caught.value
    assert told in error.message
    assert (error.step, error.where) == (2, "epoch 0, batch 2, optimiser step 2")
    assert "lr" in error.hint
    assert "weights_only=True" in error.hint
    saved = torch.load(error.batch_file, weights_only=True)
    assert saved["batch"]["input_ids"].shape[0] == 8
    assert saved["rows"]["index"] == saved["batch"]["index"].tolist()
    assert f"rows {saved['rows']['index'][0]}, " in error.message
    assert saved["step"] == 2
    assert saved["data"] == "output:Loaders"


def test_a_look_that_comes_later_still_names_the_step(tmp_path, monkeypatch):
    """As on a GPU, where the verdict is not waited for."""
    arrived = on_nan._Verdicts.arrived

    def late(self, *, wait=False):
        return arrived(self, wait=True) if wait or len(self.waiting) > on_nan.LAG else iter(())

    monkeypatch.setattr(on_nan._Verdicts, "arrived", late)
    with pytest.raises(NonFiniteLossError) as caught:
        _fit(tmp_path, Exploding, max_epochs=2)
    assert caught.value.step == 2
    assert torch.load(caught.value.batch_file, weights_only=True)["batch_idx"] == 2


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("cls", [Exploding, BadGradient])
def test_a_step_left_out_changes_nothing(tmp_path, capsys, cls, precision):
    executor, run = _fit(tmp_path, cls, "skip", precision=precision, gradient_clip_val=1.0)
    assert executor.clean
    assert run.global_step == 4
    assert "1 of 4 optimiser steps were left out" in capsys.readouterr().err
    assert {int(state["step"]) for state in run.optimizers[0].state.values()} == {3}


def test_accumulated_steps_are_left_out_whole(tmp_path):
    executor, run = _fit(tmp_path, Exploding, "skip", accumulate_grad_batches=2)
    assert executor.clean
    assert run.global_step == 2
    assert {int(state["step"]) for state in run.optimizers[0].state.values()} == {1}
    assert torch.load(tmp_path / "nan_batch-step1.pt", weights_only=True)["batch_idx"] == 2


def test_too_many_in_a_row_end_it_also_over_a_resume(tmp_path):
    cls = type("Always", (Exploding,), {"bad": range(99)})
    with pytest.raises(NonFiniteLossError, match="10 optimiser steps in a row") as caught:
        _fit(tmp_path, cls, "skip", max_epochs=9)
    assert caught.value.step == 9
    callback = OnNaN("skip")
    callback.load_state_dict({"count": 12, "in_a_row": 9})
    assert callback.state_dict() == {"count": 12, "in_a_row": 9}


def test_warn_goes_on(tmp_path, capsys):
    executor, run = _fit(tmp_path, Exploding, "warn")
    assert (run.global_step, executor.clean) == (4, False)
    told = capsys.readouterr().err
    assert "the training goes on with it" in told
    assert "2 of 4 optimiser steps had" in told


def test_no_step_can_be_left_out_of_manual_optimisation(tmp_path):
    with pytest.raises(ConfigError, match="optimises manually"):
        _fit(tmp_path, Manual, "skip")


def test_no_checkpoint_is_written_before_the_verdict(tmp_path):
    callback = OnNaN()
    callback._is_sharded = False
    callback._judge = lambda *args, wait: (_ for _ in ()).throw(NonFiniteLossError("bad")) if wait else False
    with pytest.raises(NonFiniteLossError):
        callback.on_save_checkpoint(None, None, {})


class _Own:
    def __repr__(self):
        return "own"


def test_any_batch_is_saved_as_far_as_it_goes(tmp_path, monkeypatch):
    batch = {"a": [{"index": torch.arange(3), "x": torch.zeros(3, 4)[:, 1]}], "b": (_Own(), "text", None, 1.5)}
    assert row_indexes(batch) == {"a.0.index": [0, 1, 2]}
    path, _ = save_batch(batch, tmp_path / "new" / "a.pt", {"step": 1})
    saved = torch.load(path, weights_only=True)["batch"]
    assert saved["b"] == ["own", "text", None, 1.5]
    assert saved["a"][0]["x"].untyped_storage().nbytes() == 12  # not all that it is a view of
    monkeypatch.setattr("runway.executors.callbacks.saved_batch.MOST_BYTES", 30)
    path, told = save_batch(batch, tmp_path / "b.pt", {})
    assert torch.load(path, weights_only=True)["batch"]["a"][0]["x"] is None
    assert "without batch.a[0].x (3,) (12 B)" in told
    (tmp_path / "file").write_text("")
    path, told = save_batch(batch, tmp_path / "file" / "c.pt", {})
    assert path is None
    assert "could not be saved" in told


def test_a_fused_optimiser_leaves_a_step_out_by_itself():
    """What a GPU is not made to wait by: torch's own convention with its GradScaler."""
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([parameter], fused=True)
    for found, grad in ((0.0, 1.0), (1.0, math.nan)):
        parameter.grad = torch.full((3,), grad)
        optimizer.found_inf = torch.tensor(found)
        optimizer.step()
    assert int(optimizer.state[parameter]["step"]) == 1
    assert parameter.isfinite().all()
