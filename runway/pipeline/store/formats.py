"""How a value is kept: one value, one directory. The format is chosen by the value's type.

Each format writes the same bytes for the same content as far as its library allows, because the bytes are what
the next node's key is made of. Pickle comes last: it is the only format that can run code when it is loaded.
"""

from __future__ import annotations

import importlib
import json
import operator
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from runway.errors import RunwayError, StoreError
from runway.pipeline.store import formats_hf
from runway.pipeline.store.base import Unsaveable

PICKLE = "pickle"
SMALL_TEXT = 1000
_PLAIN = (type(None), bool, int, float, str, list, dict)


class Format(NamedTuple):
    """One way of keeping values."""

    name: str
    accepts: Callable[[Any], bool]
    save: Callable[[Any, Path], None]
    load: Callable[[Path], Any]


def save(value: Any, directory: Path) -> str:
    """Write ``value`` into the empty ``directory``; gives the name of the format.

    Raises:
        Unsaveable: no format can keep the value.
    """
    try:
        for candidate in FORMATS:
            if candidate.accepts(value):
                candidate.save(value, directory)
                return candidate.name
    except (OSError, MemoryError, RunwayError):
        raise
    except Exception as error:  # of the library, or of the value's own class
        raise Unsaveable(
            f"the output, a {type(value).__module__}.{type(value).__qualname__}, cannot be saved: "
            f"{type(error).__name__}: {error}",
            hint="set `cache: false` on this node; its consumers then compute it when they need it",
        ) from error
    raise AssertionError("pickle accepts everything")


def small_text(value: Any) -> str | None:
    """The JSON text of a small plain value, which ``meta.json`` can hold itself; None for anything else."""
    if (
        type(value) not in _PLAIN
        or (type(value) in (str, list, dict) and len(value) > SMALL_TEXT)
        or not _is_json(value)
    ):
        return None
    try:
        text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    except RecursionError:
        return None
    return text if len(text) <= SMALL_TEXT else None


def load(name: str, directory: Path, *, allow_pickle: bool = True) -> Any:
    """Read a value back.

    Raises:
        StoreError: the format is unknown, or is pickle and that is not allowed.
    """
    found = next((candidate for candidate in FORMATS if candidate.name == name), None)
    if found is None:
        raise StoreError(f"the entry has the format {name!r}, which this version does not know", where=str(directory))
    if name == PICKLE and not allow_pickle:
        raise StoreError(
            "the entry is a pickle, which can run code when it is loaded",
            where=str(directory),
            hint="set meta.allow_pickle=true if you trust everybody who can write to this store",
        )
    return found.load(directory)


# --- JSON: exactly what JSON gives back, so that a cached value has the type of a fresh one


def _is_json(value: Any) -> bool:
    waiting = [value]
    seen: set[int] = set()
    repeated = False
    while waiting:
        item = waiting.pop()
        kind = type(item)
        if item is None or kind in (str, int, float, bool):
            continue
        if id(item) in seen:
            repeated = True
            continue
        seen.add(id(item))
        if kind is list:
            waiting.extend(item)
        elif kind is dict or kind.__module__ == "runway.config.config":
            if not all(type(key) is str for key in item):
                return False
            waiting.extend(item.values())
        else:
            return False
    return not repeated or not _has_circle(value)


def _has_circle(value: Any) -> bool:
    try:
        json.dumps(value)
    except ValueError:
        return True
    return False


def _save_json(value: Any, directory: Path) -> None:
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    (directory / "value.json").write_text(text, encoding="ascii")


def _load_json(directory: Path) -> Any:
    return json.loads((directory / "value.json").read_bytes())


def _save_text(value: str, directory: Path) -> None:
    (directory / "value.txt").write_bytes(value.encode("utf-8", "surrogatepass"))


def _load_text(directory: Path) -> str:
    return (directory / "value.txt").read_bytes().decode("utf-8", "surrogatepass")


# --- arrays, tensors, tables


def _is_numpy(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and type(value) is numpy.ndarray and not value.dtype.hasobject


def _save_numpy(value: Any, directory: Path) -> None:
    import numpy

    numpy.save(directory / "array.npy", value, allow_pickle=False)


def _load_numpy(directory: Path) -> Any:
    import numpy

    return numpy.load(directory / "array.npy", allow_pickle=False)


def _is_torch(value: Any) -> bool:
    """Tensors, and dicts, lists and tuples of tensors and plain values: what ``weights_only`` loads."""
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "Tensor"):
        return False
    has_tensor = False
    waiting = [value]
    seen: set[int] = set()
    while waiting:
        item = waiting.pop()
        if item is None or type(item) in (str, int, float, bool) or id(item) in seen:
            continue
        seen.add(id(item))
        if type(item) in (torch.Tensor, torch.nn.Parameter):
            has_tensor = True
        elif type(item) in (list, tuple):
            waiting.extend(item)
        elif type(item) is dict:
            waiting.extend(item)
            waiting.extend(item.values())
        else:
            return False
    return has_tensor


def _save_torch(value: Any, directory: Path) -> None:
    import torch

    torch.save(value, directory / "tensors.pt")


def _load_torch(directory: Path) -> Any:
    import torch

    return torch.load(directory / "tensors.pt", weights_only=True)


def _is_frame(value: Any) -> bool:
    pandas = sys.modules.get("pandas")
    if pandas is None or type(value) is not getattr(pandas, "DataFrame", None):
        return False
    plain = all(type(name) is str for name in value.columns) and value.columns.is_unique
    # Object columns may hold anything (parquet would change or refuse it): pickle keeps those as they are.
    objects = [name for name in value.columns if value[name].dtype == object] if plain else []
    return plain and all(value[name].map(type).isin([str, type(None)]).all() for name in objects)


def _save_frame(value: Any, directory: Path) -> None:
    value.to_parquet(directory / "frame.parquet")


def _load_frame(directory: Path) -> Any:
    import pandas

    return pandas.read_parquet(directory / "frame.parquet")


def _is_arrow(value: Any) -> bool:
    pyarrow = sys.modules.get("pyarrow")
    return pyarrow is not None and type(value) is pyarrow.Table


def _save_arrow(value: Any, directory: Path) -> None:
    import pyarrow

    with (
        pyarrow.OSFile(str(directory / "table.arrow"), "wb") as sink,
        pyarrow.ipc.new_stream(sink, value.schema) as writer,
    ):
        writer.write_table(value.combine_chunks())


def _load_arrow(directory: Path) -> Any:
    import pyarrow

    with pyarrow.memory_map(str(directory / "table.arrow")) as source:
        return pyarrow.ipc.open_stream(source).read_all()


# --- objects that know how to save themselves


def _saves_itself(value: Any) -> bool:
    return not isinstance(value, type) and hasattr(value, "save_to_dir") and hasattr(type(value), "load_from_dir")


def _save_object(value: Any, directory: Path) -> None:
    value.save_to_dir(directory / "object")
    _save_class(value, directory)


def _load_object(directory: Path) -> Any:
    return _load_class(directory).load_from_dir(directory / "object")


def _is_pretrained(value: Any) -> bool:
    """Tokenizers, models, processors and configs of transformers."""
    kind = type(value)
    return _is_of_transformers(kind) and hasattr(kind, "save_pretrained") and hasattr(kind, "from_pretrained")


def _is_of_transformers(kind: Any) -> bool:
    return kind.__module__.partition(".")[0] == "transformers"


def _save_pretrained(value: Any, directory: Path) -> None:
    value.save_pretrained(str(directory / "pretrained"))
    _save_class(value, directory)


def _load_pretrained(directory: Path) -> Any:
    kind = _load_class(directory)
    if not _is_of_transformers(kind):  # another library's method of that name may load a pickle
        raise StoreError(f"the entry names {kind!r}, which is no class of transformers", where=str(directory))
    return kind.from_pretrained(str(directory / "pretrained"), local_files_only=True)


def _save_class(value: Any, directory: Path) -> None:
    _save_json({"module": type(value).__module__, "class": type(value).__qualname__}, directory)


def _load_class(directory: Path) -> Any:
    named = _load_json(directory)
    return operator.attrgetter(named["class"])(importlib.import_module(named["module"]))


# --- pickle, last


def _save_pickle(value: Any, directory: Path) -> None:
    import pickle

    with (directory / "value.pkl").open("wb") as file:
        pickle.dump(value, file, protocol=pickle.HIGHEST_PROTOCOL)


def _load_pickle(directory: Path) -> Any:
    import pickle

    with (directory / "value.pkl").open("rb") as file:
        return pickle.load(file)


FORMATS = [
    Format("text", lambda value: type(value) is str, _save_text, _load_text),
    Format("json", _is_json, _save_json, _load_json),
    Format("dataset", formats_hf.is_dataset, formats_hf.save_dataset, formats_hf.load_dataset),
    Format("dataset_dict", formats_hf.is_dataset_dict, formats_hf.save_dataset_dict, formats_hf.load_dataset_dict),
    Format("numpy", _is_numpy, _save_numpy, _load_numpy),
    Format("torch", _is_torch, _save_torch, _load_torch),
    Format("pandas", _is_frame, _save_frame, _load_frame),
    Format("arrow", _is_arrow, _save_arrow, _load_arrow),
    Format("object", _saves_itself, _save_object, _load_object),
    Format("pretrained", _is_pretrained, _save_pretrained, _load_pretrained),
    Format(PICKLE, lambda value: True, _save_pickle, _load_pickle),
]
