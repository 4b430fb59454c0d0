"""Reads Parquet and Arrow files, whose columns have types, and brings those that HF datasets lacks into its form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from runway.log import info

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

    from runway.transforms.loading.readers.source import DataFile

_ROWS_AT_A_TIME = 65536


def read_parquet(file: DataFile) -> Iterator[pa.Table]:
    """The rows of a Parquet file; of the columns only those that are wanted are read."""
    import pyarrow as pa
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(file.path, memory_map=True) as opened:
        schema = opened.schema_arrow
        wanted = file.wanted(schema.names)
        kept = pa.schema([schema.field(name) for name in wanted], schema.metadata)
        yield _in_hf_form(kept.empty_table(), file)
        if file.limit == 0:
            return
        size = min(file.limit or _ROWS_AT_A_TIME, _ROWS_AT_A_TIME)
        for batch in opened.iter_batches(size, columns=wanted if file.fields else None):
            table = pa.Table.from_batches([batch]).select(wanted)
            yield _in_hf_form(table.replace_schema_metadata(schema.metadata), file)


def read_arrow(file: DataFile) -> Iterator[pa.Table]:
    """The rows of an Arrow file, in its stream or its file form."""
    import pyarrow as pa

    with pa.memory_map(str(file.path)) as source:
        try:
            stream = pa.ipc.open_stream(source)
            schema, batches = stream.schema, iter(stream)
        except pa.ArrowInvalid:
            opened = pa.ipc.open_file(source)
            schema = opened.schema
            batches = (opened.get_batch(index) for index in range(opened.num_record_batches))
        wanted = file.wanted(schema.names)
        yield _in_hf_form(schema.empty_table().select(wanted), file)
        for batch in batches if file.limit != 0 else ():
            yield _in_hf_form(pa.Table.from_batches([batch]).select(wanted), file)


def map_arrow(file: DataFile) -> Dataset | None:
    """The rows as they lie, memory-mapped; None where they are to be read: the file form, or types that HF lacks.

    Raises:
        DataError: the file is no Arrow file.
    """
    import pyarrow as pa
    from datasets import Dataset

    with pa.memory_map(str(file.path)) as source:
        try:
            schema = pa.ipc.open_stream(source).schema
        except pa.ArrowInvalid:
            return None
    if _unknown_to_hf(schema) or len(set(schema.names)) < len(schema):
        return None
    return Dataset.from_file(str(file.path))


def _in_hf_form(table: pa.Table, file: DataFile) -> pa.Table:
    """The table with lists of ``{key, value}`` for maps.

    Raises:
        DataError: HF datasets has no type for a column.
    """
    import pyarrow as pa

    maps = [field.name for field in table.schema if _has_map(field.type)]
    for name in maps:
        index = table.schema.get_field_index(name)
        plain = pa.chunked_array(
            [_without_maps(chunk) for chunk in table.column(index).chunks], _plain(table.field(index).type)
        )
        table = table.set_column(index, name, plain)
    if table.num_rows:
        return table
    if maps:
        info(f"{file.place}: maps become lists of {{key, value}}: {', '.join(maps)}")
    unknown = _unknown_to_hf(table.schema)
    if unknown is not None:
        others = [name for name in table.column_names if name != unknown.name]
        problem = f"has the column {unknown.name!r} of the type {unknown.type}, which HF datasets does not have"
        raise file.broken(problem, f"leave it out: fields: {others}")
    return table


def _unknown_to_hf(schema: pa.Schema) -> pa.Field | None:
    """The first field of a type that HF datasets does not have."""
    import pyarrow as pa
    from datasets import Features

    for field in schema:
        try:
            Features.from_arrow_schema(pa.schema([field]))
        except (ValueError, KeyError, TypeError):
            return field
    return None


def _has_map(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return False
    return pa.types.is_map(kind) or any(_has_map(kind.field(index).type) for index in range(kind.num_fields))


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type with a list of structs for each map."""
    import pyarrow as pa

    if not _has_map(kind):
        return kind
    if pa.types.is_map(kind):
        return pa.list_(pa.struct([("key", _plain(kind.key_type)), ("value", _plain(kind.item_type))]))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _plain(field.type)) for field in kind])
    make = pa.large_list if pa.types.is_large_list(kind) else pa.list_
    return make(_plain(kind.value_type))


def _without_maps(values: Any) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.type
    if not _has_map(kind):
        return values
    if pa.types.is_struct(kind):
        parts = [_without_maps(part) for part in values.flatten()]
        return pa.StructArray.from_arrays(parts, [field.name for field in kind], mask=pc.is_null(values))
    return pa.array(values.to_pylist(), _plain(kind)) if not pa.types.is_map(kind) else _list_of_pairs(values)


def _list_of_pairs(values: pa.MapArray) -> pa.ListArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    pairs = pa.StructArray.from_arrays([_without_maps(values.keys), _without_maps(values.items)], ["key", "value"])
    return pa.ListArray.from_arrays(values.offsets, pairs, mask=pc.is_null(values) if values.null_count else None)
