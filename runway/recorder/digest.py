"""A digest of a table's content: the same for the same values, however they were batched, spilled or stored."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from runway.recorder.table import SampleTable


def digest(table: SampleTable) -> str:
    """A hexadecimal digest over the columns, their names, order and types."""
    whole = hashlib.blake2b(digest_size=16)
    whole.update(f"{table.rows}".encode())
    for name, column in table.columns.items():
        form = column.form()
        streams: dict[str, Any] = defaultdict(lambda: hashlib.blake2b(digest_size=16))
        for array in column.arrays(table.rows, form):
            _feed(array, "", streams)
        whole.update(repr((name, form[0], _type_name(form[1]))).encode())
        for path in sorted(streams):
            whole.update(path.encode() + b"\0" + streams[path].digest())
    return whole.hexdigest()


def _type_name(kind: pa.DataType) -> str:
    """The type without the names of list items, which differ between Arrow and parquet."""
    if pa.types.is_list(kind):
        return f"list<{_type_name(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return str([(field.name, _type_name(field.type)) for field in kind])
    return str(kind)


def _feed(array: pa.Array, path: str, streams: dict[str, Any]) -> None:
    """Feed an array's parts to the hash of each; joined over pieces a part gives the same bytes however it is cut."""
    kind = array.type
    streams[f"{path}/valid"].update(_bytes(array.is_valid().cast(pa.uint8())))
    if pa.types.is_null(kind):
        return
    if pa.types.is_list(kind):
        streams[f"{path}/length"].update(_bytes(pc.fill_null(pc.list_value_length(array), 0)))
        _feed(array.flatten(), f"{path}/item", streams)
    elif pa.types.is_struct(kind):
        for index, part in enumerate(array.flatten()):  # a missing struct's fields are missing
            _feed(part, f"{path}/{kind.field(index).name}", streams)
    elif pa.types.is_string(kind) or pa.types.is_binary(kind):
        present = array.drop_null()
        streams[f"{path}/length"].update(_bytes(pc.binary_length(present)))
        streams[f"{path}/data"].update(_text_bytes(present))
    else:
        present = array.drop_null()
        streams[f"{path}/data"].update(_bytes(present.cast(pa.uint8()) if pa.types.is_boolean(kind) else present))


def _bytes(array: pa.Array) -> memoryview:
    """The values' bytes of an array of fixed width without missing values."""
    width = array.type.bit_width // 8
    buffer = array.buffers()[1]
    if buffer is None:
        return memoryview(b"")
    return memoryview(buffer)[array.offset * width : (array.offset + len(array)) * width]


def _text_bytes(array: pa.Array) -> memoryview:
    """All texts' bytes, one after the other."""
    _, offsets, data = array.buffers()
    if not len(array) or data is None:
        return memoryview(b"")
    ends = pa.Array.from_buffers(pa.int32(), len(array) + 1, [None, offsets], offset=array.offset)
    return memoryview(data)[ends[0].as_py() : ends[len(array)].as_py()]
