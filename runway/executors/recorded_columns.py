"""Puts what the dataset says of a row beside what was predicted for it, so that predictions can be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from runway.errors import ConfigError, did_you_mean
from runway.log import warning

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

    from runway.executors.row_order import LoaderRows
    from runway.recorder import EvalRecorder

SETTING = "executor.init_kwargs.record_columns"


def dataset_of(loader: Any) -> Dataset | None:
    """The Dataset of a loader with all its columns; None where it has none."""
    found = getattr(loader, "dataset", None)
    found = getattr(found, "whole", found)
    return found if hasattr(found, "column_names") and hasattr(found, "select_columns") else None


def check_columns(loaders: Sequence[Any], names: Sequence[str]) -> None:
    """Find out before the first batch whether the columns are there.

    Raises:
        ConfigError: no loader's dataset has one of them.
    """
    datasets = [found for loader in loaders if (found := dataset_of(loader)) is not None]
    for name in names if datasets else ():
        if not any(name in dataset.column_names for dataset in datasets):
            known = [column for dataset in datasets for column in dataset.column_names]
            message = f"the data has no column {name!r} to record"
            raise ConfigError(message, where=SETTING, hint=did_you_mean(name, known))


def add_columns(
    recorder: EvalRecorder, parts: Mapping[int, LoaderRows], loaders: Sequence[Any], names: Sequence[str]
) -> None:
    """Add columns of the dataset to the rows that this process has recorded.

    A row of which it is not known what it is of has None there; a column that the executor has recorded itself stays.

    Args:
        recorder: of this process, in the order in which it was recorded.
        parts: by the number of the loader, what was recorded of it.
        loaders: in their order.
        names: of the columns.
    """
    for name in names:
        if name in recorder:
            continue
        found: list[tuple[np.ndarray, pa.ChunkedArray]] = []
        pictures: dict[int, Any] = {}
        for number, part in parts.items():
            dataset = dataset_of(loaders[number]) if number < len(loaders) else None
            if dataset is None or name not in dataset.column_names or not part.fetched:
                continue
            if type((dataset.features or {}).get(name)).__name__ == "Image":
                pictures.update(_pictures(dataset, name, part))
                continue
            rows = dataset.select_columns([name]).select(part.fetched).with_format("arrow")[:]
            found.append((np.asarray(part.recorded), rows.column(name)))
        if pictures:
            recorder.set_sample_logs_column(name, [pictures.get(row) for row in range(len(recorder))])
        elif found:
            recorder.set_sample_logs_column(name, _placed(found, len(recorder), name))


def _pictures(dataset: Any, name: str, part: LoaderRows) -> dict[int, Any]:
    """{row of the recorder: its picture}."""
    rows = dataset.select_columns([name]).select(part.fetched)
    return {int(place): rows[at][name] for at, place in enumerate(part.recorded)}


def _placed(found: list[tuple[np.ndarray, pa.ChunkedArray]], count: int, name: str) -> Any:
    """The values at their rows of the recorder, None at the others."""
    import pyarrow as pa

    kinds = {str(values.type) for _, values in found}
    if len(kinds) > 1:
        warning(f"{name!r} is recorded of the first loader only: its type is {' and '.join(sorted(kinds))}", once=True)
        found = found[:1]
    place = np.full(count, -1, dtype=np.int64)
    start = 0
    for rows, _ in found:
        place[rows] = np.arange(start, start + len(rows))
        start += len(rows)
    whole = pa.chunked_array([chunk for _, values in found for chunk in values.chunks], found[0][1].type)
    return whole.take(pa.array(place, mask=place < 0))
