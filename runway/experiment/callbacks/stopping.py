"""The callback that ends a training when a stop was asked for, at a place that it can be resumed from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lightning.pytorch.callbacks import Checkpoint

from runway.executors.lightning_internals import accumulates, log_step_now, validates_next

if TYPE_CHECKING:
    import lightning

    from runway.experiment.callbacks.checkpointing import RunCheckpoint
    from runway.experiment.callbacks.interruption import StopRequest


class Stopped(Exception):
    """Ends ``Trainer.fit`` after ``last.ckpt`` was written; never leaves runway."""


class StopWhenAsked(Checkpoint):
    """After a stop was asked for, saves ``last.ckpt`` after the step and ends the training.

    A step after which a validation is due is followed by it first: the two are one place in Lightning's count.
    It is a Checkpoint so that Lightning runs it after all other callbacks, whose states are then up to date.

    Args:
        request: becomes true when a stop is asked for.
        checkpoint: writes ``last.ckpt``.
    """

    def __init__(self, request: StopRequest, checkpoint: RunCheckpoint) -> None:
        self.request = request
        self.checkpoint = checkpoint

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop here, unless the epoch ends or a validation comes first."""
        loop = trainer.fit_loop.epoch_loop
        if not self._asked(trainer) or loop.batch_progress.is_last_batch or validates_next(trainer):
            return
        if not accumulates(trainer):  # half an accumulated step cannot be saved
            log_step_now(trainer)  # Lightning does so after this hook
            self._stop(trainer)

    def on_validation_batch_end(self, trainer: lightning.Trainer, *args: Any) -> None:
        """The sanity check before the first step is not worth finishing."""
        if trainer.sanity_checking and self._asked(trainer):
            raise Stopped

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Stop after a validation inside an epoch."""
        if trainer.state.fn != "fit" or trainer.sanity_checking or not self._asked(trainer):
            return
        if not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            self._stop(trainer)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Stop after an epoch."""
        if self._asked(trainer):
            self._stop(trainer, epoch_is_over=True)

    def _asked(self, trainer: lightning.Trainer) -> bool:
        if trainer.world_size == 1:
            return bool(self.request)
        return trainer.strategy.reduce_boolean_decision(bool(self.request), all=False)  # all ranks stop at one step

    def _stop(self, trainer: lightning.Trainer, *, epoch_is_over: bool = False) -> None:
        self.checkpoint.save_last_now(trainer, epoch_is_over=epoch_is_over, whatever_the_config=True)
        raise Stopped
