"""The private names of Lightning that runway relies on: one function each, read in Lightning 2.6.6 (torch 2.13).

``tests/executors/test_lightning_internals.py`` fails first where a new version moves one. The methods that
``RunCheckpoint`` and ``RunEarlyStopping`` override (``OVERRIDDEN``) stand there, since only a subclass can.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    import lightning
    from lightning.pytorch.callbacks import ModelCheckpoint
    from lightning.pytorch.utilities.combined_loader import CombinedLoader

OVERRIDDEN = {
    "ModelCheckpoint": (
        "_monitor_candidates",
        "_save_checkpoint",
        "_save_last_checkpoint",
        "_save_topk_checkpoint",
        "_should_save_on_train_epoch_end",
    ),
    "EarlyStopping": ("_run_early_stopping_check",),
}


def attached_trainer(module: lightning.LightningModule) -> lightning.Trainer | None:
    """The module's Trainer; None outside of one, where ``module.trainer`` raises."""
    return module._trainer


def may_leave_parameters_unused(trainer: lightning.Trainer) -> None:
    """Let DistributedDataParallel take a step that does not use every parameter, unless the strategy says otherwise.

    Args:
        trainer: before its strategy wraps the model.
    """
    arguments = getattr(trainer.strategy, "_ddp_kwargs", None)
    if isinstance(arguments, dict):
        arguments.setdefault("find_unused_parameters", True)


def accumulates(trainer: lightning.Trainer) -> bool:
    """Whether the batch just done was no optimiser step: its gradients wait for the next batch's."""
    return trainer.fit_loop.epoch_loop._should_accumulate()


def validates_next(trainer: lightning.Trainer) -> bool:
    """Whether a validation follows the batch just done."""
    fetcher = trainer.fit_loop._data_fetcher
    return fetcher is not None and trainer.fit_loop.epoch_loop._should_check_val_fx(fetcher)


def validates_by_time(trainer: lightning.Trainer) -> bool:
    """Whether the time, which is each rank's own, says when the next validation is."""
    return getattr(trainer, "_val_check_time_interval", None) is not None


def logged_steps(trainer: lightning.Trainer) -> int:
    """The step that loggers are given: how many steps, of all optimisers, came before the present one."""
    return int(trainer.fit_loop.epoch_loop._batches_that_stepped)


def validation_batches(trainer: lightning.Trainer) -> float:
    """How many batches a validation of the fit has; infinite where a loader has no length."""
    loop = trainer.fit_loop.epoch_loop.val_loop
    if loop._combined_loader is None and not trainer.sanity_checking:  # it waits for the first epoch that validates
        trainer.validating = True
        loop.setup_data()
        trainer.training = True
    return sum(loop._max_batches)


def has_validated(trainer: lightning.Trainer) -> bool:
    """Whether the fit has had a validation since it began or went on."""
    return trainer.fit_loop.epoch_loop.val_loop._has_run


def logged_in_validation(trainer: lightning.Trainer) -> set[str]:
    """The names that the last validation of the fit has logged."""
    return {metric.meta.name for metric in trainer.fit_loop.epoch_loop.val_loop._results.values()}


def logged_in_hook(trainer: lightning.Trainer, hook: str) -> set[str]:
    """The names that a hook of the validation or test at hand has logged so far."""
    results = trainer._results
    metrics = results.values() if results else ()  # those of the validation before are there, too, and are reset
    return {metric.meta.name for metric in metrics if metric.meta.fx == hook and not metric.has_reset}


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


def call_when_done(
    trainer: lightning.Trainer,
    *,
    batch: Callable[[], None],
    validation: Callable[[], None],
    epoch: Callable[[], None],
) -> None:
    """Have functions called at places of a fit that Lightning has no hook for, until ``leave_alone``.

    Args:
        trainer: whose fit is about to begin.
        batch: after all of a training batch (hooks, counts, logs), before the validation that may be due.
        validation: after all of a validation inside a fit, its sanity check too.
        epoch: after all of an epoch; ``current_epoch`` is still that epoch.
    """
    fit_loop = trainer.fit_loop
    on_batch_done = fit_loop.epoch_loop.on_advance_end
    on_validation_done = fit_loop.epoch_loop.val_loop.on_run_end
    on_epoch_done = fit_loop.on_advance_end

    def after_batch(data_fetcher: Any) -> None:
        with _one_clock(trainer):
            batch()
            on_batch_done(data_fetcher)

    def after_validation() -> Any:
        outputs = on_validation_done()
        validation()
        return outputs

    def after_epoch() -> None:
        on_epoch_done()
        progress = fit_loop.epoch_progress
        progress.current.completed, progress.total.completed = (
            progress.current.completed - 1,
            progress.total.completed - 1,
        )
        try:
            epoch()
        finally:
            progress.increment_completed()

    vars(fit_loop.epoch_loop)["on_advance_end"] = after_batch
    vars(fit_loop.epoch_loop.val_loop)["on_run_end"] = after_validation
    vars(fit_loop)["on_advance_end"] = after_epoch


@contextmanager
def _one_clock(trainer: lightning.Trainer) -> Iterator[None]:
    """Inside the block, whether the time for a validation has come is what rank 0's clock said at its beginning."""
    if validates_by_time(trainer):
        is_next = trainer.strategy.broadcast(validates_next(trainer))
        vars(trainer.fit_loop.epoch_loop)["_should_check_val_fx"] = lambda data_fetcher: is_next
    try:
        yield
    finally:
        vars(trainer.fit_loop.epoch_loop).pop("_should_check_val_fx", None)


def leave_alone(trainer: lightning.Trainer) -> None:
    """Take back what ``call_when_done``, ``call_before_first_epoch`` and ``finish_batch_first`` have set."""
    loop = trainer.fit_loop
    for one in (loop, loop.epoch_loop, loop.epoch_loop.val_loop):
        for name in ("on_advance_end", "on_run_end", "on_advance_start", "advance"):
            vars(one).pop(name, None)


def call_before_first_epoch(trainer: lightning.Trainer, function: Callable[[], None]) -> None:
    """Call a function once: after every ``on_train_start``, before the first epoch begins or goes on."""
    loop = trainer.fit_loop

    def on_advance_start() -> None:
        del vars(loop)["on_advance_start"]
        function()
        loop.on_advance_start()

    vars(loop)["on_advance_start"] = on_advance_start


def settle_batches(loops: dict[str, Any]) -> None:
    """In a checkpoint's ``loops``: a training batch whose optimiser step was made is over."""
    for tracker in (loops["fit_loop"]["epoch_loop.batch_progress"][name] for name in ("total", "current")):
        tracker["ready"] = tracker["started"] = tracker["completed"] = tracker["processed"]


def settle_epochs(loops: dict[str, Any]) -> None:
    """In a checkpoint's ``loops``: an epoch that was about to begin has not begun."""
    for tracker in (loops["fit_loop"]["epoch_progress"][name] for name in ("total", "current")):
        tracker["ready"] = tracker["started"] = tracker["processed"]


def go_on_inside_epoch(trainer: lightning.Trainer, *, validate: bool | None, should_stop: bool) -> None:
    """Let a restored fit, whose counts are settled, go on inside an epoch as if it had never been away.

    Lightning guesses from its counts what of a batch was done; here it is known.

    Args:
        trainer: before its epoch loop runs.
        validate: what of the last batch is left: True, all that comes after it (a validation, where it is due);
            False, the same without the validation; None, nothing.
        should_stop: what the trainer's was, which an epoch loop must not see before it has begun.
    """
    loop = trainer.fit_loop.epoch_loop
    # A restored fit leaves metric-driven schedules out at the end of its epoch, since it has no metrics; this one has.
    trainer.fit_loop._restarting = False
    trainer._logger_connector._first_loop_iter = False  # what was logged in the epoch so far is kept

    def advance(data_fetcher: Any) -> None:
        del vars(loop)["advance"]
        loop.val_loop.restarting = False
        trainer.should_stop = should_stop
        if validate is None:
            loop._restarting = False
            loop.advance(data_fetcher)
        else:
            loop._skip_next_val = not validate

    vars(loop)["advance"] = advance


def begin_data_anew(trainer: lightning.Trainer) -> None:
    """Let a restored fit draw its first epoch's data after ``on_train_epoch_start``, as in any later epoch."""
    trainer.fit_loop._resuming_from_checkpoint = False


def data_fetcher(trainer: lightning.Trainer) -> Any:
    """The iterator over the training data; its ``fetched`` counts the batches that were asked of it."""
    return trainer.fit_loop._data_fetcher


def set_step_limit(trainer: lightning.Trainer, max_steps: int) -> None:
    """Change ``max_steps`` of a fit; -1 is no limit."""
    trainer.fit_loop.epoch_loop.max_steps = max_steps


def callback_metrics(trainer: lightning.Trainer) -> dict[str, Any]:
    """What was logged, for callbacks to watch; to be read and updated. (The public property computes, too.)"""
    return trainer._logger_connector._callback_metrics


_MARKS = ("_last_global_step_saved", "_defer_save_until_validation", "current_score")


def save_marks(callback: ModelCheckpoint) -> dict[str, Any]:
    """What a ModelCheckpoint knows of its latest save and does not restore: without it, a step is saved again."""
    return {name: vars(callback)[name] for name in _MARKS}


def restore_save_marks(callback: ModelCheckpoint, marks: dict[str, Any]) -> None:
    """Put back what ``save_marks`` gave."""
    vars(callback).update(marks)


def mark_saved(marks: dict[str, Any], step: int, *, deferred: bool) -> None:
    """In what ``save_marks`` gave: the save that is under way is done.

    Args:
        marks: changed.
        step: of the training.
        deferred: whether one that waits for a validation goes on to wait.
    """
    marks[_MARKS[0]] = step
    marks[_MARKS[1]] &= deferred


def epoch_sums(trainer: lightning.Trainer) -> list[dict[str, Any]]:
    """What ``self.log(…, on_epoch=True)`` of the training has summed up in the epoch so far, as plain values.

    A ``torchmetrics.Metric`` is none of these, and neither is what a process group of the user's own reduces.
    """
    saved = []
    for key, metric in trainer.fit_loop.epoch_loop._results.items():
        meta = metric.meta
        reduce = getattr(meta.reduce_fx, "__name__", "")
        plain = metric.is_tensor and meta.sync.group is None and getattr(torch, reduce, None) is meta.reduce_fx
        if not plain or not meta.on_epoch or metric.has_reset:
            continue
        names = ["fx", "name", "prog_bar", "logger", "on_step", "on_epoch", "enable_graph"]
        names += ["add_dataloader_idx", "dataloader_idx", "metric_attribute"]
        saved.append(
            {
                "key": key,
                "meta": {name: getattr(meta, name) for name in names} | {"reduce_fx": reduce},
                "sync": {"_should": meta.sync.should, "rank_zero_only": meta.sync.rank_zero_only},
                "value": metric.value,
                "weight": getattr(metric, "cumulated_batch_size", None),
            }
        )
    return saved


def restore_epoch_sums(trainer: lightning.Trainer, saved: Iterable[dict[str, Any]]) -> None:
    """Put back what ``epoch_sums`` gave."""
    from lightning.pytorch.trainer.connectors.logger_connector.result import _Metadata, _ResultMetric, _Sync

    device = trainer.strategy.root_device
    for one in saved:
        meta = _Metadata(**one["meta"])
        meta.sync = _Sync(fn=trainer.strategy.reduce, **one["sync"])
        metric = _ResultMetric(meta, is_tensor=True)
        metric.value = one["value"].to(device)
        if one["weight"] is not None:
            metric.cumulated_batch_size = one["weight"].to(device)
        metric._update_count = 1
        trainer.fit_loop.epoch_loop._results[one["key"]] = metric


@contextmanager
def without_other_ranks(trainer: lightning.Trainer) -> Iterator[None]:
    """Inside the block this rank waits for no other, and decides alone; nothing changes where there is no other."""
    alone: dict[str, Any] = {
        "barrier": lambda *args, **kwargs: None,
        "broadcast": lambda value, *args, **kwargs: value,
        "reduce_boolean_decision": lambda decision, *args, **kwargs: decision,
    }
    vars(trainer.strategy).update(alone)
    try:
        yield
    finally:
        for name in alone:
            del vars(trainer.strategy)[name]


def restart_workers(loader: Any) -> None:
    """Have a DataLoader with ``persistent_workers`` start its workers anew when it is iterated next."""
    if getattr(loader, "persistent_workers", False):
        loader._iterator = None


def validation_loaders(trainer: lightning.Trainer) -> list[Any]:
    """The loaders of the fit's validations; none before the first."""
    combined = trainer.fit_loop.epoch_loop.val_loop._combined_loader
    return [] if combined is None else combined.flattened


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


def validation_names(trainer: lightning.Trainer) -> set[str]:
    """The names under which the last validation of the fit gave its metrics to callbacks."""
    results = trainer.fit_loop.epoch_loop.val_loop._results
    return {name for metric in results.values() for name in results._forked_name(metric, on_step=False)}


def epoch_names(trainer: lightning.Trainer) -> set[str]:
    """The names of training metrics that callbacks are given once an epoch, at its end."""
    results = trainer.fit_loop.epoch_loop._results
    return {results._forked_name(metric, on_step=False)[1] for metric in results.values() if metric.meta.on_epoch}


def dump_checkpoint(trainer: lightning.Trainer, *, weights_only: bool) -> dict[str, Any]:
    """What ``trainer.save_checkpoint`` would write now; every rank must call it."""
    return trainer._checkpoint_connector.dump_checkpoint(weights_only)


@contextmanager
def changed_checkpoints(
    trainer: lightning.Trainer, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> Iterator[None]:
    """Inside the block the Trainer writes what ``change`` makes of a checkpoint, after all hooks have added to it."""
    connector = trainer._checkpoint_connector
    dump = connector.dump_checkpoint
    vars(connector)["dump_checkpoint"] = lambda *args, **kwargs: change(dump(*args, **kwargs))
    try:
        yield
    finally:
        vars(connector).pop("dump_checkpoint")
