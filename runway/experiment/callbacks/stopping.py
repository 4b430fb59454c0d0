"""Ctrl-C and SIGTERM during training: finish the step, save ``last.ckpt``, stop where it can be resumed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from lightning.pytorch.callbacks import Checkpoint

from runway.executors.lightning_internals import accumulates, log_step_now, validates_next
from runway.experiment.callbacks.monitoring import RunCheckpoint
from runway.log import warning

if TYPE_CHECKING:
    import lightning


class Stopped(Exception):
    """Ends ``Trainer.fit`` after ``last.ckpt`` was written; never leaves runway."""


class StopWhenAsked(Checkpoint):
    """After the first Ctrl-C or SIGTERM, saves ``last.ckpt`` after the step and ends the training.

    A second Ctrl-C stops at once. A step after which a validation is due is followed by it first: the two are one
    place in Lightning's count. It is a Checkpoint so that Lightning runs it after all other callbacks, whose states
    are then up to date.
    """

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM inside the block; a thread other than the main one cannot, and does not."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in before:
            signal.signal(number, self._on_signal)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not self.asked:
            again = " (Ctrl-C again stops at once, without saving)" if number == signal.SIGINT else ""
            warning(f"{signal.Signals(number).name}: finishing the step, then saving last.ckpt{again}")
        self.asked = True

    def on_train_batch_end(self, trainer: lightning.Trainer, *args: Any) -> None:
        """Stop here, unless the epoch ends or a validation comes first."""
        loop = trainer.fit_loop.epoch_loop
        if not self._asked_on_a_rank(trainer) or loop.batch_progress.is_last_batch or validates_next(trainer):
            return
        if not accumulates(trainer):  # half an accumulated step cannot be saved
            log_step_now(trainer)  # Lightning does so after this hook
            self._stop(trainer)

    def on_validation_batch_end(self, trainer: lightning.Trainer, *args: Any) -> None:
        """The sanity check before the first step is not worth finishing."""
        if trainer.sanity_checking and self._asked_on_a_rank(trainer):
            raise Stopped

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Stop after a validation inside an epoch."""
        if trainer.state.fn != "fit" or trainer.sanity_checking or not self._asked_on_a_rank(trainer):
            return
        if not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            self._stop(trainer)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Stop after an epoch."""
        if self._asked_on_a_rank(trainer):
            self._stop(trainer, epoch_is_over=True)

    def _asked_on_a_rank(self, trainer: lightning.Trainer) -> bool:
        if trainer.world_size == 1:
            return self.asked
        return trainer.strategy.reduce_boolean_decision(self.asked, all=False)  # all ranks stop at one step

    def _stop(self, trainer: lightning.Trainer, *, epoch_is_over: bool = False) -> None:
        checkpoint = trainer.checkpoint_callback
        assert isinstance(checkpoint, RunCheckpoint)  # there are both or none
        checkpoint.save_last_now(trainer, epoch_is_over=epoch_is_over, whatever_the_config=True)
        raise Stopped
