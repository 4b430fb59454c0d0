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


def fit(tmp_path, *callbacks, **settings):
    quiet = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False)
    options = {"max_epochs": 1, "num_sanity_val_steps": 0, "accelerator": "cpu", "devices": 1, **quiet, **settings}
    trainer = lightning.Trainer(default_root_dir=tmp_path, callbacks=list(callbacks), **options)
    trainer.fit(Line(), DataLoader(torch.ones(8, 1), batch_size=2), DataLoader(torch.ones(6, 1), batch_size=2))
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


class Rows(lightning.pytorch.loggers.logger.DummyLogger):
    def __init__(self):
        super().__init__()
        self.rows = []

    def log_metrics(self, metrics, step):
        self.rows.append((step, sorted(metrics)))


def test_the_step_is_logged_now(tmp_path):
    logger = Rows()

    class LogNow(lightning.Callback):
        def on_train_batch_end(self, trainer, *args):
            assert not logger.rows
            internals.log_step_now(trainer)
            assert logger.rows == [(0, ["epoch", "train_loss"])]

    fit(tmp_path, LogNow(), logger=logger, log_every_n_steps=1, max_steps=1)
    assert logger.rows


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
