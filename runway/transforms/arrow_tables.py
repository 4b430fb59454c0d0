"""Arrow tables on their way in and out of HF datasets, kept out of memory where they are large."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from runway.disk import SpillFile
from runway.errors import DataError

if TYPE_CHECKING:
    import tempfile

    import numpy as np
    import pyarrow as pa
    from datasets import Dataset, Features

IN_MEMORY_BYTES = 256 * 1024**2
"""What is built row by row stays in memory up to this size; beyond it goes to a memory-mapped file."""

_END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"

_scratch: list[tempfile.TemporaryDirectory] = []  # removed when the process ends: datasets may refer to the files


def scratch_folder() -> Path:
    """A new folder for what datasets refer to; it is there until the process ends."""
    import tempfile

    _scratch.append(tempfile.TemporaryDirectory(prefix="runway-", ignore_cleanup_errors=True))
    return Path(_scratch[-1].name)


class TableWriter:
    """Collects tables and gives them as one Dataset; spills to a temporary Arrow file when they grow large.

    Args:
        where: whose work it is, for errors: a node, a setting.
        in_memory_bytes: how much to hold before spilling.
    """

    def __init__(self, where: str, in_memory_bytes: int = IN_MEMORY_BYTES) -> None:
        self.where = where
        self.rows = 0
        self._limit = in_memory_bytes
        self._tables: list[pa.Table] = []
        self._bytes = 0
        self._path: Path | None = None
        self._file: SpillFile | None = None  # an Arrow IPC stream
        self._schema: pa.Schema | None = None  # of what was spilled first

    def add(self, table: pa.Table) -> None:
        """Append the rows of ``table``; its columns must be those of the tables before it.

        Raises:
            DataError: its columns do not fit.
        """
        self.rows += table.num_rows
        self._tables.append(table)
        self._bytes += table.nbytes
        if self._bytes > self._limit:
            self._spill()

    def finish(self) -> Dataset:
        """Everything that was added."""
        from datasets import Dataset

        if self._file is None:
            return dataset_of(self._concatenated())
        self._spill()
        self._file.append(_END_OF_STREAM)
        return Dataset.from_file(str(self._path))

    def _concatenated(self) -> pa.Table:
        import pyarrow as pa

        try:
            return pa.concat_tables(self._tables, promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise self._misfit(error) from error

    def _spill(self) -> None:
        import pyarrow as pa

        if not self._tables:
            return
        table = self._concatenated()
        if self._file is None or self._schema is None:
            self._path = scratch_folder() / "rows.arrow"
            self._file = SpillFile(self._path)
            self._schema = table.schema
            self._file.append(self._schema.serialize())
        try:
            if set(table.column_names) != set(self._schema.names):
                raise ValueError(f"columns {table.column_names} after columns {self._schema.names}")
            table = table.select(self._schema.names).cast(self._schema)
        except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError) as error:
            raise self._misfit(error) from error
        for batch in table.to_batches():
            self._file.append(batch.serialize())
        self._tables, self._bytes = [], 0

    def _misfit(self, error: Exception) -> DataError:
        return DataError(
            f"the parts of the data do not have the same columns and types: {error}",
            where=self.where,
            hint="load the files as separate nodes and bring them into one form before ConcatenateDatasets",
        )


def dataset_of(table: pa.Table, features: Features | None = None) -> Dataset:
    """A Dataset over an Arrow table, without a copy.

    HF would hash the whole table for its fingerprint; here a random one does, for nothing looks it up.
    """
    import uuid

    from datasets import Dataset, DatasetInfo

    return Dataset(table, info=DatasetInfo(features=features), fingerprint=uuid.uuid4().hex[:16])


class Kind(NamedTuple):
    """What a column holds.

    Attributes:
        dtype: its type, for people: ``string``, ``list of int32``, ``ClassLabel(2)``.
        names: of the classes that its numbers stand for.
    """

    dtype: str
    names: list[str] | None = None


class RowTable:
    """Rows with columns as Arrow holds them: a Dataset without the library, for looking at it.

    Args:
        table: the rows.

    Attributes:
        features: {column: what it holds}.
    """

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        written = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}"))
        features = (written.get("info") or {}).get("features") or {}
        self.features = {field.name: _kind_of(field.type, features.get(field.name)) for field in table.schema}

    @property
    def column_names(self) -> list[str]:
        """The columns."""
        return self.table.column_names

    def select_columns(self, names: list[str]) -> RowTable:
        """Some of the columns."""
        return RowTable(self.table.select(names))

    def with_format(self, name: str) -> pa.Table:
        """The rows as they are, which is ``arrow``."""
        return self.table

    def __len__(self) -> int:
        return self.table.num_rows

    def __getitem__(self, row: int) -> dict[str, Any]:
        return self.table.slice(row, 1).to_pylist()[0]


def _kind_of(kind: pa.DataType, feature: Any) -> Kind:
    import pyarrow as pa

    if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and feature.get("names"):
        return Kind(f"ClassLabel({len(feature['names'])})", feature["names"])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return Kind(f"list of {_kind_of(kind.value_type, None).dtype}")
    return Kind(feature["_type"] if isinstance(feature, dict) and "dtype" not in feature else str(kind))


def row_tables(data: Any) -> dict[str, RowTable]:
    """{split: its rows} of data that is rows with columns, or splits of such; {"": its rows} without splits.

    Args:
        data: any node's output: a Dataset, a frame, an Arrow table, a list of dicts, a recorder, or a dict of these.
    """
    table = _as_table(data)
    if table is not None:
        return {"": RowTable(table)}
    if not isinstance(data, Mapping):
        return {}
    found = {str(name): _as_table(part) for name, part in data.items()}
    return {name: RowTable(table) for name, table in found.items() if table is not None}


def is_rows(data: Any) -> bool:
    """Whether it is a Dataset that is no stream and has columns."""
    is_dataset = hasattr(data, "features") and hasattr(data, "select_columns") and not isinstance(data, Mapping)
    return is_dataset and hasattr(data, "__len__") and bool(data.column_names)


def _as_table(data: Any) -> pa.Table | None:
    import pyarrow as pa

    if isinstance(data, pa.Table):
        return data
    if hasattr(data, "get_sample_logs"):
        return data.get_sample_logs("arrow")
    if isinstance(data, RowTable):
        return data.table
    if is_rows(data):
        table = data.with_format("arrow")[:]
        return table.replace_schema_metadata(data.features.arrow_schema.metadata)
    try:
        if hasattr(data, "iloc") and hasattr(data, "columns"):
            return pa.Table.from_pandas(data, preserve_index=False)
        if isinstance(data, list) and data and all(isinstance(row, Mapping) for row in data):
            from runway.transforms.rows_to_dataset import dataset_of_rows

            return dataset_of_rows(data, {}, "the output").data.table
    except (pa.ArrowException, DataError, TypeError, ValueError, OverflowError):  # its columns have no one type
        return None
    return None


def column(dataset: Dataset, name: str) -> pa.ChunkedArray:
    """One column as Arrow, without a copy where the dataset's rows are in their stored order."""
    return dataset.select_columns([name]).with_format("arrow")[:].column(name)


def codes_of(dataset: Dataset, name: str) -> np.ndarray:
    """The values of a column as small integers, equal where the values are; -1 for null. int64, ``[rows]``.

    A NaN is equal to a NaN, and a list or dict to one that holds the same.
    """
    import numpy as np
    import pyarrow as pa

    values = column(dataset, name).combine_chunks()
    try:
        values = values.dictionary_encode()
    except pa.ArrowNotImplementedError:  # lists, dicts
        texts = [None if value is None else repr(value) for value in values.to_pylist()]
        values = pa.array(texts, pa.large_string()).dictionary_encode()
    return values.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)


def lengths(values: pa.ChunkedArray) -> np.ndarray:
    """The number of items of each list, or of characters of each text; 0 for null. int64, ``[rows]``."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    is_text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
    counts = pc.utf8_length(values) if is_text else pc.list_value_length(values)
    return pc.fill_null(counts, 0).to_numpy().astype(np.int64)


def ragged(lists: list[list[int]], dtype: Any) -> pa.ListArray:
    """Python lists of integers as one Arrow list column; far faster than ``pa.array`` of them."""
    from itertools import chain

    import numpy as np
    import pyarrow as pa

    offsets = np.zeros(len(lists) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, lists), dtype=np.int64, count=len(lists)), out=offsets[1:])
    values = np.fromiter(chain.from_iterable(lists), dtype=dtype, count=int(offsets[-1]))
    if offsets[-1] > np.iinfo(np.int32).max:
        return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(values))
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), pa.array(values))
