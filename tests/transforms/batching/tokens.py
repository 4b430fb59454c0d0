"""Tokenised rows of many lengths, and the config of their loaders."""

from __future__ import annotations

import numpy as np
from datasets import Dataset

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
