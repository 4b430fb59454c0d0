"""Which task's batch comes when: one sampler and one DataLoader over the training rows of all tasks.

All of it follows from the seed and the epoch, so an epoch can be drawn again from its middle, and every process of a
distributed run draws the same order of tasks. A task's rows come pass by pass: each once before any comes again, over
the ends of epochs too.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, Dataset, DistributedSampler, IterableDataset

from runway.errors import ConfigError, DataError, must_be
from runway.executors.drawn_rows import dealing_sampler
from runway.pipeline.node import random_state_kept

SECTION = "train.mixing"
MIXED, ALTERNATING = "mixed", "alternating"
ROUND_ROBIN = "round_robin"

Step = list[tuple[str, list[int]]]
"""The batches of one optimiser step: of which task, and which rows."""


class TaskBatches:
    """The training batches of one task, pass by pass, as its own loader's sampler makes them.

    Whatever random numbers the sampler draws, in a pass they follow from the seed and the number of the pass. Under
    torch.distributed a sampler that does not deal its rows out has its batches dealt out; where they do not come out
    even, the first ones are repeated.

    Args:
        loader: the task's.
        seed: of the order.
        where: the task, for errors.

    Raises:
        DataError: it is a stream, has no rows, or makes no batches.
    """

    def __init__(self, loader: Any, seed: int, where: str) -> None:
        if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
            what = "a stream" if isinstance(loader, DataLoader) else f"a {type(loader).__name__}"
            message = (
                f"the training data must be a DataLoader over rows that can be taken by number, but is {what} instead"
            )
            raise DataError(message, where=where, hint="tasks are mixed by drawing rows of each")
        self.loader, self.seed, self.where = loader, seed, where
        self.sampler: Any = loader.sampler if loader.batch_sampler is None else loader.batch_sampler
        self._is_dealt = dealing_sampler(loader) is not None
        self._latest: tuple[tuple[int, int, int], list[list[int]]] | None = None
        self.rows = len(loader.dataset)  # type: ignore[arg-type]
        if not self.rows or not len(self):
            hint = "every row was filtered out, or there are fewer than a batch and `drop_last`"
            raise DataError("the task has no training rows", where=where, hint=hint)

    def __len__(self) -> int:
        """Batches of a pass, of this process."""
        return len(self.sampler) if self._is_dealt else math.ceil(len(self.sampler) / _rank_and_world()[1])

    def of_pass(self, number: int) -> list[list[int]]:
        """The batches of a pass, of this process."""
        rank, world = _rank_and_world()
        if self._latest is None or self._latest[0] != (number, rank, world):
            self._latest = ((number, rank, world), self._draw(number, rank, world))
        return self._latest[1]

    def _draw(self, number: int, rank: int, world: int) -> list[list[int]]:
        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        parts: list[Any] = [self.sampler, getattr(self.sampler, "sampler", None)]
        with random_state_kept():
            random.seed(seed)
            np.random.seed(seed)
            torch.manual_seed(seed)
            for part in parts:
                if callable(getattr(part, "set_epoch", None)):
                    part.set_epoch(number)
                if isinstance(getattr(part, "generator", None), torch.Generator):
                    part.generator.manual_seed(seed)
            batches = list(self.sampler)
        if not isinstance(batches[0], Sequence):
            raise DataError("the sampler gives rows, and not batches of them", where=self.where)
        if not self._is_dealt and world > 1:
            batches += (batches * world)[: -len(batches) % world]
            batches = batches[rank::world]
        return batches

    def fetch(self, rows: list[int]) -> Any:
        """One batch, as the task's loader would give it."""
        dataset: Any = self.loader.dataset
        if self.loader.batch_sampler is None:  # the dataset takes a whole batch of row numbers
            return self.loader.collate_fn(dataset[rows])
        if hasattr(dataset, "__getitems__"):
            return self.loader.collate_fn(dataset.__getitems__(rows))
        return self.loader.collate_fn([dataset[row] for row in rows])


class TaskRows(Dataset):
    """The training rows of all tasks; an item is a step, ``{task: [batch, …]}``.

    Args:
        tasks: the batches of each.
    """

    def __init__(self, tasks: Mapping[str, TaskBatches]) -> None:
        self.tasks = dict(tasks)

    def __len__(self) -> int:
        return sum(batches.rows for batches in self.tasks.values())

    def __getitem__(self, step: Step) -> dict[str, list[Any]]:
        batches: dict[str, list[Any]] = {}
        for name, rows in step:
            batches.setdefault(name, []).append(self.tasks[name].fetch(rows))
        return batches


class TaskSampler(DistributedSampler):
    """Gives the steps of an epoch.

    An epoch has as many batches as one pass over every task has; ``sampling`` says how many of them are of which task:

    - ``proportional``: as many as it has, so that each row comes once;
    - ``uniform``: as many of each;
    - ``temperature``: by their number to the power of 1/``temperature``: 1 is proportional, and the higher, the more
      uniform;
    - ``round_robin``: one of each in turn, in the order of their names.

    But for ``round_robin`` a task's batches are spread over the epoch, at random. A step takes as many of these, one
    after the other, as there are tasks (``mixed``), or one (``alternating``). A task whose rows end begins its next
    pass, in another order; one whose rows do not come to an end goes on in the next epoch.

    Args:
        tasks: the batches of each.
        sampling: see above.
        temperature: for ``temperature``.
        batches: ``mixed`` or ``alternating``.
        steps_per_epoch: another length of an epoch.
        seed: of the order.

    Raises:
        ConfigError: a setting that does not go with the others.
    """

    def __init__(
        self,
        tasks: Mapping[str, TaskBatches],
        *,
        sampling: str = "proportional",
        temperature: float | None = None,
        batches: str = MIXED,
        steps_per_epoch: int | None = None,
        seed: int = 0,
    ) -> None:
        if (sampling == "temperature") != (temperature is not None):
            given = "is not given" if temperature is None else "is given"
            message = f"`temperature` {given}, but `sampling` is {sampling!r}"
            raise ConfigError(message, where=SECTION, hint="`sampling: 'temperature'` and `temperature` go together")
        if temperature is not None:
            must_be(temperature > 0, "temperature", "above 0", temperature, where=SECTION)
        self.tasks = dict(tasks)
        self.sampling, self.temperature, self.steps_per_epoch, self.seed = sampling, temperature, steps_per_epoch, seed
        self.batches_per_step = len(self.tasks) if batches == MIXED else 1
        self.epoch = 0
        # what a DistributedSampler has, for those who look at it
        self.dataset, self.num_replicas, self.rank = TaskRows(tasks), 1, 0

    def __len__(self) -> int:
        """Steps of an epoch."""
        return math.ceil(sum(self.counts().values()) / self.batches_per_step)

    def counts(self) -> dict[str, int]:
        """How many batches of each task an epoch has."""
        sizes = {name: len(batches) for name, batches in self.tasks.items()}
        number = sum(sizes.values())
        if self.steps_per_epoch is not None:
            number = self.steps_per_epoch * self.batches_per_step
        elif self.sampling == ROUND_ROBIN:
            number = math.ceil(number / len(sizes)) * len(sizes)
        if number < len(sizes):
            hint = f"raise `{SECTION}.steps_per_epoch`"
            message = f"an epoch has {number} batches, which is fewer than there are tasks ({len(sizes)})"
            raise ConfigError(message, where=SECTION, hint=hint)
        if self.sampling == ROUND_ROBIN:
            return {name: len(range(place, number, len(sizes))) for place, name in enumerate(sizes)}
        power = {"proportional": 1.0, "uniform": 0.0}.get(self.sampling, 1 / (self.temperature or 1))
        largest = max(sizes.values())  # a ratio to it has no power that is too large for a number
        return _shared_out(number, {name: (size / largest) ** power for name, size in sizes.items()})

    def __iter__(self) -> Iterator[Step]:
        counts = self.counts()
        taken = dict.fromkeys(counts, 0)
        step: Step = []
        for name in self._order(counts):
            size = len(self.tasks[name])
            number, place = divmod(self.epoch * counts[name] + taken[name], size)
            taken[name] += 1
            step.append((name, list(self.tasks[name].of_pass(number)[place])))
            if len(step) == self.batches_per_step:
                yield step
                step = []
        if step:
            yield step

    def _order(self, counts: Mapping[str, int]) -> list[str]:
        """Of which task each batch of the epoch is."""
        names = list(counts)
        if self.sampling == ROUND_ROBIN:
            return [names[place % len(names)] for place in range(sum(counts.values()))]
        generator = np.random.default_rng([self.seed, self.epoch])
        places = [(np.arange(count) + generator.random(count)) / count for count in counts.values()]
        tasks = np.repeat(np.arange(len(names)), list(counts.values()))
        return [names[task] for task in tasks[np.argsort(np.concatenate(places), kind="stable")]]


def mixed_loader(sampler: TaskSampler, num_workers: int = 0) -> DataLoader:
    """The DataLoader of the sampler's steps, ``{task: [batch, …]}`` each."""
    return DataLoader(
        sampler.dataset,
        sampler=sampler,
        batch_size=None,  # the sampler makes the batches
        collate_fn=_as_it_is,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def _as_it_is(step: Any) -> Any:
    return step


def _shared_out(number: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Whole numbers in the ratio of the shares, each at least 1, that add up to ``number``."""
    whole = number / sum(shares.values())
    exact = {name: max(share * whole, 1.0) for name, share in shares.items()}
    counts = {name: math.floor(value) for name, value in exact.items()}
    by_rest = sorted(shares, key=lambda name: counts[name] - exact[name])
    for name in by_rest[: max(number - sum(counts.values()), 0)]:
        counts[name] += 1
    while sum(counts.values()) > number:  # the least shares were raised to 1
        counts[max(counts, key=lambda name: counts[name])] -= 1
    return counts


def _rank_and_world() -> tuple[int, int]:
    if not (dist.is_available() and dist.is_initialized()):
        return 0, 1
    return dist.get_rank(), dist.get_world_size()
