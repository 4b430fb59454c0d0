"""Going on where a training stopped: the random state, and the place in the epoch's data.

Lightning restores weights, optimisers, schedulers and counters, but starts the epoch's data from its
first batch. Here the order of the epoch's data is made again from the random state that the epoch began
with, the batches that were used are skipped, and the random state of the moment of saving is put back:
the weights are then those of a training that was never stopped.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import lightning
from lightning.pytorch.utilities.combined_loader import CombinedLoader

from runway.executors.lightning_internals import begin_new_epoch, combined_mode, skip_by_index
from runway.experiment.checkpoint_content import RESUME_KEY, random_state, resume_content, set_random_state
from runway.log import info


class ResumePoint(lightning.Callback):
    """Keeps in every checkpoint what is needed to go on exactly, and goes on from it.

    It stands in front of the executor's ``train_dataloader`` while a training runs.
    """

    def __init__(self) -> None:
        self.epoch_began: dict[str, Any] | None = None
        """The random state before the current epoch's order was drawn."""
        self.pending: dict[str, Any] | None = None
        """What a checkpoint held, until the data loader has taken it up."""
        self.resumed = False
        self._trainer: lightning.Trainer | None = None

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Stand in front of ``train_dataloader``."""
        if stage == "fit":
            self._trainer = trainer
            vars(pl_module)["train_dataloader"] = partial(_replayable, pl_module.train_dataloader, self)

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Step aside."""
        pl_module.__dict__.pop("train_dataloader", None)
        self._trainer = None

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add every rank's random state and the number of batches used in this epoch."""
        checkpoint[RESUME_KEY] = resume_content(trainer, self.epoch_began)

    def on_load_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take the place and the random state from a checkpoint."""
        if trainer.state.fn != "fit":
            return
        self.resumed = True
        point = checkpoint.get(RESUME_KEY)
        if point is None:
            return
        ranks = point["ranks"]
        if len(ranks) != trainer.world_size:
            info(f"resuming on {trainer.world_size} instead of {len(ranks)} ranks: the data order starts afresh")
            return
        self.pending = {**ranks[trainer.global_rank], "batches": point["batches"]}
        progress = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]
        if progress["processed"] == progress["ready"]:
            begin_new_epoch(trainer, forced=True)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """The loops are restored by now: say where the training goes on."""
        begin_new_epoch(trainer, forced=False)
        if self.resumed:
            steps = trainer.estimated_stepping_batches
            info(f"going on at step {trainer.global_step}" + (f" of {int(steps)}" if math.isfinite(steps) else ""))

    @property
    def epoch(self) -> int:
        """The epoch that is about to be drawn."""
        loop: Any = self._trainer.fit_loop if self._trainer else None
        return loop.epoch_progress.current.processed if loop else 0


def _replayable(train_dataloader: Any, point: ResumePoint) -> CombinedLoader:
    loader = train_dataloader()
    if isinstance(loader, CombinedLoader):
        return ReplayLoader(loader.iterables, combined_mode(loader), point)
    return ReplayLoader(loader, "max_size_cycle", point)


class ReplayLoader(CombinedLoader):
    """The training data, able to start in the middle of an epoch.

    Args:
        iterables: what the executor's ``train_dataloader`` gives.
        mode: CombinedLoader's.
        point: keeps the random state that an epoch begins with, and knows where to start.
    """

    def __init__(self, iterables: Any, mode: Any, point: ResumePoint) -> None:
        super().__init__(iterables, mode)
        self.point = point
        self._resuming = False

    def __iter__(self) -> ReplayLoader:
        """Draw the epoch's order."""
        # A learning-rate schedule asks for the length before Lightning has restored where it was: what is
        # drawn then only gives the length, and the first batch says where to go on.
        self._resuming = self.point.pending is not None
        self._draw(None)
        return self

    def __next__(self) -> Any:
        """The next batch; the first after a resume comes after those that were used already."""
        if self._resuming:
            self._go_on()
        return super().__next__()

    def _draw(self, state: dict[str, Any] | None) -> None:
        if state is not None:
            set_random_state(state)
        self.point.epoch_began = random_state()
        self._set_epoch(self.point.epoch)
        super().__iter__()

    def _go_on(self) -> None:
        pending, self.point.pending, self._resuming = self.point.pending, None, False
        if pending is None:
            return
        if not pending["batches"] or pending["epoch_began"] is None:
            self._draw(pending["now"])
            return
        self._draw(pending["epoch_began"])
        info(f"resuming inside the epoch, after batch {pending['batches']}")
        if not skip_by_index(self, pending["batches"]):
            for _ in range(pending["batches"]):
                super().__next__()
        set_random_state(pending["now"])

    def _set_epoch(self, epoch: int) -> None:
        """Tell samplers the epoch before they are asked: after a resume it is not 0."""
        for loader in self.flattened:
            batch_sampler = getattr(loader, "batch_sampler", None)
            for sampler in (getattr(loader, "sampler", None), batch_sampler, getattr(batch_sampler, "sampler", None)):
                set_epoch = getattr(sampler, "set_epoch", None)
                if callable(set_epoch):
                    set_epoch(epoch)
