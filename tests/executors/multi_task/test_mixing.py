"""Which task's batch comes when, and which rows are in it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from datasets import Dataset as HFDataset
from torch.utils.data import DataLoader, IterableDataset, TensorDataset, WeightedRandomSampler

from runway.errors import ConfigError, DataError
from runway.executors.multi_task.mixing import TaskBatches, TaskSampler, mixed_loader
from runway.transforms.batching.dataloaders import make_dataloader


def batches_of(rows: int, batch_size: int = 2, seed: int = 0, **settings: Any) -> TaskBatches:
    dataset = TensorDataset(torch.arange(rows))
    return TaskBatches(DataLoader(dataset, batch_size=batch_size, shuffle=True, **settings), seed, "tasks.x")


def tasks(**rows: int) -> dict[str, TaskBatches]:
    return {name: batches_of(count, seed=place) for place, (name, count) in enumerate(rows.items())}


def epoch_of(sampler: TaskSampler, epoch: int) -> list[Any]:
    sampler.set_epoch(epoch)
    return list(sampler)


@pytest.mark.parametrize(
    ("settings", "counts"),
    [
        ({"sampling": "proportional"}, {"small": 2, "large": 14}),
        ({"sampling": "uniform"}, {"small": 8, "large": 8}),
        ({"sampling": "temperature", "temperature": 1}, {"small": 2, "large": 14}),
        ({"sampling": "temperature", "temperature": 2}, {"small": 4, "large": 12}),
        ({"sampling": "temperature", "temperature": 1e9}, {"small": 8, "large": 8}),
        ({"sampling": "temperature", "temperature": 1e-9}, {"small": 1, "large": 15}),
        ({"sampling": "round_robin"}, {"small": 8, "large": 8}),
        ({"sampling": "proportional", "steps_per_epoch": 1}, {"small": 1, "large": 1}),  # each has a batch at least
        ({"sampling": "proportional", "steps_per_epoch": 16}, {"small": 4, "large": 28}),
        ({"sampling": "round_robin", "steps_per_epoch": 5, "batches": "alternating"}, {"small": 3, "large": 2}),
    ],
)
def test_how_many_batches_of_each_task_an_epoch_has(settings: dict[str, Any], counts: dict[str, int]) -> None:
    sampler = TaskSampler(tasks(small=4, large=28), **settings)
    assert sampler.counts() == counts
    steps = epoch_of(sampler, 3)
    assert len(steps) == len(sampler)
    assert Counter(name for step in steps for name, _ in step) == counts


@pytest.mark.parametrize("sampling", ["proportional", "uniform", "round_robin"])
def test_a_row_comes_again_only_when_all_others_of_its_task_have_come(sampling: str) -> None:
    sampler = TaskSampler(tasks(a=6, b=10, c=3), sampling=sampling)
    seen: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    for epoch in range(7):
        for step in epoch_of(sampler, epoch):
            for name, rows in step:
                seen[name] += rows
    for name, size in (("a", 6), ("b", 10), ("c", 3)):
        passes = [seen[name][start : start + size] for start in range(0, len(seen[name]) - size, size)]
        assert len(passes) > 3
        assert all(sorted(rows) == list(range(size)) for rows in passes)
        assert len({tuple(rows) for rows in passes}) > 1


def test_an_epoch_follows_from_seed_and_epoch_alone() -> None:
    one, other = (TaskSampler(tasks(a=8, b=20), seed=5) for _ in range(2))
    later = [epoch_of(one, epoch) for epoch in range(4)]
    torch.manual_seed(99)
    torch.rand(7)
    state = torch.random.get_rng_state()
    assert epoch_of(other, 3) == later[3]
    assert torch.equal(state, torch.random.get_rng_state())
    assert later[0] != later[1]
    assert epoch_of(TaskSampler(tasks(a=8, b=20), seed=6), 3) != later[3]


def test_mixed_steps_have_several_batches_and_alternating_ones_one() -> None:
    mixed = TaskSampler(tasks(a=8, b=8), sampling="round_robin")
    assert [[name for name, _ in step] for step in epoch_of(mixed, 0)] == [["a", "b"]] * 4
    alternating = TaskSampler(tasks(a=8, b=8), sampling="round_robin", batches="alternating")
    assert [[name for name, _ in step] for step in epoch_of(alternating, 0)] == [["a"], ["b"]] * 4
    spread = [name for step in epoch_of(TaskSampler(tasks(a=4, b=28), batches="alternating"), 0) for name, _ in step]
    first, second = (place for place, name in enumerate(spread) if name == "a")
    assert first < 8 <= second  # each in its half of the epoch


def test_the_loader_gives_each_tasks_own_batches() -> None:
    rows = HFDataset.from_dict({"x": [[float(row)] for row in range(5)], "label": list(range(5))})
    texts = make_dataloader(rows, batch_size=2, shuffle=True, pad_to_multiple_of=None, length_bucketed=False)
    both = {"texts": TaskBatches(texts, 0, "tasks.texts"), "plain": batches_of(4)}
    steps = list(mixed_loader(TaskSampler(both)))
    own = [batch for step in steps for batch in step.get("texts", [])]
    assert sorted(torch.cat([batch["labels"] for batch in own]).tolist()) == list(range(5))
    assert all(torch.equal(batch["labels"], batch["index"]) for batch in own)
    plain = [batch for step in steps for batch in step.get("plain", [])]
    assert sorted(torch.cat([batch[0] for batch in plain]).tolist()) == list(range(4))


def test_a_sampler_of_ones_own_is_drawn_anew_in_each_pass() -> None:
    dataset = TensorDataset(torch.arange(6))
    generator = torch.Generator()
    sampler = WeightedRandomSampler([1.0] * 5 + [0.0], 8, generator=generator)
    batches = TaskBatches(DataLoader(dataset, batch_size=4, sampler=sampler), 3, "tasks.x")
    first, second = batches.of_pass(0), batches.of_pass(1)
    assert first != second
    assert batches.of_pass(0) == first
    assert 5 not in {row for batch in first + second for row in batch}


def test_what_cannot_be_mixed_is_told() -> None:
    class Stream(IterableDataset):
        def __iter__(self) -> Any:
            return iter(range(3))

    with pytest.raises(DataError, match="rows that can be taken by number, but is a stream"):
        TaskBatches(DataLoader(Stream()), 0, "tasks.x")
    with pytest.raises(DataError, match="no training rows"):
        batches_of(3, batch_size=4, drop_last=True)
    with pytest.raises(ConfigError, match="`temperature` is not given"):
        TaskSampler(tasks(a=4), sampling="temperature")
    with pytest.raises(ConfigError, match="`temperature` is given, but `sampling` is 'uniform'"):
        TaskSampler(tasks(a=4), sampling="uniform", temperature=2)
    with pytest.raises(ConfigError, match="above 0"):
        TaskSampler(tasks(a=4), sampling="temperature", temperature=0)
    with pytest.raises(ConfigError, match="an epoch has 1 batches, which is fewer than there are tasks"):
        TaskSampler(tasks(a=4, b=4), batches="alternating", steps_per_epoch=1).counts()
