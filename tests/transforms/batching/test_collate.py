"""Rows to batches: reading by index, and padding."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import DatasetDict

from runway.transforms.arrow_tables import column, lengths
from runway.transforms.batching.collate import IndexedRows, PadBatch
from tests.transforms.batching.tokens import CONFIG, tokens

Make = Callable[..., Any]


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


def test_rows_behind_a_selection() -> None:
    dataset = tokens(20).select([5, 3, 11])
    assert lengths(column(dataset, "input_ids")).tolist() == [len(ids) for ids in dataset["input_ids"]]
    batch = IndexedRows(dataset, ["input_ids"])[[2, 0]]
    assert [ids[0] for ids in batch["input_ids"]] == [12, 6]
    assert batch["index"].tolist() == [2, 0]
