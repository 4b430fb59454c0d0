"""Going on where a training stopped, as if it had never been away.

Lightning restores weights, optimisers, schedulers and counters. It guesses from its counters what of the last batch was
done, leaves the validation out that was due, starts the epoch's data from its first batch, and forgets what was logged
in the epoch, the gradients of half an accumulated step and every random state. Here a checkpoint says exactly where it
was taken (``PLACES``), and a resumed training goes on from there.

Checkpoints are saved when all of a batch, a validation or an epoch is done, not in the midst of the hooks: what another
callback or the executor does in the same hook, and the row of the metrics history, then belong to what is saved.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping, ModelCheckpoint
from lightning.pytorch.utilities.combined_loader import CombinedLoader

from runway.executors import lightning_internals as internals
from runway.experiment.callbacks.exactness import inexact
from runway.experiment.callbacks.monitoring import RunCheckpoint
from runway.experiment.callbacks.rank_state import (
    gather_rank_states,
    restore_buffers,
    restore_inside_epoch,
    share_buffers,
)
from runway.experiment.callbacks.replay import ReplayLoader
from runway.experiment.checkpoint_content import RESUME_KEY
from runway.experiment.folders.find_checkpoint import list_checkpoints
from runway.experiment.metrics_history import MetricsHistory
from runway.log import info, warning

if TYPE_CHECKING:
    from runway.experiment.callbacks.stopping import StopWhenAsked

PLACES = {
    "batch": "all of a batch is done; the validation that may be due is not, or not to its end",
    "validated": "a batch and its validation are done",
    "between": "the next batch was asked for, or begun, but its optimiser step is not made",
    "epoch": "an epoch is over",
}


class ResumePoint(lightning.Callback):
    """Keeps in every checkpoint what is needed to go on exactly, and goes on from it.

    It stands in front of the executor's ``train_dataloader`` while a training runs, and must be the first callback.

    Args:
        stop: is told when the training may be interrupted at once, because its last state is at hand.
    """

    def __init__(self, stop: StopWhenAsked | None = None) -> None:
        self.stop = stop
        self.resumed = False
        self._loader: ReplayLoader | None = None
        self._trainer: lightning.Trainer | None = None
        self._pending: dict[str, Any] | None = None
        """What the checkpoint to go on from held."""
        self._earlier: dict[str, Any] | None = None
        """The random state to save in the midst of a fetch or a validation: that of before it."""
        self._ranks: list[dict[str, Any]] | None = None
        """Every rank's part of a checkpoint, taken before a validation, so that rank 0 can save alone in it."""
        self._done = "epoch"
        """The latest of ``PLACES`` that was reached."""
        self._batches = 0
        """How many of the epoch's batches were done when the latest was asked for."""
        self._postponed: list[tuple[Checkpoint, Callable[[], Any]]] = []
        self._later: set[str] = set()
        """Files of checkpoints that were saved after the one that is gone on from."""
        self._saving: Checkpoint | None = None
        """The callback that is saving, if one is."""

    # What stands where while a training runs

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Stand in front of ``train_dataloader``, and have checkpoints saved when all is done."""
        if stage != "fit":
            return
        self._trainer = trainer
        vars(pl_module)["train_dataloader"] = partial(self._replayable, pl_module.train_dataloader)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Checkpoint):
                for hook in ("on_train_batch_end", "on_validation_end", "on_train_epoch_end"):
                    vars(callback)[hook] = partial(self._postpone, callback, getattr(callback, hook))
        internals.call_when_done(
            trainer, batch=self._after_batch, validation=self._after_validation, epoch=self._run_postponed
        )

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Step aside."""
        if self._trainer is None:
            return
        pl_module.__dict__.pop("train_dataloader", None)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Checkpoint):
                for hook in ("on_train_batch_end", "on_validation_end", "on_train_epoch_end"):
                    vars(callback).pop(hook, None)
        internals.leave_alone(trainer)
        self._trainer = self._loader = None

    def _replayable(self, train_dataloader: Callable[[], Any]) -> ReplayLoader:
        given = train_dataloader()
        if isinstance(given, CombinedLoader):
            self._loader = ReplayLoader(given.iterables, internals.combined_mode(given))
        else:
            self._loader = ReplayLoader(given, "max_size_cycle")
        self._loader.fetching = self._fetching
        if self._pending is not None:  # asked for before Lightning has restored the epoch
            self._loader.epoch = self._pending["epoch"]
        return self._loader

    # Where the training is

    def _postpone(self, callback: Checkpoint, hook: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self._postponed.append((callback, partial(hook, *args, **kwargs)))

    def _run_postponed(self) -> None:
        postponed, self._postponed = self._postponed, []
        for self._saving, hook in postponed:
            hook()
        self._saving = None

    def _after_batch(self) -> None:
        """All of a batch is done: save what is to be saved, and keep the state before a validation."""
        trainer = self._here
        self._done, self._earlier = "batch", None
        if internals.validates_next(trainer):
            share_buffers(trainer)
        goes_on = not self._postponed  # from a checkpoint, with what comes after its batch
        self._run_postponed()
        if isinstance(trainer.checkpoint_callback, RunCheckpoint) and not goes_on:
            trainer.checkpoint_callback.save_ahead(trainer)
        if not internals.validates_next(trainer):
            return
        for loader in internals.validation_loaders(trainer):
            internals.restart_workers(loader)
        assert self._loader is not None
        self._earlier = self._loader.random_state()
        if trainer.world_size > 1 and not self._has_gradients(trainer):
            self._ranks = self._of_all_ranks(trainer)

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """From here on the training can be interrupted: it goes on before the validation."""
        alone = trainer.world_size == 1 or (trainer.is_global_zero and self._ranks is not None)
        if self.stop and alone and self._earlier is not None and trainer.state.fn == "fit":
            self.stop.open()

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """From here on what other callbacks have seen of the validation counts."""
        if self.stop:
            self.stop.close()
        if not trainer.sanity_checking:
            self._done, self._earlier, self._ranks = "validated", None, None

    def _after_validation(self) -> None:
        self._run_postponed()

    @contextmanager
    def _fetching(self) -> Iterator[None]:
        """Around the fetch of each batch: what uses random numbers, or waits for data, before a step begins."""
        trainer, loader = self._here, self._loader
        assert loader is not None
        if self._pending is not None:  # read ahead, before all is as it was
            yield
            return
        loop: Any = trainer.fit_loop
        epoch = loop.epoch_progress.current
        self._done, self._batches = "between", loop.epoch_loop.batch_progress.current.ready
        self._earlier = loader.random_state() if loader.reads_here() else None
        if self.stop and trainer.world_size == 1 and epoch.ready > epoch.processed:
            self.stop.open()
        try:
            yield
        finally:
            if self.stop:
                self.stop.close()

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """The epoch's data is drawn next."""
        loop: Any = trainer.fit_loop
        if self._loader is not None:
            self._loader.epoch = loop.epoch_progress.current.processed

    @property
    def _here(self) -> lightning.Trainer:
        assert self._trainer is not None
        return self._trainer

    def _place(self, trainer: lightning.Trainer) -> str:
        loop: Any = trainer.fit_loop
        epoch, batch = loop.epoch_progress.current, loop.epoch_loop.batch_progress.current
        if epoch.processed == epoch.ready or epoch.started != epoch.ready:
            return "epoch"
        if self._done == "between" and batch.processed == batch.ready > self._batches:
            return "batch"  # saved by a callback of the user's in on_train_batch_end
        return self._done

    # Saving

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the place, every rank's random state, and what Lightning leaves out."""
        history = [logger for logger in trainer.loggers if isinstance(logger, MetricsHistory)]
        for logger in history:
            logger.flush()
        stopped_early = trainer.should_stop and any(
            callback.stopping_reason.value
            for callback in trainer.callbacks  # type: ignore[attr-defined]
            if isinstance(callback, EarlyStopping)
        )
        place = self._place(trainer)
        progress: Any = trainer.fit_loop.epoch_loop.batch_progress
        checkpoint[RESUME_KEY] = {
            "place": place,
            "batches": 0 if place == "epoch" else progress.current.processed,
            "epoch_ends": place != "epoch" and progress.is_last_batch,
            "ranks": self._ranks if self._ranks and trainer.validating else self._of_all_ranks(trainer),
            "metrics": {
                name: value.detach().cpu() if isinstance(value, torch.Tensor) else value
                for name, value in internals.callback_metrics(trainer).items()
            },
            "history": history[0].position() if history else None,
            "stopped_early": bool(stopped_early),
            "save_marks": self._save_marks(trainer),
            "files": sorted(set(_files(trainer)) - self._later),
        }

    def _save_marks(self, trainer: lightning.Trainer) -> list[dict[str, Any]]:
        marks = []
        for callback in _model_checkpoints(trainer):
            marks.append(internals.save_marks(callback))
            if callback is self._saving:
                internals.mark_saved(marks[-1], trainer.global_step, deferred=self._place(trainer) == "batch")
        return marks

    def _of_all_ranks(self, trainer: lightning.Trainer) -> list[dict[str, Any]]:
        assert self._loader is not None
        in_midst = self._done == self._place(trainer)  # not where a batch is done, but not all that follows on it
        random_state = (self._earlier if in_midst else None) or self._loader.random_state()
        return gather_rank_states(trainer, self._loader, random_state, has_gradients=self._has_gradients(trainer))

    def _has_gradients(self, trainer: lightning.Trainer) -> bool:
        """Whether gradients wait for those of the next batch."""
        progress: Any = trainer.fit_loop.epoch_loop.batch_progress
        inside = self._place(trainer) != "epoch" and progress.current.processed
        return bool(inside) and trainer.accumulate_grad_batches > 1 and internals.accumulates(trainer)

    # Going on

    def on_load_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take the place from a checkpoint, before Lightning takes its counters."""
        if trainer.state.fn != "fit":
            return
        self.resumed = True
        point = checkpoint.get(RESUME_KEY)
        if point is None or "place" not in point:
            if point is not None:
                warning(
                    "the checkpoint is of an earlier runway: the epoch's data starts afresh, so the resume is not exact"
                )
            return
        loops = checkpoint["loops"]
        if point["place"] == "epoch":
            internals.settle_epochs(loops)
        else:
            internals.settle_batches(loops)
        loops["fit_loop"]["state_dict"].pop("combined_loader", None)  # the data is replayed
        epoch = loops["fit_loop"]["epoch_progress"]["current"]["processed"]
        self._pending = {**point, "epoch": epoch, "step": checkpoint["global_step"]}
        if point["place"] == "epoch":
            internals.begin_new_epoch(trainer, forced=True)
        if point["history"] is not None:
            for logger in trainer.loggers:
                if isinstance(logger, MetricsHistory):
                    logger.go_back_to(point["history"])

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """A fit whose last step is made, but not what follows on it, must begin all the same."""
        point = self._pending
        if point and point["place"] != "epoch" and 0 <= trainer.max_steps <= point["step"]:
            point["max_steps"] = trainer.max_steps
            internals.set_step_limit(trainer, -1)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """The loops are restored by now: say where the training goes on."""
        internals.begin_new_epoch(trainer, forced=False)
        if self._loader is not None and trainer.checkpoint_callback is not None:
            for reason in inexact(trainer, pl_module, self._loader.flattened):
                warning(f"a resume of this training will not be exact: {reason}", once=True)
        if self._pending is not None:
            trainer.should_stop = self._pending["stopped_early"] and self._pending["place"] == "epoch"
            internals.call_before_first_epoch(trainer, partial(self._go_on, trainer))
        if self.resumed:
            steps = trainer.estimated_stepping_batches
            info(f"going on at step {trainer.global_step}" + (f" of {int(steps)}" if math.isfinite(steps) else ""))

    @contextmanager
    def _left_without_saving(self) -> Iterator[None]:
        """While the data is replayed, which can take its time: what was saved is saved."""
        if self.stop and self._here.world_size == 1:
            self.stop.open(to_save=False)
        try:
            yield
        finally:
            if self.stop:
                self.stop.close()

    def _save_again(self, trainer: lightning.Trainer, known: list[str]) -> None:
        """Overwrite the checkpoints that were saved after the one that is gone on from, where it comes to them again.

        Lightning would take another name, and leave the first for ever.
        """
        checkpoint: Any = trainer.checkpoint_callback
        if not isinstance(checkpoint, ModelCheckpoint):
            return
        self._later = set(_files(trainer)) - {*known, Path(str(trainer.ckpt_path)).name}
        self._later = trainer.strategy.broadcast(self._later)
        exists = checkpoint.file_exists

        def file_exists(path: str, trainer: lightning.Trainer) -> bool:
            name = Path(path).relative_to(str(checkpoint.dirpath)).as_posix()
            again = name in self._later
            self._later.discard(name)
            return not again and exists(path, trainer)

        vars(checkpoint)["file_exists"] = file_exists

    def _go_on(self, trainer: lightning.Trainer) -> None:
        """Make all as it was when the checkpoint was saved."""
        point = self._pending
        loader, fetcher = self._loader, internals.data_fetcher(trainer)
        assert point is not None
        assert loader is not None
        if "max_steps" in point:
            internals.set_step_limit(trainer, point["max_steps"])
        internals.callback_metrics(trainer).update(point["metrics"])
        for callback, marks in zip(_model_checkpoints(trainer), point["save_marks"], strict=False):
            internals.restore_save_marks(callback, marks)
        self._save_again(trainer, point["files"])
        place, ranks = point["place"], point["ranks"]
        loader.epoch = point["epoch"]
        own = ranks[trainer.global_rank] if len(ranks) == trainer.world_size else None
        if own is None:
            info(f"resuming on {trainer.world_size} instead of {len(ranks)} ranks: the data order starts afresh")
        else:
            restore_buffers(trainer, own)
        if place == "epoch":
            internals.begin_data_anew(trainer)
            if own is not None:
                loader.set_random_state(own["now"])
            self._pending = None
            return
        if own is not None and not point["epoch_ends"]:
            if point["batches"]:
                info(f"resuming inside the epoch, after batch {point['batches']}")
            with self._left_without_saving():
                loader.replay(own["epoch_began"], point["batches"], fetcher)
        if own is not None:
            restore_inside_epoch(trainer, own)
            replayed: dict[str, Any] = (
                {"generators": []} if not point["epoch_ends"] else {}
            )  # those stand where they were by now
            loader.set_random_state(own["now"] | replayed)
        self._pending, self._done, self._batches = None, place, point["batches"]
        validate = {"batch": True, "validated": False, "between": None}[place]
        internals.go_on_inside_epoch(trainer, validate=validate, should_stop=point["stopped_early"])


def _model_checkpoints(trainer: lightning.Trainer) -> list[ModelCheckpoint]:
    return [callback for callback in trainer.callbacks if isinstance(callback, ModelCheckpoint)]  # type: ignore[attr-defined]


def _files(trainer: lightning.Trainer) -> list[str]:
    checkpoint = trainer.checkpoint_callback
    folder = getattr(checkpoint, "dirpath", None)
    return list_checkpoints(Path(str(folder))) if folder and trainer.is_global_zero else []
