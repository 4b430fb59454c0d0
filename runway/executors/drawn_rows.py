"""Which rows of its dataset each batch of a DataLoader holds: noted where the sampler gives them, so whatever it is."""

from __future__ import annotations

import copy
import operator
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from lightning.pytorch.utilities.combined_loader import CombinedLoader
from torch.utils.data import DataLoader, DistributedSampler, IterableDataset

from runway.executors.sample_errors import tells_samples


class NotedSampler:
    """A sampler, or a batch sampler, that remembers what it has given last.

    Args:
        sampler: what it stands in front of; everything but iterating is asked there.
    """

    MOST = 1024
    """Batches that are remembered: more than any workers fetch ahead, and little memory in a long epoch."""

    def __init__(self, sampler: Any) -> None:
        self.sampler_itself = sampler
        self._drawn = _Drawn(self.MOST)

    def __iter__(self) -> Iterator[Any]:
        self._drawn = _Drawn(self.MOST)  # each pass has its own: an earlier one may not have ended
        return self._noting(self._drawn)

    def _noting(self, drawn: _Drawn) -> Iterator[Any]:
        for indices in self.sampler_itself:
            drawn.last.append(indices)
            drawn.count += 1
            yield indices

    def drawn(self, batch_idx: int) -> Any:
        """What it gave for a batch of this pass; None where it is not known any more."""
        place = batch_idx - self._drawn.count + len(self._drawn.last)
        return self._drawn.last[place] if 0 <= place < len(self._drawn.last) else None

    def __len__(self) -> int:
        return len(self.sampler_itself)

    def __getattr__(self, name: str) -> Any:
        if name == "sampler_itself":  # while it is copied
            raise AttributeError(name)
        return getattr(self.sampler_itself, name)


class _Drawn:
    """What one pass has drawn: how many batches, and the last of them."""

    def __init__(self, most: int) -> None:
        self.count = 0
        self.last: deque[Any] = deque(maxlen=most)


class NotedLoader(CombinedLoader):
    """Lightning's CombinedLoader, whose DataLoaders note the rows that they draw; the user's own are left as they are.

    An executor's ``*_dataloader`` hooks give it, so that it is there before the first batch is fetched.
    """

    name = "the training data"
    """What errors call it."""

    def __iter__(self) -> NotedLoader:
        several = len(self.flattened) > 1
        names = [f"{self.name}, loader {number}" if several else self.name for number in range(len(self.flattened))]
        loaders = [tells_samples(_noted(loader), name) for loader, name in zip(self.flattened, names, strict=True)]
        self.flattened = loaders
        super().__iter__()
        return self


def _noted(loader: Any) -> Any:
    """A copy of a DataLoader with a NotedSampler in it; any other iterable as it is."""
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
        return loader
    name = "sampler" if loader.batch_sampler is None else "batch_sampler"
    sampler = getattr(loader, name)
    in_order = getattr(loader, "in_order", True)  # else batches come as the workers finish them
    if isinstance(sampler, NotedSampler) or not in_order:
        return loader
    twin = copy.copy(loader)
    vars(twin)[name] = NotedSampler(sampler)  # DataLoader refuses to have it set; its iterators read it here
    return twin


def _sampler(loader: Any, name: str) -> Any:
    found = getattr(loader, name, None)
    return found.sampler_itself if isinstance(found, NotedSampler) else found


def drawn_rows(loader: Any, batch_idx: int) -> list[int] | None:
    """The rows of its dataset that a loader's batch was made of; None where it does not tell.

    Args:
        loader: one of a ``NotedLoader``.
        batch_idx: counted from the loader's first batch.
    """
    for name in ("batch_sampler", "sampler"):
        noted = getattr(loader, name, None)
        if isinstance(noted, NotedSampler):
            indices = noted.drawn(batch_idx)
            return whole_numbers(indices) if isinstance(indices, Sequence) or hasattr(indices, "tolist") else None
    return None


def whole_numbers(values: Any) -> list[int] | None:
    """``values`` as ints; None where they are no whole numbers, such as the keys of a dataset that is like a dict."""
    try:
        return [operator.index(value) for value in (values.tolist() if hasattr(values, "tolist") else values)]
    except TypeError:
        return None


def dealing_sampler(loader: Any) -> DistributedSampler | None:
    """The sampler that deals a loader's rows out to the ranks: torch's, Lightning's or runway's; None without one."""
    batch_sampler, sampler = _sampler(loader, "batch_sampler"), _sampler(loader, "sampler")
    candidates = (getattr(batch_sampler, "sampler", None), batch_sampler, sampler)
    return next((found for found in candidates if isinstance(found, DistributedSampler)), None)


def goes_through(loader: Any) -> bool:
    """Whether a loader that notes nothing gives rows in the order of its dataset, or has no order but its own."""
    from torch.utils.data import BatchSampler, SequentialSampler

    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
        return True
    batch_sampler, sampler = _sampler(loader, "batch_sampler"), _sampler(loader, "sampler")
    return type(batch_sampler) in (BatchSampler, type(None)) and type(sampler) is SequentialSampler
