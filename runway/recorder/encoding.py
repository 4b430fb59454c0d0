"""Plain values as Arrow arrays and back, without losing anything.

A piece of a column is of one of three kinds. ``plain``: an Arrow type of its own. ``image``: PNG files as
binary, one or a list of them to a cell. ``mixed``: values that have no common Arrow type, each as JSON text.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from runway.recorder.plain import SCALARS, Png, as_numpy, from_json, is_array, plain, show_images, to_json

if TYPE_CHECKING:
    import numpy as np

PLAIN, MIXED, IMAGE = "plain", "mixed", "image"

_SCALAR_TYPES = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string(), bytes: pa.binary()}
_EXACT = 2**53  # beyond it a float64 does not hold every integer
_MOST_VALUES = 2**30  # in one list array, whose offsets have 32 bits


def encode(values: list) -> tuple[list[pa.Array], str]:
    """Plain values as Arrow arrays (nearly always one) and their kind."""
    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return [pa.nulls(len(values))], PLAIN
    if kinds == {Png}:
        return _arrays(pa.array(values, pa.binary())), IMAGE
    if kinds == {list} and set(map(type, _flat(values))) == {Png}:
        return _arrays(pa.array(values, pa.list_(pa.binary()))), IMAGE
    kind = kinds.pop() if len(kinds) == 1 else None
    try:
        if kind in _SCALAR_TYPES:
            return _arrays(pa.array(values, _SCALAR_TYPES[kind])), PLAIN
        if _uniform(values):
            return _arrays(pa.array(values)), PLAIN
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):  # an int of over 64 bits, half a surrogate pair
        return _mixed(values), MIXED
    return _mixed(values), MIXED


def _arrays(made: pa.Array | pa.ChunkedArray) -> list[pa.Array]:
    return made.chunks if isinstance(made, pa.ChunkedArray) else [made]


def _mixed(values: Iterable) -> list[pa.Array]:
    return _arrays(pa.array([None if value is None else to_json(value) for value in values], pa.string()))


def _flat(values: list) -> list:
    return list(chain.from_iterable(value for value in values if value is not None))


def _uniform(values: list) -> bool:
    """Whether Arrow's type inference gives these values back as they are, apart from 1 == 1.0."""
    kinds = set(map(type, values)) - {type(None)}
    if len(kinds) > 1:
        return kinds == {int, float}
    kind = next(iter(kinds), None)
    if kind is list:
        return _uniform(_flat(values))
    if kind is dict:
        dicts = [value for value in values if value is not None]
        keys = dicts[0].keys()
        if not keys or any(type(key) is not str for key in keys) or any(value.keys() != keys for value in dicts):
            return False
        return all(_uniform([value[key] for value in dicts]) for key in keys)
    return kind is not Png


def encode_array(values: Any) -> list[pa.Array] | None:
    """A batch given as a tensor, a numpy array or an Arrow array, without going through Python values.

    Args:
        values: [rows, ...].

    Returns:
        The arrays, sharing no memory with ``values``; None where this way is not open and the values must be
        taken one by one.
    """
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return _arrays(values) if _storable(values.type) else None
    if not is_array(values):
        return None
    array = as_numpy(values)
    if array.ndim == 0 or array.dtype.kind not in "biuf" or array.dtype.itemsize > 8 or not array.dtype.isnative:
        return None
    if type(array).__name__ == "MaskedArray":
        return None
    blocks = -(-array.size // _MOST_VALUES) or 1
    step = -(-len(array) // blocks) or 1
    return [_nested(array[start : start + step]) for start in range(0, max(len(array), 1), step)]


def _nested(array: np.ndarray) -> pa.Array:
    import numpy as np

    nested = pa.array(array.reshape(-1).copy())
    for axis in range(array.ndim - 1, 0, -1):
        count = int(np.prod(array.shape[:axis], dtype=np.int64))
        offsets = np.arange(count + 1, dtype=np.int64) * array.shape[axis]
        nested = pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), nested)
    return nested


def _storable(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind):
        return _storable(kind.value_type)
    if pa.types.is_struct(kind):
        return kind.num_fields > 0 and all(_storable(kind.field(index).type) for index in range(kind.num_fields))
    return kind in (pa.null(), pa.bool_(), pa.string(), pa.binary()) or _is_number(kind)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def has_wide_ints(array: pa.Array) -> bool:
    """Whether an integer in ``array``, at any depth, is too large for an exact float64."""
    if pa.types.is_integer(array.type):
        bounds = pc.min_max(array).as_py()
        return bounds["min"] is not None and (bounds["min"] < -_EXACT or bounds["max"] > _EXACT)
    if pa.types.is_list(array.type):
        return has_wide_ints(array.flatten())
    if pa.types.is_struct(array.type):
        return any(has_wide_ints(field) for field in array.flatten())
    return False


def common_type(left: pa.DataType, right: pa.DataType, *, wide: bool) -> pa.DataType | None:
    """The type that holds the values of both exactly, or None.

    Args:
        left: one type.
        right: the other.
        wide: whether integers occur that a float64 does not hold exactly.
    """
    if left == right or pa.types.is_null(right):
        return left
    if pa.types.is_null(left):
        return right
    if pa.types.is_list(left) and pa.types.is_list(right):
        inner = common_type(left.value_type, right.value_type, wide=wide)
        return None if inner is None else pa.list_(inner)
    if pa.types.is_struct(left) and pa.types.is_struct(right):
        names = [left.field(index).name for index in range(left.num_fields)]
        if names != [right.field(index).name for index in range(right.num_fields)]:
            return None
        inners = [common_type(left.field(name).type, right.field(name).type, wide=wide) for name in names]
        return None if None in inners else pa.struct(list(zip(names, inners, strict=True)))
    if not (_is_number(left) and _is_number(right)):
        return None
    if pa.types.is_floating(left) and pa.types.is_floating(right):
        return left if left.bit_width > right.bit_width else right
    if pa.types.is_floating(left) or pa.types.is_floating(right):
        return None if wide else pa.float64()
    if pa.types.is_signed_integer(left) == pa.types.is_signed_integer(right):
        return left if left.bit_width > right.bit_width else right
    unsigned = right if pa.types.is_signed_integer(left) else left
    return None if unsigned.bit_width == 64 else pa.int64()


def convert(array: pa.Array, kind: str, target_kind: str, target: pa.DataType) -> pa.Array:
    """A piece in the form of its whole column (where the two differ)."""
    if kind == target_kind:
        return array if array.type == target else array.cast(target)
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), target)
    return pa.concat_arrays(_mixed(stored_values(array, kind)))


def stored_values(array: pa.Array, kind: str) -> list:
    """A piece's plain values, images as Png."""
    values = array.to_pylist()
    if kind == PLAIN:
        return values
    if kind == MIXED:
        return [None if value is None else from_json(value) for value in values]
    return [_png(value) for value in values]


def _png(value: Any) -> Any:
    if isinstance(value, list):
        return [_png(item) for item in value]
    return None if value is None else Png(value)


def python_values(array: pa.Array, kind: str) -> list:
    """A piece's values as a user gets them, images as PIL images."""
    values = stored_values(array, kind)
    return values if kind == PLAIN else [show_images(value) for value in values]


def take_values(values: Any, place: str) -> list:
    """A batch's values as a list of plain ones; ``place`` is for a warning about odd objects."""
    listed = values.to_pylist() if isinstance(values, pa.Array | pa.ChunkedArray) else values
    if type(listed) is list and SCALARS.issuperset(map(type, listed)):
        return listed
    return [plain(value, place) for value in listed]
