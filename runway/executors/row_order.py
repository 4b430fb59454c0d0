"""Puts what was recorded into the dataset's order: batches are sorted by length, ranks hold every n-th row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch.distributed as dist

from runway.executors.drawn_rows import dealing_sampler, goes_through, whole_numbers
from runway.log import warning

if TYPE_CHECKING:
    from runway.recorder import EvalRecorder

MEND = "let the batches carry `index`, each row's place in the dataset, and record one row for each of them"


@dataclass
class LoaderRows:
    """What one rank has recorded of the batches of one loader.

    Attributes:
        recorded: rows of the rank's recorder.
        rows: for each of them its place in the dataset's order; None where that cannot be known.
        drawn: for each of them what tells it from others: as ``rows``, or the row that a sampler has dealt out.
        dealt: how many rows a sampler deals out to all ranks, the repeated ones not counted; None where none does.
        in_order: whether they were recorded in the dataset's order, or the loader has none.
        last: the row that the loader gave last.
        fetched: for each of them the row of the dataset that the loader fetched; None where that is not known.
    """

    recorded: list[int] = field(default_factory=list)
    rows: list[int] | None = field(default_factory=list)
    drawn: list[int] = field(default_factory=list)
    dealt: int | None = None
    in_order: bool = True
    last: int = -1
    fetched: list[int] | None = field(default_factory=list)


Shard: TypeAlias = "tuple[EvalRecorder, dict[int, LoaderRows]]"
"""A rank's recorder, and what in it is of which loader."""


class RowOrder:
    """Which dataset row each recorded row stands for, batch by batch.

    A batch that carries ``index`` (whole numbers, ``[B]``) says it itself; of another the loader's sampler says it.

    Args:
        what: what is recorded, for warnings.
    """

    def __init__(self, what: str = "validation") -> None:
        self.what = what
        self.parts: dict[int, LoaderRows] = {}
        self._begun_at = 0

    def begin(self, recorder_rows: int) -> None:
        """A batch begins; the recorder has so many rows."""
        self._begun_at = recorder_rows

    def add(self, batch: Any, recorder_rows: int, loader_idx: int, loader: Any, drawn: Sequence[int] | None) -> None:
        """The batch is over.

        Args:
            batch: of any kind.
            recorder_rows: the rows that the recorder has now.
            loader_idx: which of the loaders gave the batch.
            loader: that loader.
            drawn: the dataset's rows that the loader has put into the batch, if it is known.
        """
        recorded = recorder_rows - self._begun_at
        if recorded <= 0:
            return
        if loader_idx not in self.parts:
            sampler: Any = dealing_sampler(loader)
            self.parts[loader_idx] = LoaderRows(dealt=None if sampler is None else len(sampler.dataset))
        part = self.parts[loader_idx]
        if drawn is None:
            part.in_order = part.in_order and goes_through(loader)
        else:
            part.in_order = part.in_order and [part.last, *drawn] == sorted([part.last, *drawn])
            part.last = max([part.last, *drawn])
        part.recorded += range(self._begun_at, recorder_rows)
        drawn = drawn if drawn is not None and len(drawn) == recorded else None
        if drawn is None:
            part.fetched = None
        elif part.fetched is not None:
            part.fetched += drawn
        rows = _index_of(batch, recorded) or drawn
        if rows is None or part.rows is None:
            part.rows = None
            return
        part.rows += rows
        part.drawn += rows if drawn is None or part.dealt is None else drawn

    def apply(self, recorder: EvalRecorder) -> EvalRecorder:
        """The recorder with its rows in the dataset's order; on rank 0 with the rows of every rank.

        Rows that a sampler repeated to give each rank as many are there once. Rows whose place cannot be known are
        all kept, in the order in which they came, and a warning says so.
        """
        shard = (recorder, self.parts)
        if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
            return in_order([shard], self.what)
        shards: list[Any] | None = [None] * dist.get_world_size() if dist.get_rank() == 0 else None
        dist.gather_object(shard, shards, dst=0)
        return recorder if shards is None else in_order(shards, self.what)


def _index_of(batch: Any, recorded: int) -> list[int] | None:
    """A batch's ``index``, where it is one of whole numbers, one for each row."""
    try:
        index = batch.get("index") if hasattr(batch, "get") else None
        rows = None if index is None else whole_numbers(index)
    except (TypeError, ValueError):  # something of the user's with that name
        return None
    return rows if rows is not None and len(rows) == recorded else None


def in_order(shards: Sequence[Shard], what: str) -> EvalRecorder:
    """One recorder of all shards' rows: loader after loader, each in the dataset's order; then what is of no batch."""
    recorders = [recorder for recorder, _ in shards]
    whole = recorders[0] if len(recorders) == 1 else type(recorders[0]).concatenate(recorders)
    starts = np.cumsum([0, *(len(recorder) for recorder in recorders)]).tolist()
    order: list[int] = []
    covered = np.zeros(len(whole), dtype=bool)
    for loader_idx in sorted({index for _, parts in shards for index in parts}):
        found = [
            (start, parts.get(loader_idx, LoaderRows())) for start, (_, parts) in zip(starts, shards, strict=False)
        ]
        places = [np.asarray(part.recorded, dtype=np.int64) + start for start, part in found]
        covered[np.concatenate(places)] = True
        chosen = _order_of_loader([part for _, part in found], f"{what}, loader {loader_idx}")
        order += np.concatenate(places)[chosen].tolist()
    rest = np.flatnonzero(~covered).tolist()
    if rest and len(shards) > 1:
        kept = f"{len(rest)} rows were recorded outside of the steps, and stand rank by rank"
        warning(f"{what}: {kept}; {MEND} in a step", once=True)
    order += rest
    return whole if order == list(range(len(whole))) else whole.select_rows(order)


def _order_of_loader(parts: Sequence[LoaderRows], where: str) -> np.ndarray:
    """The order of one loader's rows, of which each rank has a part: indices into the parts laid end to end."""
    count = sum(len(part.recorded) for part in parts)
    as_they_came = np.arange(count)
    ranks = len(parts)
    if any(part.rows is None for part in parts):
        if ranks > 1:
            why = "the place of a row in the dataset is not known"
            warning(f"{where}: all {count} rows of the {ranks} ranks are kept, rank by rank: {why}; {MEND}", once=True)
        elif not all(part.in_order for part in parts):
            why = "a step records more or fewer rows than its batch has, or the batches carry no `index`"
            warning(f"{where}: {count} recorded rows stay in the loader's order: {why}", once=True)
        return as_they_came
    rows = np.concatenate([np.asarray(part.rows, dtype=np.int64) for part in parts])
    drawn = np.concatenate([np.asarray(part.drawn, dtype=np.int64) for part in parts])
    # A row that one rank was given twice is meant twice; one that two ranks were given may be a sampler's padding.
    times = np.concatenate([_times_before(part.drawn) for part in parts])
    order = np.lexsort((times, drawn, rows))  # stable: of equal rows the lower rank's comes first
    is_new = np.ones(count, dtype=bool)
    is_new[1:] = (np.diff(rows[order]) != 0) | (np.diff(drawn[order]) != 0) | (np.diff(times[order]) != 0)
    repeated = count - int(is_new.sum())
    if not repeated:
        return order
    dealt = [part.dealt for part in parts if part.recorded]
    if None in dealt:
        why = f"{repeated} have a place in the dataset that another rank's row has too, and no sampler deals them out"
        warning(f"{where}: all {count} rows of the {ranks} ranks are kept, rank by rank: {why}; {MEND}", once=True)
        return as_they_came
    missing = (dealt[0] or 0) - (count - repeated)
    if count >= (dealt[0] or 0) and missing > 0:
        hint = "give every rank's sampler the same seed, or a sampler that draws no row twice"
        warning(f"{where}: the ranks drew {missing} of {dealt[0]} rows twice in place of others; {hint}", once=True)
    filled = "the sampler has given to two ranks, so that all have as many: they are recorded once"
    warning(f"{where}: {repeated} of {count} rows {filled}, and count twice in the means of `self.log`", once=True)
    return order[is_new]


def _times_before(rows: Sequence[int]) -> np.ndarray:
    """How many times each row has been there before it."""
    seen: Counter[int] = Counter()
    times = np.zeros(len(rows), dtype=np.int64)
    for place, row in enumerate(rows):
        times[place] = seen[row]
        seen[row] += 1
    return times
