"""Plain values as Arrow arrays and back, without losing anything.

The type of an array says what its values are. Arrow's large types, which no logged value gets, stand for what it has no
type for: ``JSON`` for values without a common type, each as JSON text; ``PNG``, and lists of it, for images.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import pyarrow as pa

from runway.recorder.plain import Png, as_numpy, from_json, is_array, show_images, to_json

JSON, PNG = pa.large_string(), pa.large_binary()
IMAGES = (PNG, pa.list_(PNG))

_SCALAR_TYPES = {
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    bytes: pa.binary(),
    Png: PNG,
}
_MOST_VALUES = 2**30  # in one list array, whose offsets have 32 bits


def encode(values: list) -> pa.ChunkedArray:
    """Plain values as Arrow (nearly always in one chunk)."""
    kind = _type_of(values)
    try:
        made = _json(values) if kind is None else pa.array(values, kind)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):  # an int of over 64 bits, half a surrogate pair
        made = _json(values)
    return made if isinstance(made, pa.ChunkedArray) else pa.chunked_array([made])


def _type_of(values: list, depth: int = 0) -> pa.DataType | None:
    """The type that gives these values back as they are, apart from 1 == 1.0."""
    kinds = set(map(type, values)) - {type(None)}
    if len(kinds) != 1:
        return pa.float64() if kinds == {int, float} else None if kinds else pa.null()
    kind = kinds.pop()
    if kind is list:
        inner = _type_of(list(chain.from_iterable(value for value in values if value is not None)), depth + 1)
        return None if inner is None else pa.list_(inner)
    if kind is dict:
        dicts = [value for value in values if value is not None]
        keys = dicts[0].keys()
        if not keys or any(type(key) is not str for key in keys) or any(value.keys() != keys for value in dicts):
            return None
        fields = {key: _type_of([value[key] for value in dicts], depth + 2) for key in keys}
        return None if None in fields.values() else pa.struct(fields)
    return None if kind is Png and depth > 1 else _SCALAR_TYPES[kind]


def _json(values: list) -> pa.Array | pa.ChunkedArray:
    return pa.array([None if value is None else to_json(value) for value in values], JSON)


def encode_array(values: Any) -> pa.ChunkedArray | None:
    """A batch given as a tensor, a numpy array or an Arrow array, without going through Python values.

    Args:
        values: [rows, ...].

    Returns:
        The values, sharing no memory with what is given; None where they must be taken one by one.
    """
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return pa.chunked_array(values) if _storable(values.type) else None
    if not is_array(values):
        return None
    array = as_numpy(values)
    if array.ndim == 0 or array.dtype.kind not in "biuf" or array.dtype.itemsize > 8 or not array.dtype.isnative:
        return None
    if not 0 < array.size <= _MOST_VALUES or type(array).__name__ == "MaskedArray":
        return None
    nested = pa.array(array.reshape(-1).copy())
    for size in reversed(array.shape[1:]):
        fixed = pa.FixedSizeListArray.from_arrays(nested, size)
        nested = fixed.cast(pa.list_(nested.type))
    return pa.chunked_array([nested])


def _storable(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind):
        return _storable(kind.value_type)
    if pa.types.is_struct(kind):
        return kind.num_fields > 0 and all(_storable(field.type) for field in kind)
    return kind in (pa.null(), pa.bool_(), pa.string(), pa.binary()) or _is_number(kind)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def common_type(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    """The type for the values of both, or None; Arrow's cast to it refuses a number that it does not hold exactly."""
    if left == right or pa.types.is_null(right):
        return left
    if pa.types.is_null(left):
        return right
    if pa.types.is_list(left) and pa.types.is_list(right):
        inner = common_type(left.value_type, right.value_type)
        return None if inner is None else pa.list_(inner)
    if pa.types.is_struct(left) and pa.types.is_struct(right):
        if [field.name for field in left] != [field.name for field in right]:
            return None
        inners = {field.name: common_type(field.type, other.type) for field, other in zip(left, right, strict=True)}
        return None if None in inners.values() else pa.struct(inners)
    if not (_is_number(left) and _is_number(right)):
        return None
    wider = left if left.bit_width > right.bit_width else right
    if pa.types.is_floating(left) != pa.types.is_floating(right):
        return pa.float64()
    same_sign = pa.types.is_floating(left) or pa.types.is_signed_integer(left) == pa.types.is_signed_integer(right)
    return wider if same_sign else pa.int64()


def convert(array: pa.Array, target: pa.DataType) -> pa.Array:
    """A piece in the type of its whole column.

    Raises:
        ArrowInvalid: the type does not hold a value exactly.
    """
    if array.type == target:
        return array
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), target)
    if target == JSON:
        return _json(stored_values(array))
    return cast(array, target)


def cast(array: Any, target: pa.DataType) -> Any:
    """Arrow's cast of an array; by way of Python's values where these are lists of None (see ``_has_null_lists``)."""
    if array.type == target:
        return array
    if _has_null_lists(target):
        made = pa.array(array.to_pylist(), target)
        return pa.chunked_array([made]) if isinstance(array, pa.ChunkedArray) else made
    return array.cast(target)


def cast_table(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table in the types of a schema of the same names."""
    columns = [cast(column, field.type) for column, field in zip(table.columns, schema, strict=True)]
    return pa.Table.from_arrays(columns, schema=schema)


def _has_null_lists(kind: pa.DataType) -> bool:
    """Whether there are lists of Arrow's null type in it: its cast (pyarrow 26) takes the lists' number for theirs."""
    if pa.types.is_list(kind):
        return pa.types.is_null(kind.value_type) or _has_null_lists(kind.value_type)
    return pa.types.is_struct(kind) and any(_has_null_lists(field.type) for field in kind)


def stored_values(array: pa.Array | pa.ChunkedArray) -> list:
    """Plain values, images as Png."""
    values = array.to_pylist()
    if array.type == JSON:
        return [None if value is None else from_json(value) for value in values]
    if array.type in IMAGES:
        return [_png(value) for value in values]
    return values


def _png(value: Any) -> Any:
    if isinstance(value, list):
        return [_png(item) for item in value]
    return None if value is None else Png(value)


def python_values(array: pa.Array | pa.ChunkedArray) -> list:
    """Values as a user gets them, images as PIL images."""
    values = stored_values(array)
    return [show_images(value) for value in values] if array.type in (JSON, *IMAGES) else values
