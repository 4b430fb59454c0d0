"""Every target token weighs alike, however many micro-batches and ranks share a step."""

from __future__ import annotations

from types import SimpleNamespace

import lightning
import pytest
import torch
from torch.utils.data import DataLoader

from runway.executors.seq2seq.token_window import TokenWindow
from tests.executors.tiny import trainer
from tests.executors.tiny_translation import PairRows, collate, make, pairs


class KeepGradients(lightning.Callback):
    """The gradients of each optimiser step, as clipping and the optimiser find them."""

    def __init__(self):
        self.steps = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        trained = {name: value for name, value in pl_module.named_parameters() if value.requires_grad}
        self.steps.append({name: None if value.grad is None else value.grad.clone() for name, value in trained.items()})


def rows_of_all_lengths(count=11):
    """Short and long ones by turns, so that micro-batches differ in their tokens."""
    short, long = (
        pairs(count, 1, most=1),
        [(f"{' '.join([a] * 9)}", " ".join([b] * 9)) for a, b in pairs(count, 2, most=1)],
    )
    return PairRows([long[row] if row % 4 == 3 else short[row] for row in range(count)])


def masked(rows):
    """The batch of some rows, those whose index is in ``without`` with no label to train on."""

    def collated(chosen):
        batch = collate(chosen)
        batch["labels"][[int(index) in rows for index in batch["index"]]] = -100
        return batch

    return collated


def gradients(
    folder, batch_size, accumulate, *, precision="64-true", collate_fn=collate, epochs=1, order=range(11), **settings
):
    torch.manual_seed(0)
    executor = make(folder, label_smoothing=0.1)
    rows = rows_of_all_lengths()
    loader = DataLoader(rows, batch_size=batch_size, sampler=list(order), collate_fn=collate_fn)
    executor.train_dataloaders = loader
    executor.train_config.optimizer_config = {"optimizer_name": "SGD", "optimizer_params": {"lr": 0.0}}
    kept = KeepGradients()
    settings = {"accumulate_grad_batches": accumulate, "limit_val_batches": 0, "precision": "64-true", **settings}
    trainer(folder, callbacks=[kept], **settings).fit(executor)
    return kept.steps


def assert_alike(one, other, most=1e-12):
    """The largest difference, of the largest gradient."""
    scale = max(float(value.abs().max()) for value in one.values())
    assert max(float((one[name] - other[name]).abs().max()) for name in one) < most * scale


@pytest.mark.parametrize(("precision", "most"), [("64-true", 1e-12), ("32-true", 1e-4)])
def test_four_batches_of_two_are_one_of_eight(tmp_path, precision, most):
    whole, parts = (gradients(tmp_path, *sizes, precision=precision) for sizes in ((8, 1), (2, 4)))
    assert len(whole) == len(parts) == 2
    for one, other in zip(whole, parts, strict=True):  # the second has the 3 rows that are left
        assert_alike(one, other, most)


def test_the_gradients_are_those_of_the_mean_over_tokens(tmp_path):
    (kept, _) = gradients(tmp_path, 2, 4)
    torch.manual_seed(0)
    executor = make(tmp_path, label_smoothing=0.1).double()
    rows = rows_of_all_lengths()
    batch = executor._runway_complete(collate([rows[row] for row in range(8)]))
    logits = executor(batch)[: len(batch["targets"])]
    torch.nn.functional.cross_entropy(logits, batch["targets"], label_smoothing=0.1).backward()
    assert_alike(kept, {name: value.grad for name, value in executor.named_parameters()})


def test_each_epoch_begins_a_window_of_its_own(tmp_path):
    steps = gradients(tmp_path, 2, 4, max_epochs=2)
    assert len(steps) == 4
    for name in steps[0]:
        assert torch.equal(steps[0][name], steps[2][name])
        assert torch.equal(steps[1][name], steps[3][name])


def test_a_batch_without_tokens_has_no_part(tmp_path, capsys):
    """Rows 2 and 3 are masked: a micro-batch of its own where they come in twos."""
    whole, parts = (gradients(tmp_path, *sizes, collate_fn=masked({2, 3})) for sizes in ((8, 1), (2, 4)))
    assert_alike(whole[0], parts[0])
    told = capsys.readouterr().err
    assert "batch 1 has no token to train on (0 of 20 labels), and is skipped" in told
    assert "1 of 6 batches of epoch 0 had no token to train on: skipped" in told


def test_a_step_without_tokens_moves_nothing(tmp_path):
    _, second = gradients(tmp_path, 8, 1, collate_fn=masked({8, 9, 10}))
    assert all(gradient is None for gradient in second.values())


def test_the_logged_loss_is_that_of_the_tokens(tmp_path):
    torch.manual_seed(0)
    losses = []
    for batch_size, accumulate in ((8, 1), (2, 4)):
        executor = make(tmp_path)
        executor.train_dataloaders = DataLoader(rows_of_all_lengths(), batch_size=batch_size, collate_fn=collate)
        executor.train_config.optimizer_config = {"optimizer_name": "SGD", "optimizer_params": {"lr": 0.0}}
        run = trainer(tmp_path, accumulate_grad_batches=accumulate, limit_val_batches=0)
        run.fit(executor)
        losses.append(float(run.callback_metrics["train_loss_epoch"]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


ON_RANKS = """
    import os
    from pathlib import Path

    import torch

    from tests.executors.seq2seq.test_token_window import gradients, masked
    from tests.executors.tiny_translation import collate

    torch.set_num_threads(1)
    folder, found = Path(__file__).parent, {}
    settings = {"max_steps": 1, "devices": 2, "strategy": "ddp", "use_distributed_sampler": False}
    settings["order"] = range(int(os.environ.get("LOCAL_RANK", 0)), 8, 2)
    for name, hidden in {"all": (), "of one rank": (0, 2, 4, 6)}.items():
        for batch_size, accumulate in ((4, 1), (2, 2), (1, 4)):
            (step,) = gradients(folder, batch_size, accumulate, collate_fn=masked(set(hidden)), **settings)
            found[f"{name}, {batch_size} x {accumulate}"] = step
    torch.save(found, folder / "found.pt")
"""


@pytest.mark.slow
def test_two_ranks_of_four_are_one_batch_of_eight(project):
    project.python(project.write("train.py", ON_RANKS), timeout=300)
    found = torch.load(project.path / "found.pt")
    assert len(found) == 6
    for name, step in found.items():
        hidden = {0, 2, 4, 6} if "one rank" in name else set()  # all of rank 0's
        (whole,) = gradients(project.path, 8, 1, collate_fn=masked(hidden), max_steps=1)
        assert_alike(whole, step)


class KeepHalf(lightning.Callback):
    """Saves a checkpoint and the gradients in the middle of a window."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if batch_idx == 1:
            trainer.save_checkpoint(f"{trainer.default_root_dir}/half.ckpt")
            self.gradients = [None if value.grad is None else value.grad.clone() for value in pl_module.parameters()]


@pytest.mark.parametrize("with_gradients", [True, False])
def test_half_a_window_goes_on(tmp_path, with_gradients):
    """With the gradients that were saved beside it; without them, the rest is a window of its own."""
    half, kept = KeepHalf(), KeepGradients()
    executor = make(tmp_path, label_smoothing=0.1)
    executor.train_dataloaders = DataLoader(rows_of_all_lengths(), batch_size=2, collate_fn=collate)
    executor.train_config.optimizer_config = {"optimizer_name": "SGD", "optimizer_params": {"lr": 0.0}}
    settings = {"accumulate_grad_batches": 4, "limit_val_batches": 0, "precision": "64-true"}
    trainer(tmp_path, callbacks=[half, kept], **settings).fit(executor)
    state = torch.load(tmp_path / "half.ckpt", weights_only=True)["token_window"]
    assert state == {"first": 4.0, "total": 16.0}  # a row has one word, or nine, and the end of sentence

    run = SimpleNamespace(world_size=1, accumulate_grad_batches=4, lightning_module=executor)
    for value, gradient in zip(executor.parameters(), half.gradients, strict=True):
        value.grad = gradient if with_gradients else None
    window = TokenWindow(run, state)
    assert window.share(8, 2) == (2 if with_gradients else 1)
    assert window.state == ({"first": 4, "total": 24} if with_gradients else {"first": 8, "total": 8})
