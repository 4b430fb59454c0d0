"""How a recorder's table is written to one file and read back, format by format; never all rows at once.

A file knows no type for JSON text and for images: they are Arrow text and binary there, and a note says what they are.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from runway.errors import DataError, damage_told_as
from runway.recorder.columns import Piece
from runway.recorder.encoding import IMAGES, JSON, PNG, cast, cast_table, stored_values
from runway.recorder.plain import from_json, to_json, untagged
from runway.recorder.table import SampleTable

PLAIN, MIXED, IMAGE = "plain", "mixed", "image"
_KINDS = {JSON: MIXED, **dict.fromkeys(IMAGES, IMAGE)}
_FILE_TYPES = {JSON: pa.string(), PNG: pa.binary(), pa.list_(PNG): pa.list_(pa.binary())}


def column_notes(table: SampleTable) -> dict[str, dict[str, str]]:
    """What a reader must know of each column: its kind and its type in the file."""
    types = {name: column.type() for name, column in table.columns.items()}
    return {
        name: {"kind": _KINDS.get(type_, PLAIN), "type": str(_FILE_TYPES.get(type_, type_))}
        for name, type_ in types.items()
    }


def schema_of(table: SampleTable) -> pa.Schema:
    """The schema for others; a column that is not plain says so in its field's metadata."""
    types = {name: column.type() for name, column in table.columns.items()}
    return pa.schema(
        pa.field(name, _FILE_TYPES.get(type_, type_), metadata={"runway": _KINDS[type_]} if type_ in _KINDS else None)
        for name, type_ in types.items()
    )


def write_parquet(target: Path | pa.NativeFile, table: SampleTable, header: dict) -> None:
    """One file that holds everything: the header is in its metadata."""
    import pyarrow.parquet as pq

    schema = schema_of(table).with_metadata({"runway": to_json(header)})
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for batch in table.batches():
            writer.write_table(cast_table(batch, schema))


def read_parquet(source: Path | pa.NativeFile, header: dict) -> tuple[SampleTable, dict]:
    """Opens the file only: each column is read when it is used."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(source)
    text = (file.schema_arrow.metadata or {}).get(b"runway")
    header = from_json(text.decode()) if text else {}
    table = SampleTable()
    groups = [file.metadata.row_group(index) for index in range(file.num_row_groups)]
    table.rows = sum(group.num_rows for group in groups)
    if table.rows != file.metadata.num_rows or any(group.num_rows < 0 for group in groups):
        raise DataError(f"the file says that it has {file.metadata.num_rows} rows, but has {table.rows}")
    for field in file.schema_arrow:
        kind = (field.metadata or {}).get(b"runway", b"").decode()
        marked = (own for own, as_kind in _KINDS.items() if kind == as_kind and _FILE_TYPES[own] == field.type)
        type_ = next(marked, field.type)
        pieces = [
            Piece(
                rows=group.num_rows,
                type=type_,
                nbytes=_column_bytes(group, field.name),
                source=partial(_load, file, str(source), index, field.name, type_, group.num_rows),
            )
            for index, group in enumerate(groups)
        ]
        table.add_column(field.name, pieces)
    return table, header


def _column_bytes(group: Any, name: str) -> int:
    leaves = [group.column(index) for index in range(group.num_columns)]
    return sum(leaf.total_uncompressed_size for leaf in leaves if f"{leaf.path_in_schema}.".startswith(f"{name}."))


def _load(file: Any, path: str, row_group: int, name: str, type_: pa.DataType, rows: int) -> pa.Array:
    """A column of a row group, decoded anew each time; the open file stays readable when it is replaced."""
    hint = "the file is damaged; write the recorder again"
    with damage_told_as(DataError, f"column {name!r} cannot be read", where=path, hint=hint):
        column = cast(file.read_row_group(row_group, columns=[name], use_threads=False).column(name), type_)
        if len(column) != rows:
            raise DataError(f"column {name!r} has {len(column)} values in the place of {rows}", hint=hint)
        return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def write_json(path: Path, table: SampleTable, header: dict) -> None:
    """An object of columns, each a list of all its values."""
    with path.open("w", encoding="utf-8") as file:
        file.write("{")
        for index, (name, column) in enumerate(table.columns.items()):
            file.write((",\n" if index else "\n") + to_json(name) + ": [")
            separator = ""
            for array in column.arrays(table.rows):
                if len(array):
                    file.write(separator + to_json(stored_values(array))[1:-1])
                    separator = ", "
            file.write("]")
        file.write("\n}\n")


def read_json(path: Path, header: dict) -> tuple[SampleTable, dict]:
    """Takes the whole file into memory; parquet is the format for many rows."""
    with path.open(encoding="utf-8") as file:
        columns = json.load(file)  # whose own names are no tags
    if not isinstance(columns, Mapping) or not all(isinstance(values, list) for values in columns.values()):
        raise DataError("a recorder's json must be an object of lists, one for each column", where=str(path))
    table = SampleTable()
    table.write({name: untagged(values) for name, values in columns.items()})
    return table, header


def write_csv(target: Path | IO[bytes], table: SampleTable, header: dict) -> None:
    """Text, numbers and truth values as they are, all else as JSON text; None is an empty cell, "" a quoted one."""
    import pyarrow.csv as pc

    cells = {name: _cell_type(note) for name, note in column_notes(table).items()}
    schema = pa.schema([(name, type_ or pa.string()) for name, type_ in cells.items()])
    with pc.CSVWriter(str(target) if isinstance(target, Path) else target, schema) as writer:
        for batch in table.batches():
            columns = [_cells(batch.column(name), cells[name]) for name in schema.names]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def _cell_type(note: dict[str, str]) -> pa.DataType | None:
    """The type of a csv's cells, None where they hold JSON text."""
    name = note["type"]
    if note["kind"] != PLAIN:
        return pa.string() if (note["kind"], name) == (IMAGE, "binary") else None  # an image's path
    if name in ("halffloat", "float", "double"):
        return pa.float64()
    if name.startswith(("int", "uint")):
        return pa.uint64() if name == "uint64" else pa.int64()
    return {"bool": pa.bool_(), "string": pa.string()}.get(name)


def _cells(column: pa.ChunkedArray, type_: pa.DataType | None) -> pa.ChunkedArray:
    if type_ is not None or column.type == JSON:
        return cast(column, type_ or pa.string())
    texts = [None if value is None else to_json(value) for value in column.to_pylist()]
    return pa.chunked_array([pa.array(texts, pa.string())])


def read_csv(path: Path, header: dict) -> tuple[SampleTable, dict]:
    """Reads block by block; without the notes of ``save_to_disk`` the types are guessed."""
    import pyarrow.csv as pc

    table = SampleTable()
    if header.get("columns") == {}:
        return table, header
    cells = {name: _cell_type(note) for name, note in header.get("columns", {}).items()}
    reader = pc.open_csv(
        path,
        read_options=pc.ReadOptions(block_size=min(max(path.stat().st_size, 1 << 20), 64 << 20)),
        parse_options=pc.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=pc.ConvertOptions(
            column_types={name: type_ or pa.string() for name, type_ in cells.items()},
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        ),
    )
    table.write({name: [] for name in reader.schema.names})  # where there are no rows
    for batch in reader:
        columns = {name: batch.column(name) for name in batch.schema.names}
        for name, column in columns.items():
            if cells.get(name, column.type) is None:
                columns[name] = [None if text is None else from_json(text) for text in column.to_pylist()]
        table.write(columns)
    return table, header


def write_pickle(path: Path, table: SampleTable, header: dict) -> None:
    """Plain values only, so that nothing is executed when it is read; mixed columns as JSON text."""
    columns = {}
    for name, column in table.columns.items():
        values = [value for array in column.arrays(table.rows) for value in stored_values(array)]
        columns[name] = to_json(values) if column.type() == JSON else values
    with path.open("wb") as file:
        pickle.dump({"runway_recorder": to_json(header), "columns": columns}, file, protocol=4)


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
        found = _PlainUnpickler(file).load()
    _must_be_a_tree(found, path)
    header = found["runway_recorder"]
    header = from_json(header) if isinstance(header, str) else header  # plain values in files of before
    columns = {
        name: from_json(values) if header["columns"][name]["kind"] == MIXED else values
        for name, values in found["columns"].items()
    }
    table = SampleTable()
    table.write(columns)
    return table, header


def _must_be_a_tree(found: Any, path: Path) -> None:
    """Raise where a list or dict stands in two places: some bytes of pickle can unfold to more than any memory so."""
    seen: set[int] = set()
    waiting = [found]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list | dict | tuple):
            if id(value) in seen and value:
                raise DataError(
                    "the pickle holds one list or dict in two places, as none of ours does", where=str(path)
                )
            seen.add(id(value))
            waiting.extend(value.values() if isinstance(value, dict) else value)


Write = Callable[[Path, SampleTable, dict], None]
"""Takes the path, a table without images and a header of plain values."""
Read = Callable[[Path, dict], tuple[SampleTable, dict]]
"""Takes the path and the header, which is empty where the file holds its own; gives the table and the header."""

FORMATS: dict[str, tuple[Write, Read]] = {
    "parquet": (write_parquet, read_parquet),
    "json": (write_json, read_json),
    "csv": (write_csv, read_csv),
    "pkl": (write_pickle, read_pickle),
}
