"""Batches of row indices, each of rows with similar lengths: padding then wastes almost nothing of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np


class LengthBuckets:
    """Gives batches of row indices, each of rows with similar lengths; another order in each epoch.

    As a ``LengthBucketSampler``, pass it to a DataLoader as ``sampler`` with ``batch_size=None``. The order depends on
    the seed and the epoch alone. Shuffled: rows are dealt into windows at random, sorted within a window and cut into
    batches, and the batches are shuffled; the longest one comes first, so that a batch too large for memory shows at
    once. Not shuffled: all rows by length, longest first.

    Under torch.distributed each rank takes its share of the batches, those of one step alike in length. Where
    the batches do not come out even, the first ones are repeated.

    Args:
        row_lengths: tokens of each row, ``[rows]``, or of its source and target, ``[rows, 2]``, both of which are then
            alike in a batch; None for rows without a length, which keep their order.
        batch_size: rows of a batch.
        shuffle: whether to shuffle, anew in each epoch.
        seed: of the order.
        drop_last: leave out the last, smaller batch (and what is too little for all ranks). Batches filled by tokens
            have no set number of rows, so none of them is too small: there it leaves out only what is too little for
            all ranks.
        max_tokens_per_batch: fill batches up to so many tokens, padding included, instead of ``batch_size`` rows; of
            pairs, the tokens of both sides together.
        window: batches sorted together; more wastes less padding, fewer mixes rows better.
        rows: how many there are, where they have no length.
    """

    def __init__(
        self,
        row_lengths: Sequence[int] | np.ndarray | None,
        batch_size: int = 32,
        *,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
        max_tokens_per_batch: int | None = None,
        window: int = 50,
        rows: int | None = None,
    ) -> None:
        import numpy as np

        if row_lengths is None and rows is None:
            raise ValueError("one of `row_lengths` and `rows` must be given")
        known = np.zeros(rows or 0, np.int64) if row_lengths is None else np.asarray(row_lengths)
        self.row_lengths = known if known.ndim == 2 else known[:, None]  # [rows, sides]
        self.sort = row_lengths is not None
        self.batch_size = max(int(batch_size), 1)
        self.shuffle = shuffle
        self.seed = int(seed)
        self.drop_last = drop_last
        self.max_tokens_per_batch = max_tokens_per_batch
        self.window = window
        self.epoch = 0
        self._cuts: list[int] | None = None
        self._made: tuple[tuple[int, int], np.ndarray, list[np.ndarray]] | None = None
        # what a DistributedSampler has, for those who look at it
        self.dataset, self.num_replicas, self.rank = range(len(self.row_lengths)), 1, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration gives."""
        self.epoch = epoch

    def __len__(self) -> int:
        """The number of batches of this rank in an epoch."""
        return len(self._steps())

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self._steps():
            yield batch.tolist()

    def _steps(self) -> list[np.ndarray]:
        """This rank's batches of the epoch."""
        import numpy as np

        rank, world = _rank_and_world()
        if self._made is None or self._made[0] != (self.epoch, world):
            random = np.random.default_rng([self.seed, self.epoch])
            batches = self._batches(random)
            over = len(batches) % world
            if over and self.drop_last and len(batches) > world:
                batches = batches[:-over]
            elif over:
                batches += (batches * world)[: world - over]
            order = np.arange(len(batches) // world)
            if self.shuffle and batches:
                random.shuffle(order)
                longest = int(np.argmax([self.row_lengths[batch].max(axis=0).sum() for batch in batches])) // world
                at = int(np.flatnonzero(order == longest)[0])
                order[[0, at]] = order[[at, 0]]
            self._made = ((self.epoch, world), order, batches)
        _, order, batches = self._made
        return [batches[step * world + rank] for step in order]

    def _batches(self, random: np.random.Generator) -> list[np.ndarray]:
        """All batches of the epoch, neighbours alike in length."""
        import numpy as np

        count = len(self.row_lengths)
        order = random.permutation(count) if self.shuffle else np.arange(count)
        if self.max_tokens_per_batch:
            return self._batches_of_tokens(order)
        window = count if not self.shuffle else self.batch_size * max(self.window, 1)
        if self.sort:
            starts = range(0, count, window or 1)
            parts = [order[start : start + window] for start in starts]
            order = np.concatenate([part[_longest_first(self.row_lengths[part])] for part in parts] or [order])
        batches = [order[start : start + self.batch_size] for start in range(0, count, self.batch_size)]
        if self.drop_last and len(batches) > 1 and len(batches[-1]) < self.batch_size:
            batches.pop()
        return batches

    def _batches_of_tokens(self, order: np.ndarray) -> list[np.ndarray]:
        """Fill batches by tokens: rows in steps of eight tokens (four, of a side), at random within a step.

        So each epoch has the same number of batches, which schedulers count on.
        """
        import numpy as np

        step = 8 // self.row_lengths.shape[1]
        padded = (np.maximum(self.row_lengths, 1) + step - 1) // step * step
        order = order[_longest_first(padded[order])]
        if self._cuts is None:  # the steps come in the same order in each epoch
            self._cuts = _cuts_by_tokens(padded[order], int(self.max_tokens_per_batch or 0))
        return np.split(order, self._cuts)


def _longest_first(row_lengths: np.ndarray) -> np.ndarray:
    """The order of rows by length, downwards. Of pairs, by source; then by target, up and down in turn, so that
    neighbours with another source length have targets alike."""
    import numpy as np

    if row_lengths.shape[1] == 1:
        return np.argsort(-row_lengths[:, 0], kind="stable")
    source, target = row_lengths.T
    turn = np.unique(source, return_inverse=True)[1] % 2
    return np.lexsort((np.where(turn == 0, -target, target), -source))


def _cuts_by_tokens(padded: np.ndarray, budget: int) -> list[int]:
    """Where to cut rows in order, ``[rows, sides]``, so that no batch is over the budget."""
    cuts: list[int] = []
    start, longest = 0, [0] * padded.shape[1]
    for row, counts in enumerate(padded.tolist()):
        with_row = [max(pair) for pair in zip(longest, counts, strict=True)]
        if row > start and sum(with_row) * (row + 1 - start) > budget:
            cuts.append(row)
            start, with_row = row, counts
        longest = with_row
    return cuts


def _rank_and_world() -> tuple[int, int]:
    import torch.distributed as dist

    if not (dist.is_available() and dist.is_initialized()):
        return 0, 1
    return dist.get_rank(), dist.get_world_size()


if TYPE_CHECKING:
    from torch.utils.data import DistributedSampler

    class LengthBucketSampler(LengthBuckets, DistributedSampler[list[int]]):  # type: ignore[misc]
        """LengthBuckets as a torch DistributedSampler, so that Lightning leaves it alone."""


def sampler_class() -> type[LengthBucketSampler]:
    """``LengthBucketSampler``, made when it is first asked for: its base needs torch, which this module does without.

    What runs in a node asks here, and not for the name: to follow a name, a plan would load torch.
    """
    name = "LengthBucketSampler"
    if name not in globals():
        from torch.utils.data import DistributedSampler

        globals()[name] = type(name, (LengthBuckets, DistributedSampler), {"__module__": __name__})
    return globals()[name]


def __getattr__(name: str) -> Any:
    if name != "LengthBucketSampler":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return sampler_class()
