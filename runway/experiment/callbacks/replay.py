"""The training's data, able to start again in the middle of an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from runway.executors.drawn_rows import NotedLoader
from runway.executors.lightning_internals import restart_workers, skip_by_index
from runway.experiment.checkpoint_content import random_state, set_random_state


class ReplayLoader(NotedLoader):
    """Keeps the random state that each epoch's order is drawn from, and can draw it again.

    Workers start anew with each epoch, also with ``persistent_workers``: their random numbers then follow from the
    epoch's random state, where those of workers that went on from epoch to epoch could be had by no resume.

    Args:
        iterables: what the executor's ``train_dataloader`` gives.
        mode: CombinedLoader's.
    """

    def __init__(self, iterables: Any, mode: Any) -> None:
        super().__init__(iterables, mode)
        self.epoch = 0
        """Of what is drawn next."""
        self.epoch_began: dict[str, Any] | None = None
        """The random state before the current epoch's order was drawn."""
        self.fetching: Any = _nothing
        """A context that each batch is fetched in."""

    def __iter__(self) -> ReplayLoader:
        """Draw the epoch's order."""
        self.epoch_began = self.random_state()
        self._set_epoch()
        for loader in self.flattened:
            restart_workers(loader)
        super().__iter__()
        return self

    def __next__(self) -> Any:
        """The next batch."""
        with self.fetching():
            return super().__next__()

    def replay(self, epoch_began: dict[str, Any], batches: int, fetcher: Any) -> None:
        """Draw an epoch's order again and skip the batches that were used.

        Args:
            epoch_began: the random state before it was drawn.
            batches: how many.
            fetcher: Lightning's iterator over this loader, which reads ahead where it does not know the length.
        """
        self.set_random_state(epoch_began)
        iter(fetcher)
        if fetcher.length is None or not skip_by_index(self, batches):
            for _ in range(batches):
                next(fetcher)
            fetcher.fetched -= batches  # Lightning adds those of before to it

    def random_state(self) -> dict[str, Any]:
        """The global random state, and that of the generators that loaders and samplers have of their own."""
        return random_state() | {"generators": [generator.get_state() for generator in self._own_generators()]}

    def set_random_state(self, state: dict[str, Any]) -> None:
        """Put back what ``random_state`` gave."""
        set_random_state(state)
        for generator, own in zip(self._own_generators(), state["generators"], strict=False):
            generator.set_state(own.cpu())

    def reads_here(self) -> bool:
        """Whether rows are read in this process, so that they may use its random numbers."""
        return any(not getattr(loader, "num_workers", 0) for loader in self.flattened)

    def _own_generators(self) -> list[torch.Generator]:
        found = [getattr(part, "generator", None) for loader in self.flattened for part in _parts(loader)]
        return list({id(one): one for one in found if isinstance(one, torch.Generator)}.values())

    def _set_epoch(self) -> None:
        """Tell samplers the epoch before they are asked: after a resume it is not 0."""
        for loader in self.flattened:
            for part in _parts(loader):
                set_epoch = getattr(part, "set_epoch", None)
                if callable(set_epoch):
                    set_epoch(self.epoch)


def _parts(loader: Any) -> list[Any]:
    batch_sampler = getattr(loader, "batch_sampler", None)
    return [loader, getattr(loader, "sampler", None), batch_sampler, getattr(batch_sampler, "sampler", None)]


@contextmanager
def _nothing() -> Iterator[None]:
    yield
