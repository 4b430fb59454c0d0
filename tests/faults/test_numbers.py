"""Numbers that go wrong in whole runs: what is left of the run, what is told, and that all ranks do the same."""

from __future__ import annotations

import json
import math

import pytest
import torch

from runway.executors.callbacks.on_nan import NonFiniteLossError
from runway.registry import register_executor
from tests.experiment.tiny import TinyRegression, names, same_weights, tiny, weights


@register_executor
class BadNumbers(TinyRegression):
    """A loss, or a validation loss, that is no number at some steps."""

    bad_steps: tuple[int, ...] = ()
    bad_validations: dict[int, float] = {}  # noqa: RUF012

    def training_step(self, batch, batch_idx):
        return super().training_step(batch, batch_idx) * (math.nan if self.global_step in self.bad_steps else 1)

    def validation_step(self, batch, batch_idx):
        super().validation_step(batch, batch_idx)
        self.log("val_score", self.bad_validations.get(self.global_step, 1.0 + self.global_step), batch_size=1)


def _tiny(project, *overrides, **flags):
    return tiny(project, "executor.ExecutorClass=BadNumbers", *overrides, **flags)


@pytest.fixture
def bad(monkeypatch):
    def set_bad(steps=(), validations=None):
        monkeypatch.setattr(BadNumbers, "bad_steps", steps)
        monkeypatch.setattr(BadNumbers, "bad_validations", validations or {})

    return set_bad


def test_what_a_first_loss_of_nan_leaves(tmp_path, bad, capsys):
    """The version stays, with the batch; after a reset the versions before it are back, the batch beside them."""
    bad(steps=(0,))
    with pytest.raises(NonFiniteLossError) as caught:
        _tiny(tmp_path).train()
    assert caught.value.batch_file == tmp_path / "runs/tiny_V0/train/nan_batch-step0.pt"
    rows = torch.load(caught.value.batch_file, weights_only=True)
    assert rows["rows"]["index"] == rows["batch"][0].tolist()  # of a batch without `index`, by the sampler
    with pytest.raises(NonFiniteLossError):
        _tiny(tmp_path, reset=True, assume_yes=True).train()
    assert {"tiny_V0", "nan_batch-step0.pt"} <= set(names(tmp_path / "runs"))
    assert "tiny_V1" not in names(tmp_path / "runs")
    assert "the batch is moved" in capsys.readouterr().err


def test_after_a_stop_the_last_checkpoint_is_good_and_goes_on_with_skip(tmp_path, bad, capsys):
    """Stopped at a bad step and resumed with ``skip`` ends as one that has left it out at once, bit for bit."""
    bad(steps=(13,))
    skip = ("train.on_nan=skip", "train.model_checkpoint_callback_paras={every_n_train_steps: 1, monitor: null}")
    _tiny(tmp_path, "meta.EXPERIMENT_FOLDER=whole", *skip).train()
    assert "1 of 20 optimiser steps were left out" in capsys.readouterr().err
    with pytest.raises(NonFiniteLossError):
        _tiny(tmp_path, skip[1]).train()
    saved = tmp_path / "runs/tiny_V0/train/saved_models/last.ckpt"
    assert torch.load(saved, weights_only=True)["global_step"] == 13
    assert all(value.isfinite().all() for value in weights(saved).values())
    _tiny(tmp_path, *skip, resume=True).train()
    assert same_weights(weights(saved), weights(tmp_path / "whole/tiny_V0/train/saved_models/last.ckpt"))


@pytest.mark.parametrize(("mode", "values"), [("min", {10: math.nan, 20: 5.0}), ("min", {10: 5.0, 20: -math.inf})])
def test_a_metric_that_is_no_number_is_never_the_best(tmp_path, bad, capsys, mode, values):
    bad(validations=values)
    paras = f"{{monitor: 'val_score', mode: '{mode}'}}"
    _tiny(tmp_path, f"train.model_checkpoint_callback_paras={paras}").train()
    index = json.loads((tmp_path / "runs/tiny_V0/train/saved_models/checkpoints.json").read_text())
    assert index["best_model_score"] == 5.0
    told = capsys.readouterr().err
    assert "it cannot be the best" in told
    assert "val_score is nan at step" in told or "val_score is -inf at step" in told


@pytest.mark.slow
def test_all_ranks_do_the_same(project):
    """One rank's bad loss: both leave the step out, and both end."""
    script = project.write(
        "train.py",
        """
        import json, math
        from pathlib import Path

        import torch

        from tests.executors.tiny import trainer
        from tests.experiment.tiny import TinyRegression, tiny_config

        folder = Path(__file__).parent
        torch.manual_seed(0)

        class Bad(TinyRegression):
            def training_step(self, batch, batch_idx):
                loss = super().training_step(batch, batch_idx)
                # The gradient is a number: only the loss says it.
                return loss + math.inf if self.global_rank == 1 and batch_idx == 1 else loss

        told = {}
        for then in ("skip", "stop"):
            config = tiny_config(folder, f"train.on_nan={then}")
            executor = Bad(config.data_pipeline, config.model_config, "train", train_config=config.train,
                           global_config=config, use_data_node="output:Rows")
            run = trainer(folder, devices=2, strategy="ddp", limit_val_batches=0)
            try:
                run.fit(executor)
            except Exception as error:
                told["error"] = str(error)
            told["steps"] = sorted({int(state["step"]) for state in run.optimizers[0].state.values()})
            told["weights"] = [float(value.double().sum()) for value in executor.state_dict().values()]
            (folder / f"{then}{run.global_rank}.json").write_text(json.dumps(told))
        """,
    )
    project.python(script, timeout=240)
    first, second = (json.loads(project.read(f"skip{rank}.json")) for rank in (0, 1))
    assert first == second
    assert first["steps"] == [4]  # of five
    stopped = json.loads(project.read("stop0.json"))
    assert stopped["steps"] == [1]
    assert "of rank 1 is no finite number" in stopped["error"]
    saved = torch.load(project.path / "nan_batch-step1-rank1.pt", weights_only=True)
    assert "nan_batch-step1-rank1.pt" in stopped["error"]
    assert saved["loss"] == math.inf
