"""How a recorder's samples are written to one file and read back, format by format; never all rows at once."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from runway.errors import DataError
from runway.recorder.encoding import IMAGE, MIXED, PLAIN, stored_values
from runway.recorder.pieces import InParquet, Piece
from runway.recorder.plain import from_json, to_json, untag
from runway.recorder.table import SampleTable, field, kind_of

StoreImage = Callable[[bytes, str, str], str]
"""Takes an image's PNG content, its column and its place there; gives the text that stands for it in a file."""


class Samples:
    """A table on its way to a file: its images may become paths.

    Args:
        table: what is to be written.
        store: what writes an image; None keeps images inside as binary.
    """

    def __init__(self, table: SampleTable, store: StoreImage | None = None) -> None:
        self.table = table
        self.forms = table.forms()
        self._store = store

    def column_notes(self) -> dict[str, dict[str, str]]:
        """What a reader must know of each column."""
        return {name: {"kind": kind, "type": str(type_)} for name, (kind, type_) in self.forms.items()}

    def schema(self) -> pa.Schema:
        """The schema of what is written."""
        forms = self.forms.items()
        return pa.schema([field(name, kind, self._file_type(kind, type_)) for name, (kind, type_) in forms])

    def _file_type(self, kind: str, type_: pa.DataType) -> pa.DataType:
        if kind != IMAGE or self._store is None:
            return type_
        return pa.list_(pa.string()) if pa.types.is_list(type_) else pa.string()

    def batches(self) -> Iterator[pa.Table]:
        """The rows, a bounded number at a time."""
        schema = self.schema()
        first = 0
        for batch in self.table.batches():
            arrays = [self._to_file(name, batch.column(name), first) for name in schema.names]
            yield pa.Table.from_arrays(arrays, schema=schema)
            first += batch.num_rows

    def _to_file(self, name: str, column: pa.ChunkedArray, first: int) -> pa.ChunkedArray:
        kind, type_ = self.forms[name]
        if kind != IMAGE or self._store is None:
            return column
        paths = [self._path(value, name, f"{first + row}") for row, value in enumerate(column.to_pylist())]
        return pa.chunked_array([pa.array(paths, self._file_type(kind, type_))])

    def _path(self, value: Any, name: str, place: str) -> Any:
        if value is None or self._store is None:
            return None
        if isinstance(value, list):
            return [self._path(item, name, f"{place}-{index}") for index, item in enumerate(value)]
        return self._store(value, name, place)

    def column_values(self, name: str) -> Iterator[list]:
        """A column's values as they stand in a json file, a piece at a time."""
        first = 0
        for array in self.table.columns[name].arrays(self.table.rows, self.forms[name]):
            kind = self.forms[name][0]
            if kind == IMAGE:
                yield self._to_file(name, pa.chunked_array([array]), first).to_pylist()
            else:
                yield stored_values(array, kind)
            first += len(array)


def write_parquet(path: Path, samples: Samples, header: dict) -> None:
    """One file that holds everything: the header is in its metadata."""
    import pyarrow.parquet as pq

    schema = samples.schema().with_metadata({"runway": to_json(header)})
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in samples.batches():
            writer.write_table(batch.replace_schema_metadata(schema.metadata))


def read_parquet(path: Path, header: dict) -> tuple[SampleTable, dict]:
    """Opens the file only: each column is read when it is used."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    schema = file.schema_arrow
    text = (schema.metadata or {}).get(b"runway")
    header = from_json(text.decode()) if text else {}
    columns: dict[str, list[Piece]] = {name: [] for name in schema.names}
    for row_group in range(file.num_row_groups):
        group = file.metadata.row_group(row_group)
        leaves = [group.column(index) for index in range(group.num_columns)]
        for found in schema:
            own = [leaf for leaf in leaves if (leaf.path_in_schema + ".").startswith(found.name + ".")]
            kind = kind_of(found)
            if kind == IMAGE and not pa.types.is_binary(getattr(found.type, "value_type", found.type)):
                kind = PLAIN  # paths
            columns[found.name].append(
                Piece(
                    rows=group.num_rows,
                    kind=kind,
                    type=found.type,
                    wide=any(map(_may_be_wide, own)),
                    nbytes=sum(leaf.total_uncompressed_size for leaf in own),
                    source=InParquet(file, str(path), row_group, found.name),
                )
            )
    table = SampleTable()
    table.add_pieces(columns, file.metadata.num_rows if columns else header.get("rows", 0))
    return table, header


def _may_be_wide(leaf: Any) -> bool:
    if leaf.physical_type != "INT64":
        return False
    statistics = leaf.statistics
    if statistics is None or not statistics.has_min_max:
        return True
    return statistics.min < -(2**53) or statistics.max > 2**53


def write_json(path: Path, samples: Samples, header: dict) -> None:
    """An object of columns, each a list of all its values."""
    with path.open("w", encoding="utf-8") as file:
        file.write("{")
        for index, name in enumerate(samples.forms):
            file.write((",\n" if index else "\n") + to_json(name) + ": [")
            separator = ""
            for values in samples.column_values(name):
                if values:
                    file.write(separator + to_json(values)[1:-1])
                    separator = ", "
            file.write("]")
        file.write("\n}\n")


def read_json(path: Path, header: dict) -> tuple[SampleTable, dict]:
    """Takes the whole file into memory; parquet is the format for many rows."""
    with path.open(encoding="utf-8") as file:
        columns = json.load(file, object_hook=untag)
    if not isinstance(columns, Mapping) or not all(isinstance(values, list) for values in columns.values()):
        raise DataError("a recorder's json must be an object of lists, one for each column", where=str(path))
    table = SampleTable()
    table.write(columns)
    table.rewind()
    if not columns:
        table.rows = header.get("rows", 0)
    return table, header


def write_csv(path: Path | IO[bytes], samples: Samples, header: dict) -> None:
    """Text, numbers and truth values as they are, all else as JSON text; None is an empty cell, "" a quoted one."""
    import pyarrow.csv as pc

    raw = {name: _raw_type(kind, str(type_)) for name, (kind, type_) in samples.forms.items()}
    schema = pa.schema([(name, type_ or pa.string()) for name, type_ in raw.items()])
    target = str(path) if isinstance(path, Path) else path
    with pc.CSVWriter(target, schema) as writer:
        for batch in samples.batches():
            arrays = [_cells(batch.column(name), samples.forms[name][0], raw[name]) for name in schema.names]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _raw_type(kind: str, type_name: str) -> pa.DataType | None:
    """The type of a csv's cells, None where they hold JSON text."""
    if kind != PLAIN:
        return pa.string() if type_name == "binary" and kind == IMAGE else None
    if type_name in ("halffloat", "float", "double"):
        return pa.float64()
    if type_name.startswith(("int", "uint")):
        return pa.uint64() if type_name == "uint64" else pa.int64()
    return {"bool": pa.bool_(), "string": pa.string()}.get(type_name)


def _cells(column: pa.ChunkedArray, kind: str, raw: pa.DataType | None) -> pa.ChunkedArray:
    if raw is not None:
        return column.cast(raw)
    if kind == MIXED:
        return column
    values = [None if value is None else to_json(value) for value in column.to_pylist()]
    return pa.chunked_array([pa.array(values, pa.string())])


def read_csv(path: Path, header: dict) -> tuple[SampleTable, dict]:
    """Reads block by block; without the notes of ``save_to_disk`` the types are guessed."""
    import pyarrow.csv as pc

    raw = {name: _raw_type(note["kind"], note["type"]) for name, note in header.get("columns", {}).items()}
    table = SampleTable()
    if header.get("columns") == {}:
        table.rows = header["rows"]
        return table, header
    reader = pc.open_csv(
        path,
        read_options=pc.ReadOptions(block_size=min(max(path.stat().st_size, 1 << 20), 64 << 20)),
        parse_options=pc.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=pc.ConvertOptions(
            column_types={name: type_ or pa.string() for name, type_ in raw.items()},
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        ),
    )
    for batch in reader:
        columns = {name: batch.column(name) for name in batch.schema.names}
        for name, column in columns.items():
            if name in raw and raw[name] is None:
                columns[name] = [None if text is None else from_json(text) for text in column.to_pylist()]
        table.write(columns)
    for name in reader.schema.names:
        if name not in table.columns:  # no rows
            table.set_column(name, [])
    table.rewind()
    return table, header


def write_pickle(path: Path, samples: Samples, header: dict) -> None:
    """Plain values only, so that nothing is executed when it is read."""
    columns = {name: [value for part in samples.column_values(name) for value in part] for name in samples.forms}
    values = {name: to_json(column) if samples.forms[name][0] == MIXED else column for name, column in columns.items()}
    with path.open("wb") as file:
        pickle.dump({"runway_recorder": header, "columns": values}, file, protocol=4)


class _PlainUnpickler(pickle.Unpickler):
    """Refuses every class and function: a pickle of plain values needs none."""

    def find_class(self, module: str, name: str) -> Any:
        raise DataError(
            f"the pickle holds an object of {module}.{name}; only files that save_to_disk wrote are loaded",
            hint="a pickle can run any code; save the recorder as parquet or json",
        )


def read_pickle(path: Path, header: dict) -> tuple[SampleTable, dict]:
    """Reads a file of ``write_pickle`` and nothing else."""
    with path.open("rb") as file:
        try:
            found = _PlainUnpickler(io.BufferedReader(file)).load()
        except (pickle.UnpicklingError, EOFError, IndexError, UnicodeDecodeError) as error:
            raise DataError(f"the pickle is damaged: {error}", where=str(path)) from error
    header = found["runway_recorder"]
    notes = header["columns"]
    table = SampleTable()
    mixed = {name: from_json(text) for name, text in found["columns"].items() if notes[name]["kind"] == MIXED}
    table.write({**found["columns"], **mixed})
    table.rewind()
    if not notes:
        table.rows = header["rows"]
    return table, header
