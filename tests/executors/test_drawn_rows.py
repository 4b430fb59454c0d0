"""What a loader's batches are made of is noted where the sampler gives it."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, DistributedSampler, IterableDataset, SequentialSampler

from runway.executors.drawn_rows import (
    NotedLoader,
    NotedSampler,
    dealing_sampler,
    drawn_rows,
    goes_through,
    whole_numbers,
)


def noted(loader: object) -> object:
    combined = NotedLoader(loader, "sequential")
    iter(combined)
    return combined.flattened[0]


def test_a_long_pass_needs_little_memory():
    sampler = NotedSampler(SequentialSampler(range(5000)))
    passed = list(sampler)
    assert len(passed) == 5000
    assert sampler.drawn(4999) == 4999
    assert sampler.drawn(5000 - sampler.MOST) == 5000 - sampler.MOST
    assert sampler.drawn(5000 - sampler.MOST - 1) is None
    assert sampler.drawn(5000) is None


def test_each_pass_begins_anew():
    sampler = NotedSampler(SequentialSampler(range(3)))
    first = iter(sampler)
    next(first)
    second = iter(sampler)
    assert sampler.drawn(0) is None
    next(first)  # one that has not ended does not disturb
    assert sampler.drawn(0) is None
    next(second)
    assert (sampler.drawn(0), sampler.drawn(1)) == (0, None)


def test_all_else_is_asked_of_the_sampler():
    sampler = DistributedSampler(range(8), num_replicas=2, rank=0)
    noting = NotedSampler(BatchSampler(sampler, 2, drop_last=False))
    assert len(noting) == 2
    assert noting.sampler is sampler
    assert copy.copy(noting).batch_size == 2
    with pytest.raises(AttributeError):
        _ = noting.no_such_thing


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(3))


@pytest.mark.parametrize(
    "loader",
    [
        DataLoader(Stream(), batch_size=2),
        DataLoader(range(4), batch_size=2, in_order=False),
        range(3),
    ],
)
def test_what_cannot_be_noted_is_left(loader):
    combined = NotedLoader([loader, loader], "sequential")
    iter(combined)
    assert all(getattr(loader, "sampler", None) is getattr(one, "sampler", None) for one in combined.flattened)
    assert drawn_rows(loader, 0) is None


def test_one_row_at_a_time_says_nothing_of_a_batch():
    loader = noted(DataLoader(["a batch", "another"], batch_size=None))
    assert drawn_rows(loader, 0) is None


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ([1, np.int64(2)], [1, 2]),
        (torch.tensor([3, 4]), [3, 4]),
        (np.array([5]), [5]),
        (["a"], None),
        ([1.5], None),
        (7, None),
        (torch.tensor(7), None),
    ],
)
def test_whole_numbers(given, found):
    assert whole_numbers(given) == found


def test_who_deals_the_rows_out():
    sampler = DistributedSampler(range(8), num_replicas=2, rank=0)
    assert dealing_sampler(noted(DataLoader(range(8), sampler=sampler, batch_size=2))) is sampler
    own = DataLoader(range(8), batch_sampler=BatchSampler(sampler, 2, drop_last=False))
    assert dealing_sampler(own) is dealing_sampler(noted(own)) is sampler
    assert dealing_sampler(DataLoader(range(8))) is None
    assert dealing_sampler(None) is None


def test_what_goes_through_its_rows():
    assert goes_through(DataLoader(range(4), batch_size=2))
    assert goes_through([1, 2])
    assert goes_through(DataLoader(Stream()))
    assert not goes_through(DataLoader(range(4), batch_size=2, shuffle=True))
    assert not goes_through(DataLoader(range(4), batch_sampler=[[3], [1]]))
