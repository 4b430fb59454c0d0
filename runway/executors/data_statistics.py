"""What a training's data is in numbers: rows, batches, tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from lightning.fabric.utilities.data import sized_len

from runway.executors.data_attributes import as_list
from runway.transforms.arrow_tables import column, lengths


def data_statistics(loaders: Mapping[str, Any]) -> dict[str, Any]:
    """For each dataloader: rows, batches, and of each column of sequences the tokens and their lengths.

    Args:
        loaders: ``{train_dataloaders: [...], val_dataloaders: [...], test_dataloaders: [...]}``.

    Returns:
        ``{train: {rows, batches, columns: {input_ids: {tokens, mean, median, longest}}}, …}``; a second loader
        of a role stands under ``val_1``. What a loader does not tell is left out.
    """
    found: dict[str, Any] = {}
    for name, given in loaders.items():
        role = str(name).removesuffix("_dataloaders")
        for number, loader in enumerate(as_list(given)):
            dataset = getattr(loader, "dataset", None)
            counted = {"rows": sized_len(dataset), "batches": sized_len(loader)}
            facts: dict[str, Any] = {key: count for key, count in counted.items() if count is not None}
            columns = _columns(dataset)
            found[role if number == 0 else f"{role}_{number}"] = {**facts, "columns": columns} if columns else facts
    return found


def _columns(dataset: Any) -> dict[str, Any]:
    """The lengths of the sequences of a Dataset, or of runway's rows of one."""
    rows = getattr(dataset, "rows", dataset)
    features = getattr(rows, "features", None) or {}
    found = {}
    for name in features:
        if type(features[name]).__name__ not in ("List", "LargeList") or not len(rows):
            continue
        counts = lengths(column(rows, name))
        found[name] = {
            "tokens": int(counts.sum()),
            "mean": round(float(counts.mean()), 2),
            "median": float(np.median(counts)),
            "longest": int(counts.max()),
        }
    return found
