"""Ctrl-C, SIGTERM and a cluster's signals during training: save ``last.ckpt``, and stop where it can be resumed."""

from __future__ import annotations

import atexit
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any

from lightning.pytorch.callbacks import Checkpoint

from runway.executors.base_executor import SHARDED
from runway.executors.lightning_internals import without_other_ranks
from runway.experiment.callbacks.monitoring import RunCheckpoint
from runway.log import warning

if TYPE_CHECKING:
    import lightning

_OF_CLUSTERS = [getattr(signal, name) for name in ("SIGUSR1", "SIGUSR2") if hasattr(signal, name)]
SIGNALS = (signal.SIGINT, signal.SIGTERM, *_OF_CLUSTERS)
"""Ctrl-C, and what a cluster sends when a job is to go, or before its time is over."""


class Stopped(BaseException):
    """Ends ``Trainer.fit``; never leaves runway. No ``except Exception`` of a step or a metric may keep it.

    Args:
        to_save: whether ``last.ckpt`` is still to be written.
    """

    def __init__(self, *, to_save: bool) -> None:
        super().__init__("training was asked to stop")
        self.to_save = to_save


class StopWhenAsked(Checkpoint):
    """After the first of ``SIGNALS``, saves ``last.ckpt`` and ends the training.

    A training batch is finished first. A validation, with its evaluation pipeline, and the wait for data are left at
    once: the state before them is at hand, and they are done again on resuming. Over several ranks all stop after the
    same batch; in a validation rank 0 saves alone.

    A second Ctrl-C stops at once, without saving. It is a Checkpoint so that Lightning runs it after all other
    callbacks, whose states are then up to date.
    """

    def __init__(self) -> None:
        self.asked = False
        self._open = False
        self._to_save = True
        self._saves_alone = True
        self._listening = False
        self._process = 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take ``SIGNALS`` inside the block; a thread other than the main one cannot, and does not."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in SIGNALS}
        self._listening, self._process = True, os.getpid()
        self._listen()
        try:
            yield
        finally:
            self._listening = False
            for number, handler in before.items():
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    def _listen(self) -> None:
        if self._listening:
            for number in SIGNALS:
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        again, self.asked = self.asked, True
        if os.getpid() != self._process:
            # In a data worker, which has inherited this. A signal to the whole group (Ctrl-C, a cluster's) must not end
            # it before the training has saved; the training ends it then, if need be by a SIGTERM of its own.
            if again and number == signal.SIGTERM:
                os._exit(128 + number)
            return
        if again and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not again:
            hint = " (Ctrl-C again stops at once, without saving)" if number == signal.SIGINT else ""
            with suppress(RuntimeError):  # another line is just being written
                warning(f"{signal.Signals(number).name}: saving last.ckpt, then stopping{hint}")
        self._leave_if_asked()

    def open(self, *, to_save: bool = True) -> None:
        """From here on the training may be left at any moment.

        Args:
            to_save: whether there is anything new to save.
        """
        self._open, self._to_save = self._saves_alone, to_save
        self._leave_if_asked()

    def close(self) -> None:
        """From here on a stop waits again."""
        self._open = False

    def _leave_if_asked(self) -> None:
        if self.asked and self._open:
            self._open = False
            raise Stopped(to_save=self._to_save)

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Where each process has a part of the weights, none can save alone: all stop after a step."""
        self._saves_alone = trainer.world_size == 1 or type(trainer.strategy).__name__ not in SHARDED

    def on_sanity_check_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Take the signals back from Lightning, which ends a training without saving it."""
        self._listen()

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """The same."""
        self._listen()

    def on_validation_batch_end(self, trainer: lightning.Trainer, *args: Any) -> None:
        """The sanity check before the first step is not worth finishing."""
        if trainer.sanity_checking and self._asked_on_a_rank(trainer):
            raise Stopped(to_save=False)
        self._leave_if_asked()  # where the signal came inside something that swallowed Stopped

    def on_train_batch_end(self, trainer: lightning.Trainer, *args: Any) -> None:
        """Stop after a batch. (``ResumePoint`` has these three called when all is done.)"""
        self._stop_if_asked(trainer)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Stop after a validation."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._stop_if_asked(trainer)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Stop after an epoch."""
        self._stop_if_asked(trainer, epoch_is_over=True)

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        """Save, where the training was left in the midst of something."""
        self.close()
        if not isinstance(exception, Stopped) or not exception.to_save:
            return
        with without_other_ranks(trainer):
            self._save(trainer)
        launcher = trainer.strategy.launcher
        if trainer.world_size > 1 and launcher is not None:  # the others wait for this one, some of them for ever
            atexit.register(launcher.kill, signal.SIGKILL)

    def _asked_on_a_rank(self, trainer: lightning.Trainer) -> bool:
        if trainer.world_size == 1:
            return self.asked
        return trainer.strategy.reduce_boolean_decision(self.asked, all=False)  # all ranks stop at one step

    def _stop_if_asked(self, trainer: lightning.Trainer, *, epoch_is_over: bool = False) -> None:
        if self._asked_on_a_rank(trainer):
            self._save(trainer, epoch_is_over=epoch_is_over)
            raise Stopped(to_save=False)

    def _save(self, trainer: lightning.Trainer, *, epoch_is_over: bool = False) -> None:
        checkpoint = trainer.checkpoint_callback
        assert isinstance(checkpoint, RunCheckpoint)  # there are both or none
        checkpoint.save_last_now(trainer, epoch_is_over=epoch_is_over, whatever_the_config=True)
