"""What a training leaves in its run folder beside weights and metrics: statistics of its data, and its tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from runway.transforms.arrow_tables import column, lengths

if TYPE_CHECKING:
    from runway.executors.base_executor import BaseExecutor

TOKENIZER_FOLDER = "tokenizer"


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
        for number, loader in enumerate(given if isinstance(given, list | tuple) else [given]):
            facts: dict[str, Any] = {}
            counts: list[tuple[str, Any]] = [("rows", getattr(loader, "dataset", None)), ("batches", loader)]
            for key, counted in counts:
                if hasattr(counted, "__len__"):
                    facts[key] = len(counted)
            columns = _columns(getattr(loader, "dataset", None))
            if columns:
                facts["columns"] = columns
            found[role if number == 0 else f"{role}_{number}"] = facts
    return found


def _columns(dataset: Any) -> dict[str, Any]:
    """The lengths of the sequences of a Dataset, or of runway's rows of one."""
    rows = getattr(dataset, "rows", dataset)
    features = getattr(rows, "features", None) or {}
    found = {}
    for name in features:
        if type(features[name]).__name__ not in ("List", "Sequence", "LargeList") or not len(rows):
            continue
        counts = lengths(column(rows, name))
        found[name] = {
            "tokens": int(counts.sum()),
            "mean": round(float(counts.mean()), 2),
            "median": float(np.median(counts)),
            "longest": int(counts.max()),
        }
    return found


def save_tokenizer(executor: BaseExecutor, folder: Path) -> Path | None:
    """Copy the executor's tokenizer into ``folder/tokenizer``, if it has used one; two in folders by side."""
    place = folder / TOKENIZER_FOLDER
    pair = getattr(executor, "tokenizers", None)
    if pair is not None and not pair.joint:
        for side in ("source", "target"):
            getattr(pair, side).save_pretrained(place / side)
        return place
    tokenizer = getattr(executor, "_tokenizer", None)
    if tokenizer is None or not hasattr(tokenizer, "save_pretrained"):
        return None
    tokenizer.save_pretrained(place)
    return place
