"""What a user logs, made plain: None, bool, int, float, str, bytes, images, lists and dicts, nothing else.

Third-party types are recognised without importing their libraries.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import enum
import io
import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Set
from typing import TYPE_CHECKING, Any

from runway.errors import DataError, damage_told_as
from runway.log import warning

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

SCALARS = frozenset({bool, int, float, str, type(None)})
"""Immutable types that a column takes as they are."""

MOST_NESTED = 100
"""Levels of lists and dicts in a value: what reads and writes it goes in as deep, on whatever stack."""

PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
"""The modes that PNG keeps exactly; an image of another mode becomes RGB."""


class Png(bytes):
    """An image: the content of its PNG file."""

    @classmethod
    def of(cls, image: Image) -> Png:
        """Encode a PIL image."""
        if image.mode not in PNG_MODES:
            image = image.convert("RGB")
        buffer = io.BytesIO()
        image.save(buffer, format="PNG")
        return cls(buffer.getvalue())

    def image(self) -> Image:
        """The PIL image; its pixels are decoded when they are asked for."""
        import PIL.Image

        with damage_told_as(DataError, "an image cannot be opened", where=f"a PNG file of {len(self)} bytes"):
            return PIL.Image.open(io.BytesIO(self), formats=["PNG"])


def is_tensor(value: object) -> bool:
    """Whether ``value`` is a torch tensor."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_array(value: object) -> bool:
    """Whether ``value`` is a numpy array or a torch tensor."""
    numpy = sys.modules.get("numpy")
    return is_tensor(value) or (numpy is not None and isinstance(value, numpy.ndarray))


def as_numpy(value: Any) -> np.ndarray:
    """A tensor's or array's content as numpy; bfloat16, which numpy lacks, as float32."""
    if not is_tensor(value):
        return value
    tensor = value.detach()
    if tensor.layout is not sys.modules["torch"].strided:
        tensor = tensor.to_dense()
    if tensor.dtype is sys.modules["torch"].bfloat16:
        tensor = tensor.float()
    return tensor.cpu().resolve_conj().resolve_neg().numpy()


def take_values(values: Iterable, where: str) -> list:
    """A column's values as a list of plain ones; ``where`` is for a warning about odd objects."""
    listed = values.to_pylist() if hasattr(values, "to_pylist") else values  # Arrow
    if type(listed) is list and SCALARS.issuperset(map(type, listed)):
        return listed
    return [plain(value, where) for value in listed]


def plain(value: Any, where: str, depth: int = 0) -> Any:
    """``value`` made of plain types only, sharing nothing mutable with it.

    Tensors and arrays become (nested) lists, those without dimensions a number; tuples and sets become lists,
    dates ISO text, paths text, enums their value, dataclasses dicts. Any other object becomes its text, and a
    warning says so.

    Args:
        value: anything.
        where: where it is logged, for the warning: ``column 'x'``.
        depth: in how many lists and dicts it lies.

    Raises:
        DataError: it is nested more deeply than MOST_NESTED, or holds itself.
    """
    kind = type(value)
    if kind in SCALARS or kind is bytes or kind is Png:
        return value
    if kind is list or kind is tuple:
        if SCALARS.issuperset(map(type, value)):
            return list(value)
        return [plain(item, where, _below(depth, where)) for item in value]
    if isinstance(value, Mapping):
        return {_key(key): plain(item, where, _below(depth, where)) for key, item in value.items()}
    pillow = sys.modules.get("PIL.Image")
    if pillow is not None and isinstance(value, pillow.Image):
        return Png.of(value)
    if is_tensor(value):
        return as_numpy(value).tolist()
    return _plain_other(value, where, _below(depth, where))


def _below(depth: int, where: str) -> int:
    """One level further in."""
    if depth == MOST_NESTED:
        message = f"{where}: a value is nested more than {MOST_NESTED} levels deep, or holds itself"
        raise DataError(message, hint="log its text, or its parts as columns")
    return depth + 1


def _plain_other(value: Any, where: str, depth: int) -> Any:
    if isinstance(value, enum.Enum):
        return plain(value.value, where, depth)
    if type(value).__name__ in ("NAType", "NaTType"):  # pandas: a missing value
        return None
    if hasattr(value, "dtype") and hasattr(value, "tolist"):  # numpy arrays and numbers, pandas series
        listed = value.tolist()
        if type(listed) is type(value):  # numpy's longdouble, for which Python has no type
            return float(value)
        return listed if type(listed) in SCALARS else plain(listed, where, depth)
    if hasattr(value, "to_dict") and hasattr(value, "columns"):  # a data frame
        return plain(value.to_dict("list"), where, depth)
    for base in (bool, int, float, str):
        if isinstance(value, base):
            return base.__str__(value) if base is str else base(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, datetime.date | datetime.time):  # datetime is a date
        return value.isoformat()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name), where, depth) for field in dataclasses.fields(value)}
    if isinstance(value, Set):
        return sorted((plain(item, where, depth) for item in value), key=repr)
    if isinstance(value, Iterable) and hasattr(value, "__len__"):
        return [plain(item, where, depth) for item in value]
    if hasattr(value, "as_py"):  # an Arrow scalar
        return plain(value.as_py(), where, depth)
    warning(f"{where}: a {type(value).__name__} is logged as text; log numbers, text, lists or dicts", once=True)
    return str(value)


def _key(key: object) -> Any:
    if type(key) in SCALARS:
        return key
    item = getattr(key, "item", None)
    return item() if callable(item) else str(key)


def to_json(value: Any) -> str:
    """A plain value as JSON that gives back the same value: what JSON lacks is tagged by a key with ``$``."""
    tagged = _tag(value)
    try:
        text = json.dumps(tagged, ensure_ascii=False, allow_nan=False)
    except ValueError:
        tagged = _tag_not_finite(tagged)
        text = json.dumps(tagged, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which no file can hold unescaped
        return json.dumps(tagged)
    return text


def from_json(text: str) -> Any:
    """The value for ``to_json``'s text.

    Raises:
        DataError: it is no such text.
    """
    try:
        return json.loads(text, object_hook=untag)
    except (ValueError, TypeError, RecursionError) as error:
        raise DataError(f"a value is no JSON of the recorder's: {error}", where=repr(text[:80])) from error


def _tag(value: Any) -> Any:
    kind = type(value)
    if kind in SCALARS:
        return value
    if kind is list:
        return value if SCALARS.issuperset(map(type, value)) else [_tag(item) for item in value]
    if kind is Png:
        return {"$png": base64.b64encode(value).decode()}
    if kind is bytes:
        return {"$bytes": base64.b64encode(value).decode()}
    if all(type(key) is str and not key.startswith("$") for key in value):
        return {key: _tag(item) for key, item in value.items()}
    return {"$dict": [[key, _tag(item)] for key, item in value.items()]}


def _tag_not_finite(tagged: Any) -> Any:
    """NaN and infinities as ``{"$float": "nan"}``: Python writes them as words that no JSON has, and others refuse."""
    if isinstance(tagged, float):
        return tagged if math.isfinite(tagged) else {"$float": str(tagged)}
    if isinstance(tagged, list):
        return [_tag_not_finite(item) for item in tagged]
    return {key: _tag_not_finite(item) for key, item in tagged.items()} if isinstance(tagged, dict) else tagged


def untagged(value: Any) -> Any:
    """A parsed JSON value with every tagged object in it as what it stands for."""
    if isinstance(value, list):
        return [untagged(item) for item in value]
    return untag({key: untagged(item) for key, item in value.items()}) if isinstance(value, dict) else value


def untag(found: dict) -> Any:
    """``object_hook`` for ``json.load``: a tagged object as what it stands for."""
    if len(found) != 1:
        return found
    ((key, value),) = found.items()
    if key == "$dict":
        return dict(value)
    if key == "$float":
        return float(value)
    if key == "$bytes":
        return base64.b64decode(value)
    if key == "$png":
        return Png(base64.b64decode(value))
    return found


def show_images(value: Any) -> Any:
    """``value`` with every Png in it as a PIL image."""
    kind = type(value)
    if kind is Png:
        return value.image()
    if kind is list:
        return value if SCALARS.issuperset(map(type, value)) else [show_images(item) for item in value]
    if kind is dict:
        return {key: show_images(item) for key, item in value.items()}
    return value
