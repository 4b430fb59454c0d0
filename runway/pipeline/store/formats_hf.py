"""HF datasets in the store: Arrow IPC streams, memory-mapped back, with everything that they need inside.

The rows are written in batches of a fixed size, so that the same rows give the same bytes whatever the batches
were that made them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from runway.pipeline.store.base import Unsaveable

BATCH_ROWS = 1000


def is_dataset(value: Any) -> bool:
    """Whether it is a ``Dataset``; a streamed one cannot be kept.

    Raises:
        Unsaveable: it is an IterableDataset.
    """
    datasets = sys.modules.get("datasets")
    if datasets is None:
        return False
    if isinstance(value, datasets.IterableDataset | datasets.IterableDatasetDict):
        raise Unsaveable(
            f"the output is a {type(value).__name__}, which streams and cannot be saved",
            hint="set `cache: false` on this node",
        )
    return isinstance(value, datasets.Dataset)


def is_dataset_dict(value: Any) -> bool:
    """Whether it is a ``DatasetDict``, or a plain dict of Datasets (which loads as a DatasetDict)."""
    datasets = sys.modules.get("datasets")
    if datasets is None or not isinstance(value, dict) or not value:
        return datasets is not None and isinstance(value, datasets.DatasetDict)
    return all(isinstance(key, str) and isinstance(part, datasets.Dataset) for key, part in value.items())


def save_dataset(dataset: Any, directory: Path) -> None:
    """Write ``rows.arrow``, and ``state.json`` where the dataset has a format or a split name."""
    import pyarrow
    from datasets.table import embed_table_storage

    raw = dataset.with_format("arrow")
    schema = dataset.features.arrow_schema
    with (
        pyarrow.OSFile(str(directory / "rows.arrow"), "wb") as sink,
        pyarrow.ipc.new_stream(sink, schema) as writer,
    ):
        embed = _has_outside_files(dataset.features)
        for start in range(0, len(dataset), BATCH_ROWS):
            table = raw[start : start + BATCH_ROWS]
            if embed:  # images and sounds given by path: the entry holds their bytes
                table = embed_table_storage(table.cast(schema))
            writer.write_table(table.cast(schema).combine_chunks(), max_chunksize=BATCH_ROWS)
    state = {"format": _format_of(dataset), "split": str(dataset.split) if dataset.split else None}
    (directory / "state.json").write_text(json.dumps(state, sort_keys=True), encoding="utf-8")


def _has_outside_files(features: Any) -> bool:
    from datasets.features.features import require_storage_embed

    return any(require_storage_embed(feature) for feature in features.values())


def _format_of(dataset: Any) -> dict[str, Any] | None:
    kept = dataset.format
    if kept["type"] is None and set(kept["columns"]) == set(dataset.column_names) and not kept["format_kwargs"]:
        return None
    try:
        json.dumps(kept["format_kwargs"])
    except TypeError as error:
        raise Unsaveable(
            f"the dataset's format {kept['type']!r} has arguments that cannot be saved: {error}",
            hint="set the format in the node that uses the data, or set `cache: false`",
        ) from error
    return dict(kept)


def load_dataset(directory: Path) -> Any:
    """Open ``rows.arrow``, memory-mapped."""
    from datasets import Dataset, NamedSplit

    state = json.loads((directory / "state.json").read_bytes())
    split = NamedSplit(state["split"]) if state["split"] else None
    dataset = Dataset.from_file(str(directory / "rows.arrow"), split=split)
    if state["format"]:
        kept = state["format"]
        dataset.set_format(kept["type"], kept["columns"], kept["output_all_columns"], **kept["format_kwargs"])
    return dataset


def save_dataset_dict(splits: Any, directory: Path) -> None:
    """Each split in a numbered folder (a split's name need not be a file name), their order in ``splits.json``."""
    (directory / "splits.json").write_text(json.dumps(list(splits)), encoding="utf-8")
    for index, dataset in enumerate(splits.values()):
        folder = directory / str(index)
        folder.mkdir()
        save_dataset(dataset, folder)


def load_dataset_dict(directory: Path) -> Any:
    """The splits, in their order, as a DatasetDict."""
    from datasets import DatasetDict

    names = json.loads((directory / "splits.json").read_bytes())
    return DatasetDict({name: load_dataset(directory / str(index)) for index, name in enumerate(names)})
