"""MakeDataloaders: batches, resuming within an epoch, workers, and mistakes."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from datasets import Dataset, DatasetDict
from torch.utils.data import DistributedSampler

from runway.config.reads import Reads, RecordedView
from runway.errors import ConfigError, DataError
from runway.transforms.batching.dataloaders import make_dataloader
from runway.transforms.batching.length_buckets import LengthBucketSampler
from tests.transforms.batching.tokens import CONFIG, tokens

Make = Callable[..., Any]


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
    assert reads.config[("train", "batch_size")] == reads.config[("meta", "seed")] == "value"


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
