"""Digests of values: the same for equal content in every process, different for different content.

Every value is encoded as a type tag, a length and a payload, and hashed with BLAKE2b (RFC 7693), 128 bits.
There is no pickle in it and no guess: a value without a known encoding is an error that names its place.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath
from typing import Any

from runway.disk import ArrowDigest, blake2b
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


def digest(value: Any, path: str = "$") -> str:
    """The digest of a value, as 32 hexadecimal digits.

    Args:
        value: plain data, containers, paths, arrays, tensors, data frames, HF datasets, or an object with
            ``__fingerprint__()``.
        path: where the value stands, for the error.

    Raises:
        Unfingerprintable: a part has no known encoding; the error names its path.
    """
    return _encode(value, path).hex()


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


def _encode(value: Any, path: str) -> bytes:
    if value is None or value is Ellipsis or value is NotImplemented:
        return _hash("singleton", repr(value).encode())
    kind = type(value)
    scalar = SCALARS.get(kind)
    if scalar is not None:
        return _hash(kind.__name__, scalar(value))
    if hasattr(kind, "__fingerprint__"):
        return _hash(type_name(kind), _encode(value.__fingerprint__(), f"{path}.__fingerprint__()"))
    found = parts_of(value)
    if found is None:
        raise Unfingerprintable(path, value)
    tag, parts = found
    return _hash(tag, *(_encode(part, f"{path}{place}") for place, part in parts))


SCALARS: dict[type, Callable[[Any], bytes]] = {
    bool: lambda value: b"1" if value else b"0",
    int: lambda value: b"%d" % value,
    float: lambda value: value.hex().encode(),
    complex: lambda value: f"{value.real.hex()} {value.imag.hex()}".encode(),
    str: lambda value: value.encode("utf-8", "surrogatepass"),
    bytes: bytes,
    bytearray: bytes,
}

Parts = Iterable[tuple[str, Any]]


def parts_of(value: Any) -> tuple[str, Parts] | None:
    """A tag and the parts of a value, each with its place in it; None where its content cannot be told."""
    kind = type(value)
    if isinstance(value, Mapping):
        # Sorted by the digest of the key, because keys of different types do not compare.
        keys = sorted(value, key=lambda key: _encode(key, "key"))
        return "dict", [(f"[{key!r}]", part) for key in keys for part in (key, value[key])]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type_name(kind), _attributes(value, *value._fields)
    if isinstance(value, list | tuple):
        tag = "tuple" if isinstance(value, tuple) else "list"
        return tag, ((f"[{index}]", item) for index, item in enumerate(value))
    if isinstance(value, set | frozenset):
        tag = "set" if isinstance(value, set) else "frozenset"
        return tag, [("", part) for part in sorted(_encode(item, "element of a set") for item in value)]
    if isinstance(value, PurePath):
        return "path", [("", value.as_posix())]
    # By the name of the class, or of one of the same library that it is derived from: nothing is imported here.
    library = kind.__module__.partition(".")[0]
    for base in kind.__mro__ if library in _OF_LIBRARIES else ():
        encoder = _OF_LIBRARIES[library].get(base.__name__)
        if encoder is not None and base.__module__.partition(".")[0] == library:
            return encoder(value)
    if library in _EXACT_REPR:
        return type_name(kind), [("", repr(value))]
    if hasattr(kind, "__dataclass_fields__") and not isinstance(value, type):
        return type_name(kind), _attributes(value, *kind.__dataclass_fields__)
    if "enum" in sys.modules and isinstance(value, sys.modules["enum"].Enum):
        return type_name(kind), _attributes(value, "name", "value")
    return None


def _attributes(value: Any, *names: str) -> Parts:
    return [(f".{name}", getattr(value, name)) for name in names]


def type_name(kind: type) -> str:
    """The full name of a type, in which the module of one of runway's does not count."""
    return without_path(f"{kind.__module__}.{kind.__qualname__}")


def _array(array: Any) -> tuple[str, Parts]:
    shape = (".shape", list(array.shape))
    if array.dtype.hasobject:
        return "object array", [shape, ("", array.ravel().tolist())]
    return "array", [(".dtype", _dtype(array.dtype)), shape, ("", array.tobytes())]


def _masked_array(array: Any) -> tuple[str, Parts]:
    import numpy

    return "masked array", [(".data", array.filled()), (".mask", numpy.ma.getmaskarray(array))]


def _dtype(dtype: Any) -> str:
    """With the byte order, and the names of a record's fields."""
    return repr(dtype) if dtype.names else dtype.str


def _tensor(value: Any) -> tuple[str, Parts] | None:
    import torch

    if value.layout != torch.strided or value.is_quantized:
        return None
    flat = value.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    data = flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
    return "tensor", [(".dtype", str(value.dtype)), (".shape", list(value.shape)), ("", data)]


def _dataset(dataset: Any) -> tuple[str, Parts]:
    """Of the rows as they are seen, through any selection of them."""
    rows = ArrowDigest()
    for table in dataset.with_format("arrow").iter(batch_size=1000):
        for name in table.column_names:
            rows.add(name, table.column(name))
    return "dataset", [(".features", repr(dataset.features)), (".format", str(dataset.format)), ("", rows.digest())]


def _bounds(value: range | slice) -> tuple[str, Parts]:
    return type(value).__name__, [("", [value.start, value.stop, value.step])]


_EXACT_REPR = {"datetime", "decimal", "fractions", "uuid"}
_OF_LIBRARIES: dict[str, dict[str, Callable[[Any], tuple[str, Parts] | None]]] = {
    "numpy": {
        "MaskedArray": _masked_array,
        "ndarray": _array,
        "generic": lambda scalar: ("numpy scalar", [(".dtype", _dtype(scalar.dtype)), ("", scalar.tobytes())]),
        "dtype": lambda dtype: ("dtype", [("", _dtype(dtype))]),
    },
    "torch": {
        "Tensor": _tensor,
        "dtype": lambda dtype: ("torch", [("", str(dtype))]),
        "device": lambda device: ("torch", [("", str(device))]),
    },
    "pandas": {
        "DataFrame": lambda frame: (
            "data frame",
            [(".index", list(frame.index)), *((f"[{name!r}]", (name, frame[name])) for name in frame)],
        ),
        "Series": lambda series: (
            "series",
            [(".index", list(series.index)), (".dtype", repr(series.dtype)), ("", series.to_numpy())],
        ),
    },
    "datasets": {"Dataset": _dataset},
    "functools": {
        "partial": lambda partial: (
            "partial",
            [(".func", partial.func), (".args", list(partial.args)), (".keywords", partial.keywords)],
        )
    },
    "re": {"Pattern": lambda pattern: ("pattern", [("", pattern.pattern), (".flags", pattern.flags)])},
    "builtins": {"range": _bounds, "slice": _bounds},
}
