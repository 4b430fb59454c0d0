"""Puts what was recorded into the dataset's order: batches are sorted by length, ranks hold every n-th row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch.distributed as dist
from torch.utils.data import DistributedSampler

from runway.log import warning
from runway.transforms.batching.length_buckets import LengthBucketSampler

if TYPE_CHECKING:
    from runway.recorder import EvalRecorder

Shard: TypeAlias = "tuple[EvalRecorder, tuple[list[int], list[int], bool]]"
"""A rank's recorder; for each of its rows the loader and the dataset row; whether these are known."""


class RowOrder:
    """Which dataset row each recorded row stands for, batch by batch.

    A batch that carries ``index`` (int64, ``[B]``) says it itself. One that does not comes from a loader
    that goes through its rows in order; torch's DistributedSampler deals them out rank by rank.
    """

    def __init__(self) -> None:
        self.loaders: list[int] = []
        self.rows: list[int] = []
        self.known = True
        self._seen: dict[int, int] = {}

    def add(self, batch: Any, recorder_rows: int, loader_idx: int, loaders: Any) -> None:
        """Add one batch of one of the loaders, after which the recorder has so many rows."""
        recorded = recorder_rows - len(self.loaders)
        if not recorded:
            return
        loader = loaders[loader_idx] if isinstance(loaders, list | tuple) else loaders
        index = batch.get("index") if hasattr(batch, "get") else None
        if index is not None:
            rows = [int(row) for row in index]
        else:
            start = self._seen.get(loader_idx, 0)
            self._seen[loader_idx] = start + recorded
            rows = list(range(start, start + recorded))
            sampler = getattr(loader, "sampler", None)
            if isinstance(sampler, LengthBucketSampler):
                self.known = False
            elif isinstance(sampler, DistributedSampler):
                length = len(sampler.dataset)  # type: ignore[arg-type]
                rows = [(row * sampler.num_replicas + sampler.rank) % length for row in rows]
        if len(rows) != recorded:
            self.known = False
        self.loaders += [loader_idx] * recorded
        self.rows += rows

    def apply(self, recorder: EvalRecorder) -> EvalRecorder:
        """The recorder with its rows in the dataset's order; on rank 0 with the rows of every rank.

        Rows that a sampler repeated to give each rank as many are there once. Where the order cannot be
        known, it stays as it is.
        """
        positions = (self.loaders, self.rows, self.known)
        if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
            return _in_order([(recorder, positions)])
        shards: list[Any] | None = [None] * dist.get_world_size() if dist.get_rank() == 0 else None
        dist.gather_object((recorder, positions), shards, dst=0)
        return recorder if shards is None else _in_order(shards)


def _in_order(shards: list[Shard]) -> EvalRecorder:
    """One recorder of all shards' rows, in the dataset's order."""
    recorders = [recorder for recorder, _ in shards]
    whole = recorders[0] if len(recorders) == 1 else type(recorders[0]).concatenate(recorders)
    if not all(known for _, (_, _, known) in shards):
        why = "the batches carry no `index`, or a step records more or fewer rows than its batch has"
        warning(f"recorded rows stay in the loader's order: {why}", once=True)
        return whole
    order = _first_of_each(shards)
    return whole if order == list(range(len(whole))) else whole.select_rows(order)


def _first_of_each(shards: list[Shard]) -> list[int]:
    """Indices that sort the rows by loader and dataset row, the first of those that stand for the same row."""
    loaders = np.concatenate([np.asarray(loaders, dtype=np.int64) for _, (loaders, _, _) in shards])
    rows = np.concatenate([np.asarray(rows, dtype=np.int64) for _, (_, rows, _) in shards])
    order = np.lexsort((rows, loaders))  # stable: of equal rows the lower rank's comes first
    is_new = (np.diff(loaders[order], prepend=-1) != 0) | (np.diff(rows[order], prepend=-1) != 0)
    return order[is_new].tolist()
