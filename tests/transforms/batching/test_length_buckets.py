"""Batches of rows that are alike in length: their order under seed, epoch and ranks."""

from __future__ import annotations

import socket
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from runway.transforms.batching.dataloaders import make_dataloader
from runway.transforms.batching.length_buckets import LengthBucketSampler
from tests.transforms.batching.tokens import tokens


def test_length_buckets_waste_little() -> None:
    dataset = tokens(2000)

    def padding(**settings: Any) -> float:
        masks = [batch["attention_mask"] for batch in make_dataloader(dataset, batch_size=16, shuffle=True, **settings)]
        return 1 - sum(int(mask.sum()) for mask in masks) / sum(mask.numel() for mask in masks)

    assert padding(pad_to_multiple_of=None) < 0.05
    assert padding(pad_to_multiple_of=None, length_bucketed=False) > 0.3


def test_the_order_follows_seed_and_epoch() -> None:
    lengths = np.random.default_rng(1).integers(1, 200, 1000)

    def order(seed: int, epoch: int) -> list[list[int]]:
        sampler = LengthBucketSampler(lengths, 8, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)
    for epoch in range(3):
        batches = order(1, epoch)
        assert sorted(chain.from_iterable(batches)) == list(range(1000))
        assert lengths[batches[0]].max() == lengths.max(), "the longest comes first"


def test_batches_filled_by_tokens() -> None:
    lengths = np.random.default_rng(1).integers(1, 200, 1000)
    sampler = LengthBucketSampler(lengths, max_tokens_per_batch=1024)
    counts = set()
    for epoch in range(3):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        counts.add(len(batches))
        assert sorted(chain.from_iterable(batches)) == list(range(1000))
        assert max(len(batch) * -(-int(lengths[batch].max()) // 8) * 8 for batch in batches) <= 1024
    assert len(counts) == 1, "schedulers count on the number of batches"


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("rows", [1, 7, 64, 1001])
def test_every_row_once_whatever_the_size(rows: int, shuffle: bool) -> None:
    lengths = np.random.default_rng(0).integers(0, 9, rows)
    sampler = LengthBucketSampler(lengths, 8, shuffle=shuffle)
    assert sorted(chain.from_iterable(sampler)) == list(range(rows))
    assert len(sampler) == -(-rows // 8)
    dropping = LengthBucketSampler(lengths, 8, shuffle=shuffle, drop_last=True)
    assert len(dropping) == max(rows // 8, 1)


def _rank(rank: int, port: int, folder: str) -> None:
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    for shuffle in (True, False):
        loader = make_dataloader(tokens(101), batch_size=4, shuffle=shuffle)
        loader.sampler.set_epoch(1)
        torch.save([(batch["index"], batch["input_ids"].shape[1]) for batch in loader], f"{folder}/{rank}-{shuffle}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_ranks_share_the_batches(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(_rank, (port, str(tmp_path)), nprocs=2)
    for shuffle in (True, False):
        first, second = (torch.load(tmp_path / f"{rank}-{shuffle}.pt") for rank in range(2))
        assert len(first) == len(second) == 13
        assert {int(row) for index, _ in first + second for row in index} == set(range(101))
        apart = [abs(one - other) for (_, one), (_, other) in zip(first, second, strict=True)]
        assert sum(apart) / len(apart) <= 8, "the batches of a step are alike in length"
