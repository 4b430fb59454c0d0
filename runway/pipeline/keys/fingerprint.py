"""Digests of values: the same for equal content in every process, different for different content.

Every value is encoded as a type tag, a length and a payload, and hashed with BLAKE2b (RFC 7693), 128 bits.
There is no pickle in it and no guess: a value without a known encoding is an error that names its place.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from runway.disk import ArrowDigest
from runway.errors import RunwayError
from runway.pipeline.keys.origin import without_path

DIGEST_BYTES = 16


class Unfingerprintable(RunwayError):
    """A value whose content cannot be told from outside."""

    title = "No stable fingerprint"

    def __init__(self, path: str, value: Any) -> None:
        self.path = path
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        super().__init__(
            f"{path}: no stable fingerprint for a {kind}",
            hint="pass plain data (numbers, text, lists, dicts, arrays), or give the class a __fingerprint__() method",
        )


def digest(value: Any, path: str = "$", on_code: Callable[[Any], str] | None = None) -> str:
    """The digest of a value, as 32 hexadecimal digits.

    Args:
        value: plain data, containers, paths, arrays, tensors, data frames, HF datasets, functions, or an object
            with ``__fingerprint__()``.
        path: where the value stands, for the error.
        on_code: gives the digest of a function or class. With it the value is one that code uses: the order of a
            dict counts too, and so do the classes of its parts, which ``on_code`` is called with.

    Raises:
        Unfingerprintable: a part has no known encoding; the error names its path.
    """
    return _encode(value, path, on_code).hex()


def combine(*parts: str | bytes) -> str:
    """One digest of several texts or bytes, each with its length before it."""
    state = blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        state.update(b"%d:" % len(data))
        state.update(data)
    return state.hexdigest()


def _hash(tag: str, *parts: bytes) -> bytes:
    state = blake2b(digest_size=DIGEST_BYTES)
    name = tag.encode()
    state.update(b"%d:%s%d:" % (len(name), name, len(parts)))
    for part in parts:
        state.update(b"%d:" % len(part))
        state.update(part)
    return state.digest()


def _encode(value: Any, path: str, on_code: Callable[[Any], str] | None) -> bytes:
    if value is None or value is Ellipsis or value is NotImplemented:
        return _hash("singleton", repr(value).encode())
    kind = type(value)
    scalar = _SCALARS.get(kind)
    if scalar is not None:
        return _hash(kind.__name__, scalar(value))
    if on_code is not None:
        if isinstance(value, _CODE) or (callable(value) and hasattr(value, "__wrapped__")):
            return _hash("code", on_code(value).encode())
        on_code(kind)  # the methods of a value count as code
    if hasattr(kind, "__fingerprint__"):
        return _hash(_name(kind), _encode(value.__fingerprint__(), f"{path}.__fingerprint__()", on_code))
    encoder = _find_encoder(value)
    if encoder is None:
        raise Unfingerprintable(path, value)
    tag, parts = encoder(value)
    if on_code is not None and isinstance(value, Mapping):  # code may go through a dict in its order
        parts = [(f"[{key!r}]", part) for key, item in value.items() for part in (key, item)]
    return _hash(tag, *(_encode(part, f"{path}{place}", on_code) for place, part in parts))


_CODE = (type, FunctionType, MethodType, BuiltinFunctionType, staticmethod, classmethod)


_SCALARS: dict[type, Callable[[Any], bytes]] = {
    bool: lambda value: b"1" if value else b"0",
    int: lambda value: b"%d" % value,
    float: lambda value: value.hex().encode(),
    complex: lambda value: f"{value.real.hex()} {value.imag.hex()}".encode(),
    str: lambda value: value.encode("utf-8", "surrogatepass"),
    bytes: bytes,
    bytearray: bytes,
}

Parts = Iterable[tuple[str, Any]]


def _find_encoder(value: Any) -> Callable[[Any], tuple[str, Parts]] | None:
    if isinstance(value, Mapping):
        return _mapping
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return _named_tuple
    if isinstance(value, list | tuple):
        return _sequence
    if isinstance(value, set | frozenset):
        return _set
    if isinstance(value, PurePath):
        return lambda path: ("path", [("", path.as_posix())])
    library = type(value).__module__.partition(".")[0]
    by_library = _LIBRARIES.get(library)
    found = by_library(value) if by_library is not None else None
    if found is not None:
        return found
    if hasattr(type(value), "__dataclass_fields__") and not isinstance(value, type):
        return _dataclass
    if "enum" in sys.modules and isinstance(value, sys.modules["enum"].Enum):
        return lambda member: (_name(type(member)), [(".name", member.name), (".value", member.value)])
    return None


def _name(kind: type) -> str:
    return without_path(f"{kind.__module__}.{kind.__qualname__}")


def _mapping(value: Mapping) -> tuple[str, Parts]:
    # Sorted by the digest of the key, because keys of different types do not compare.
    items = sorted(((_encode(key, "key", None), key) for key in value), key=lambda pair: pair[0])
    parts = [(f"[{key!r}]", part) for _, key in items for part in (key, value[key])]
    return "dict", parts


def _sequence(value: list | tuple) -> tuple[str, Parts]:
    tag = "tuple" if isinstance(value, tuple) else "list"
    return tag, ((f"[{index}]", item) for index, item in enumerate(value))


def _named_tuple(value: Any) -> tuple[str, Parts]:
    return _name(type(value)), [(f".{field}", getattr(value, field)) for field in value._fields]


def _set(value: set | frozenset) -> tuple[str, Parts]:
    tag = "set" if isinstance(value, set) else "frozenset"
    return tag, [("", part) for part in sorted(_encode(item, "element of a set", None) for item in value)]


def _dataclass(value: Any) -> tuple[str, Parts]:
    fields = type(value).__dataclass_fields__
    return _name(type(value)), [(f".{field}", getattr(value, field)) for field in fields]


# Encoders of libraries: looked up by the name of the module that defines the type, so that none is imported here.


def _of_numpy(value: Any) -> Callable | None:
    import numpy

    if isinstance(value, numpy.ma.MaskedArray):
        return lambda array: ("masked array", [(".data", array.filled()), (".mask", numpy.ma.getmaskarray(array))])
    if isinstance(value, numpy.ndarray):
        if value.dtype.hasobject:
            return lambda array: ("object array", [(".shape", list(array.shape)), ("", array.ravel().tolist())])
        return lambda array: (
            "array",
            [(".dtype", _dtype(array.dtype)), (".shape", list(array.shape)), ("", array.tobytes())],
        )
    if isinstance(value, numpy.generic):
        return lambda scalar: ("numpy scalar", [(".dtype", _dtype(scalar.dtype)), ("", scalar.tobytes())])
    if isinstance(value, numpy.dtype):
        return lambda dtype: ("dtype", [("", _dtype(dtype))])
    return None


def _dtype(dtype: Any) -> str:
    """With the byte order, and the names of a record's fields."""
    return repr(dtype) if dtype.names else dtype.str


def _of_torch(value: Any) -> Callable | None:
    import torch

    if isinstance(value, torch.Tensor) and value.layout == torch.strided and not value.is_quantized:
        return _tensor
    if isinstance(value, torch.dtype | torch.device):
        return lambda name: ("torch", [("", str(name))])
    return None


def _tensor(value: Any) -> tuple[str, Parts]:
    import torch

    flat = value.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    data = flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
    return "tensor", [(".dtype", str(value.dtype)), (".shape", list(value.shape)), ("", data)]


def _of_pandas(value: Any) -> Callable | None:
    import pandas

    if isinstance(value, pandas.DataFrame):
        return lambda frame: (
            "data frame",
            [(".index", list(frame.index)), *((f"[{name!r}]", (name, frame[name])) for name in frame)],
        )
    if isinstance(value, pandas.Series):
        return lambda series: (
            "series",
            [(".index", list(series.index)), (".dtype", repr(series.dtype)), ("", series.to_numpy())],
        )
    return None


def _of_datasets(value: Any) -> Callable | None:
    import datasets

    if isinstance(value, datasets.Dataset):
        return lambda dataset: (
            "dataset",
            [(".features", repr(dataset.features)), (".format", str(dataset.format)), ("", _rows_digest(dataset))],
        )
    return None


def _rows_digest(dataset: Any) -> bytes:
    """Of the rows as they are seen, through any selection of them."""
    rows = ArrowDigest()
    for table in dataset.with_format("arrow").iter(batch_size=1000):
        for name in table.column_names:
            rows.add(name, table.column(name))
    return rows.digest()


def _of_datetime(value: Any) -> Callable | None:
    return lambda moment: (_name(type(moment)), [("", repr(moment))])


def _of_functools(value: Any) -> Callable | None:
    if type(value).__name__ == "partial":
        return lambda partial: (
            "partial",
            [(".func", partial.func), (".args", list(partial.args)), (".keywords", dict(partial.keywords))],
        )
    return None


def _of_re(value: Any) -> Callable | None:
    if type(value).__name__ == "Pattern":
        return lambda pattern: ("pattern", [("", pattern.pattern), (".flags", pattern.flags)])
    return None


def _of_builtins(value: Any) -> Callable | None:
    if isinstance(value, range | slice):
        return lambda bounds: (
            type(bounds).__name__,
            [("", [bounds.start, bounds.stop, bounds.step])],
        )
    return None


_LIBRARIES: dict[str, Callable[[Any], Callable | None]] = {
    "numpy": _of_numpy,
    "torch": _of_torch,
    "pandas": _of_pandas,
    "datasets": _of_datasets,
    "datetime": _of_datetime,
    "decimal": _of_datetime,
    "fractions": _of_datetime,
    "uuid": _of_datetime,
    "functools": _of_functools,
    "re": _of_re,
    "builtins": _of_builtins,
}
