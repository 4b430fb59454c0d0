"""The private names of Lightning that runway relies on: one function each, read in Lightning 2.6.6 (torch 2.13).

``tests/executors/test_lightning_internals.py`` fails first where a new version moves one. The methods that
``RunCheckpoint`` and ``RunEarlyStopping`` override (``OVERRIDDEN``) stand there, since only a subclass can.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import lightning
    from lightning.pytorch.utilities.combined_loader import CombinedLoader

OVERRIDDEN = {
    "ModelCheckpoint": ("_monitor_candidates", "_save_last_checkpoint", "_should_save_on_train_epoch_end"),
    "EarlyStopping": ("_run_early_stopping_check",),
}


def attached_trainer(module: lightning.LightningModule) -> lightning.Trainer | None:
    """The module's Trainer; None outside of one, where ``module.trainer`` raises."""
    return module._trainer


def accumulates(trainer: lightning.Trainer) -> bool:
    """Whether the batch just done was no optimiser step: its gradients wait for the next batch's."""
    return trainer.fit_loop.epoch_loop._should_accumulate()


def validates_next(trainer: lightning.Trainer) -> bool:
    """Whether a validation follows the batch just done."""
    fetcher = trainer.fit_loop._data_fetcher
    return fetcher is not None and trainer.fit_loop.epoch_loop._should_check_val_fx(fetcher)


def log_step_now(trainer: lightning.Trainer) -> None:
    """Send the step's metrics to the loggers, which Lightning does after ``on_train_batch_end``."""
    trainer._logger_connector.on_batch_end()
    trainer._logger_connector.update_train_step_metrics()


def logged_steps(trainer: lightning.Trainer) -> int:
    """The step that loggers are given: how many steps, of all optimisers, came before the present one."""
    return int(trainer.fit_loop.epoch_loop._batches_that_stepped)


def validation_batches(trainer: lightning.Trainer) -> float:
    """How many batches a validation of the fit has; infinite where a loader has no length."""
    return sum(trainer.fit_loop.epoch_loop.val_loop._max_batches)


def has_validated(trainer: lightning.Trainer) -> bool:
    """Whether the fit has had a validation since it began or went on."""
    return trainer.fit_loop.epoch_loop.val_loop._has_run


def logged_in_validation(trainer: lightning.Trainer) -> set[str]:
    """The names that the last validation of the fit has logged."""
    return {metric.meta.name for metric in trainer.fit_loop.epoch_loop.val_loop._results.values()}


def begin_new_epoch(trainer: lightning.Trainer, *, forced: bool) -> None:
    """Let a restored fit begin a new epoch: with ``max_steps``, Lightning takes one that is over for one that goes on.

    Args:
        trainer: whose loops are about to be restored.
        forced: false takes it back.
    """
    if forced:
        vars(trainer.fit_loop)["_iteration_based_training"] = bool  # a method that says False
    else:
        vars(trainer.fit_loop).pop("_iteration_based_training", None)


def combined_mode(loader: CombinedLoader) -> Any:
    """The mode that a CombinedLoader was made with."""
    return loader._mode


def skip_by_index(loader: CombinedLoader, count: int) -> bool:
    """Skip batches without reading their rows, where one process reads one map-style dataset; else do nothing.

    Args:
        loader: one that has been iterated.
        count: of batches.

    Returns:
        Whether they are skipped.
    """
    from torch.utils.data.dataloader import _DatasetKind, _SingleProcessDataLoaderIter

    iterators = getattr(loader._iterator, "iterators", [])
    if len(iterators) != 1 or not isinstance(iterators[0], _SingleProcessDataLoaderIter):
        return False
    if iterators[0]._dataset_kind != _DatasetKind.Map:
        return False
    for _ in range(count):
        iterators[0]._next_index()
    return True


def drop_wandb_arguments(logger: Any, names: Iterable[str]) -> None:
    """Take arguments out that a WandbLogger would give to ``wandb.init``."""
    for name in names:
        logger._wandb_init.pop(name, None)
