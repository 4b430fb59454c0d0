"""The private names of Lightning: this fails first where a new version has moved one."""

from __future__ import annotations

import inspect
from unittest.mock import Mock

import lightning
import lightning.pytorch.callbacks
import pytest
import torch
from lightning.pytorch.utilities.combined_loader import CombinedLoader
from torch.utils.data import DataLoader, IterableDataset

from runway.executors import lightning_internals as internals


class Line(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, batch_idx):
        loss = self.layer(batch).mean()
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.layer(batch).mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Watch(lightning.Callback):
    """Asks after each batch what a callback may ask."""

    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen.append(
            (
                internals.accumulates(trainer),
                internals.validates_next(trainer),
                internals.has_validated(trainer),
                internals.logged_steps(trainer),
                internals.validation_batches(trainer),
            )
        )


def fit(tmp_path, *callbacks, model=None, **settings):
    quiet = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False)
    options = {"max_epochs": 1, "num_sanity_val_steps": 0, "accelerator": "cpu", "devices": 1, **quiet, **settings}
    trainer = lightning.Trainer(default_root_dir=tmp_path, callbacks=list(callbacks), **options)
    trainer.fit(model or Line(), DataLoader(torch.ones(8, 1), batch_size=2), DataLoader(torch.ones(6, 1), batch_size=2))
    return trainer


def test_what_the_loops_know_after_each_batch(tmp_path):
    watch = Watch()
    trainer = fit(tmp_path, watch, accumulate_grad_batches=2, val_check_interval=2)
    assert watch.seen == [
        (True, False, False, 0, 3),
        (False, True, False, 0, 3),
        (True, False, True, 1, 3),
        (False, True, True, 1, 3),
    ]
    assert internals.logged_in_validation(trainer) == {"val_loss"}


class Places(lightning.Callback):
    """Notes what is called when."""

    def __init__(self):
        self.seen = []

    def setup(self, trainer, pl_module, stage):
        def note(place):
            progress = trainer.fit_loop.epoch_loop.batch_progress.current
            sums = [(one["key"], one["meta"]["reduce_fx"]) for one in internals.epoch_sums(trainer)]
            self.seen.append((place, progress.completed, trainer.current_epoch, sums))

        internals.call_when_done(
            trainer,
            batch=lambda: note("batch"),
            validation=lambda: note("validation"),
            epoch=lambda: note("epoch"),
        )
        internals.call_before_first_epoch(trainer, lambda: note("start"))

    def on_train_start(self, trainer, pl_module):
        self.seen.append("on_train_start")

    def on_train_end(self, trainer, pl_module):
        internals.leave_alone(trainer)
        assert "on_advance_end" not in vars(trainer.fit_loop) | vars(trainer.fit_loop.epoch_loop)


def test_whether_the_time_for_a_validation_has_come_is_decided_once_a_batch(tmp_path):
    """Else a rank whose clock says so a moment later trains on while the others validate."""

    class ClockMoves(lightning.Callback):
        decided, validations = (), 0

        def setup(self, trainer, pl_module, stage):
            internals.call_when_done(
                trainer, batch=lambda: self.ask(trainer), validation=self.count, epoch=lambda: None
            )

        def ask(self, trainer):
            before = internals.validates_next(trainer)
            trainer._last_val_time += 3600
            self.decided = (*self.decided, (before, internals.validates_next(trainer)))

        def count(self):
            self.validations += 1

    moves = ClockMoves()
    fit(tmp_path, moves, val_check_interval={"microseconds": 1}, check_val_every_n_epoch=None)
    assert moves.decided == ((True, True),) * 4
    assert moves.validations == 4


def test_what_has_no_hook_is_called_when_all_is_done(tmp_path):
    places = Places()
    trainer = fit(tmp_path, places, max_epochs=2, limit_train_batches=1)
    assert places.seen[0] == "on_train_start"
    assert [one[:3] for one in places.seen[1:]] == [
        ("start", 0, 0),
        ("batch", 1, 0),
        ("validation", 1, 0),
        ("epoch", 1, 0),
        ("batch", 1, 1),
        ("validation", 1, 1),
        ("epoch", 1, 1),
    ]
    assert set(internals.callback_metrics(trainer)) == {"train_loss", "val_loss"}


class EpochMean(Line):
    def training_step(self, batch, batch_idx):
        self.log("mean", batch.mean() + batch_idx, on_epoch=True, on_step=False)
        return super().training_step(batch, batch_idx)


def test_what_an_epoch_has_summed_up_can_be_put_back(tmp_path):
    class PutBack(lightning.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            saved = internals.epoch_sums(trainer)
            assert [one["key"] for one in saved] == ["training_step.mean"]
            trainer.fit_loop.epoch_loop._results.clear()
            internals.restore_epoch_sums(trainer, saved)

    trainer = fit(tmp_path, PutBack(), model=EpochMean())
    assert trainer.callback_metrics["mean"] == pytest.approx(1 + (0 + 1 + 2 + 3) / 4)


def test_a_rank_can_be_alone(tmp_path):
    trainer = fit(tmp_path)
    before = dict(vars(trainer.strategy))
    with internals.without_other_ranks(trainer):
        trainer.strategy.barrier("x")
        assert trainer.strategy.broadcast("own", src=0) == "own"
        assert trainer.strategy.reduce_boolean_decision(False, all=False) is False
    assert vars(trainer.strategy) == before


def test_what_a_checkpoint_callback_does_not_restore():
    callback = lightning.pytorch.callbacks.ModelCheckpoint(monitor="x")
    marks = internals.save_marks(callback)
    internals.mark_saved(marks, 7, deferred=False)
    internals.restore_save_marks(callback, marks)
    assert callback._last_global_step_saved == 7
    source = inspect.getsource(lightning.pytorch.callbacks.ModelCheckpoint)
    assert "self._last_global_step_saved == trainer.global_step" in source


def test_a_module_knows_its_trainer(tmp_path):
    assert internals.attached_trainer(Line()) is None
    trainer = fit(tmp_path)
    assert internals.attached_trainer(trainer.lightning_module) is trainer


def test_a_restored_fit_asks_whether_it_counts_by_steps(tmp_path):
    trainer = fit(tmp_path, max_steps=2, max_epochs=-1)
    assert trainer.fit_loop._iteration_based_training() is True
    internals.begin_new_epoch(trainer, forced=True)
    assert trainer.fit_loop._iteration_based_training() is False
    internals.begin_new_epoch(trainer, forced=False)
    assert trainer.fit_loop._iteration_based_training() is True
    assert "_iteration_based_training" in inspect.getsource(type(trainer.fit_loop).restarting.fset)


class Stream(IterableDataset):
    def __iter__(self):
        return iter(torch.arange(6))


class Counted(torch.utils.data.Dataset):
    def __init__(self):
        self.read = []

    def __len__(self):
        return 6

    def __getitem__(self, row):
        self.read.append(row)
        return row


def test_batches_are_skipped_without_reading_rows():
    rows = Counted()
    loader = CombinedLoader(DataLoader(rows, batch_size=2), "max_size_cycle")
    assert internals.combined_mode(loader) == "max_size_cycle"
    iter(loader)
    assert internals.skip_by_index(loader, 2)
    batch, _, _ = next(loader)
    assert (batch.tolist(), rows.read) == ([4, 5], [4, 5])


@pytest.mark.parametrize("loaders", [[DataLoader(Stream())], [DataLoader(torch.ones(2)), DataLoader(torch.ones(2))]])
def test_other_loaders_must_be_read(loaders):
    loader = CombinedLoader(loaders, "max_size_cycle")
    iter(loader)
    assert not internals.skip_by_index(loader, 1)


def test_arguments_of_wandb_can_be_dropped(tmp_path):
    source = inspect.getsource(lightning.pytorch.loggers.WandbLogger)
    assert "self._wandb_init" in source
    assert '"anonymous"' in source
    logger = Mock(_wandb_init={"anonymous": None, "id": "a"})
    internals.drop_wandb_arguments(logger, ["anonymous", "absent"])
    assert logger._wandb_init == {"id": "a"}


@pytest.mark.parametrize(("cls", "names"), internals.OVERRIDDEN.items())
def test_what_subclasses_override_is_called_in_the_class(cls, names):
    source = inspect.getsource(getattr(lightning.pytorch.callbacks, cls))
    for name in names:
        assert f"def {name}(self, trainer" in source
        assert f"self.{name}(trainer" in source
