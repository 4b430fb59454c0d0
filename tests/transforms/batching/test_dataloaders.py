"""Batches: padding, length buckets, order under seed, epoch and ranks, resuming within an epoch."""

from __future__ import annotations

import pickle
import socket
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict
from torch.utils.data import DistributedSampler

from runway.config.reads import Reads, RecordedView
from runway.errors import ConfigError, DataError
from runway.transforms.arrow_tables import column, lengths
from runway.transforms.batching.collate import IndexedRows, PadBatch
from runway.transforms.batching.dataloaders import make_dataloader
from runway.transforms.batching.length_buckets import LengthBucketSampler

Make = Callable[..., Any]
CONFIG = {"meta": {"seed": 3}, "train": {"batch_size": 4}, "test": {"batch_size": 8}}


def tokens(rows: int, seed: int = 0) -> Dataset:
    """Rows of 1 to 60 tokens; a row's tokens are its number."""
    lengths = np.random.default_rng(seed).integers(1, 60, rows)
    return Dataset.from_dict(
        {
            "text": [f"row {n}" for n in range(rows)],
            "label": [n % 2 for n in range(rows)],
            "input_ids": [[n + 1] * int(length) for n, length in enumerate(lengths)],
            "attention_mask": [[1] * int(length) for length in lengths],
        }
    )


def test_a_batch(make: Make) -> None:
    data = DatasetDict(train=tokens(30), valid=tokens(9), test=tokens(20))
    loaders = make("MakeDataloaders", global_config=CONFIG)(data)
    assert {name: len(found) for name, found in loaders.items()} == {
        "train_dataloaders": 1,
        "val_dataloaders": 1,
        "test_dataloaders": 1,
    }
    train = loaders["train_dataloaders"][0]
    assert len(train) == len(list(train)) == 8
    for batch in train:
        assert set(batch) == {"input_ids", "attention_mask", "labels", "index"}
        assert batch["labels"].dtype == torch.long
        assert batch["labels"].shape == batch["index"].shape
        assert batch["input_ids"].shape[1] % 8 == 0
        for ids, mask, label, index in zip(
            *(batch[name] for name in ("input_ids", "attention_mask", "labels", "index")), strict=True
        ):
            row = data["train"][int(index)]
            assert ids[mask.bool()].tolist() == row["input_ids"]
            assert not ids[~mask.bool()].any()
            assert label == row["label"]
    (test,) = loaders["test_dataloaders"]
    assert [len(batch["labels"]) for batch in test] == [8, 8, 4]
    widths = [batch["input_ids"].shape[1] for batch in test]
    assert widths == sorted(widths, reverse=True)
    assert sorted(torch.cat([batch["index"] for batch in test]).tolist()) == list(range(20))


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


def test_lightning_leaves_the_sampler_alone() -> None:
    sampler = LengthBucketSampler([1, 2, 3])
    assert isinstance(sampler, DistributedSampler)
    assert isinstance(sampler, LengthBucketSampler)


def test_a_loader_can_be_pickled() -> None:
    sampler = LengthBucketSampler([3, 1, 2, 5], 2, seed=4)
    sampler.set_epoch(3)
    again = pickle.loads(pickle.dumps(sampler))
    assert type(again) is type(sampler) is LengthBucketSampler
    assert list(again) == list(sampler)
    loader = make_dataloader(tokens(11), batch_size=4, shuffle=True)
    again = pickle.loads(pickle.dumps(loader))
    assert [batch["index"].tolist() for batch in again] == [batch["index"].tolist() for batch in loader]


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


def test_the_right_padding(make: Make, tokenizer_folder: Path) -> None:
    batch = {
        "input_ids": [np.array([1, 2]), np.array([3])],
        "labels": [np.array([1]), np.array([1, 2])],
        "index": np.arange(2),
    }
    padded = PadBatch({"input_ids": 9}, None, None)(batch)
    assert padded["input_ids"].tolist() == [[1, 2], [3, 9]]
    assert padded["labels"].tolist() == [[1, -100], [1, 2]]
    assert PadBatch({}, None, 4, "left")(batch)["input_ids"].tolist() == [[0, 0, 1, 2], [0, 0, 0, 3]]
    config = {**CONFIG, "tokenizer_config": {"version_name": str(tokenizer_folder), "init_kwargs": {"pad_token": "."}}}
    loaders = make("MakeDataloaders", global_config=config)(DatasetDict(train=tokens(30)))
    padded_ids = [batch["input_ids"][batch["attention_mask"] == 0] for batch in loaders["train_dataloaders"][0]]
    assert set(torch.cat(padded_ids).tolist()) == {12}


def test_other_columns(make: Make) -> None:
    data = DatasetDict(train=tokens(6).add_column("score", [0.5] * 6))
    node = make("MakeDataloaders", global_config=CONFIG, use_columns=["input_ids", "text", "score", "label"])
    batch = next(iter(node(data)["train_dataloaders"][0]))
    assert batch["text"] == [f"row {n}" for n in batch["index"].tolist()]
    assert batch["score"].dtype == torch.float32
    plain = Dataset.from_dict({"x": [1.0, 2.0, 3.0], "label": [0, 1, 0]})
    batches = list(make("MakeDataloaders", global_config=CONFIG)(DatasetDict(test=plain))["test_dataloaders"][0])
    assert batches[0]["x"].tolist() == [1.0, 2.0, 3.0]


def test_workers_and_loader_arguments(make: Make) -> None:
    node = make("MakeDataloaders", global_config=CONFIG, train_kwargs={"num_workers": 1, "batch_size": 5})
    (loader,) = node(DatasetDict(train=tokens(11)))["train_dataloaders"]
    assert len(list(loader)) == 3
    assert [batch["index"].tolist() for batch in loader] == list(loader.sampler)


def test_what_it_reads_is_noted(make: Make) -> None:
    reads = Reads()
    make("MakeDataloaders", global_config=RecordedView(CONFIG, reads))(DatasetDict(train=tokens(5)))
    assert reads.config[("train", "batch_size")] == 4
    assert reads.config[("meta", "seed")] == 3


@pytest.mark.parametrize(
    ("settings", "data", "error", "expected"),
    [
        ({}, {"train": tokens(0)}, DataError, "'train' is empty"),
        ({"val_splits": "valud"}, {"train": tokens(3), "valid": tokens(3)}, DataError, "did you mean 'valid'"),
        ({"use_columns": ["input_id"]}, {"train": tokens(3)}, DataError, "did you mean 'input_ids'"),
        ({}, {"other": tokens(3)}, DataError, "none of the splits other"),
        ({}, {"train": tokens(3).select_columns(["text"])}, DataError, "no columns of numbers"),
        ({"train_kwargs": {"num_wrokers": 1}}, {"train": tokens(3)}, ConfigError, "num_wrokers"),
        ({}, {"train": Dataset.from_dict({"x": [1, 2], "label": [1, None]})}, DataError, "'label' has empty values"),
    ],
)
def test_mistakes(make: Make, settings: dict, data: dict, error: type, expected: str) -> None:
    with pytest.raises(error) as caught:
        make("MakeDataloaders", global_config=CONFIG, **settings)(DatasetDict(data))
    assert expected in str(caught.value)
    assert "process:MakeDataloaders" in str(caught.value)


def test_rows_behind_a_selection() -> None:
    dataset = tokens(20).select([5, 3, 11])
    assert lengths(column(dataset, "input_ids")).tolist() == [len(ids) for ids in dataset["input_ids"]]
    batch = IndexedRows(dataset, ["input_ids"])[[2, 0]]
    assert [ids[0] for ids in batch["input_ids"]] == [12, 6]
    assert batch["index"].tolist() == [2, 0]
