"""How a value is kept: one value, one directory. The format is chosen by the value's type.

Each format writes the same bytes for the same content as far as its library allows, because the bytes are what
the next node's key is made of. Pickle comes last: it is the only format that can run code when it is loaded.
"""

from __future__ import annotations

import importlib
import json
import operator
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple

from runway import registry
from runway.errors import RunwayError, StoreError, damage_told_as
from runway.pipeline.keys.origin import is_local
from runway.pipeline.keys.unloaded import file_of
from runway.pipeline.store.base import Unsaveable
from runway.pretrained import open_pretrained
from runway.user_code import may_be_named
from runway.walk import is_cache

PICKLE, OBJECT = "pickle", "object"
SMALL_TEXT = 1000
BATCH_ROWS = 1000
PROBE = 1 << 16
"""Bytes that are written to find out whether a disk is full."""
_PLAIN = (type(None), bool, int, float, str, list, dict)


class Format(NamedTuple):
    """One way of keeping values."""

    name: str
    accepts: Callable[[Any], bool]
    save: Callable[[Any, Path], Iterable[Any] | None]
    """Gives the project's classes and functions that the value carries: the bytes only name them."""
    load: Callable[[Path], Any]


def save(value: Any, directory: Path) -> tuple[str, list[Any]]:
    """Write ``value`` into the empty ``directory``; gives the name of the format, and the code that the value carries.

    Raises:
        Unsaveable: no format can keep the value.
    """
    try:
        for candidate in _formats_for_saving():
            if candidate.accepts(value):
                return candidate.name, list(candidate.save(value, directory) or ())
    except (OSError, MemoryError, RunwayError):
        _check_room(directory)
        raise
    except Exception as error:  # of the library, or of the value's own class
        _check_room(directory)  # few libraries say of a full disk that it is one
        raise Unsaveable(
            f"the output, a {type(value).__module__}.{type(value).__qualname__}, cannot be saved: "
            f"{type(error).__name__}: {error}",
            hint="set `cache: false` on this node; its consumers then compute it when they need it",
        ) from error
    raise AssertionError("pickle accepts everything")


def _formats_for_saving() -> Iterator[Format]:
    """runway's own; then those of plugins and of the project, which are looked for where only pickle is left."""
    yield from FORMATS[:-1]
    registry.load_plugins()
    yield from (Format(*found) for found in registry.EXTENSIONS["format"].values())
    yield FORMATS[-1]


def _check_room(directory: Path) -> None:
    """Raise the system's own OSError where nothing more can be written there."""
    probe = directory / ".room"
    try:
        with probe.open("wb", buffering=0) as file:
            file.write(bytes(PROBE))
            file.write(b"end")  # a full disk may take a part of the first one
            os.fsync(file.fileno())
    finally:
        probe.unlink(missing_ok=True)


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


def load(name: str, directory: Path, *, allow_pickle: bool = True, as_arrow: bool = False) -> Any:
    """Read a value back; ``as_arrow``: rows with columns as Arrow tables, without the library that they are of.

    Raises:
        StoreError: the format is unknown, or is pickle and that is not allowed; or the entry names what it may not.
        Unreadable: the files are not what the format has written.
    """
    found = next((candidate for candidate in FORMATS if candidate.name == name), None)
    if found is None and (registered := registry.extension("format", name)) is not None:
        found = Format(*registered)
    if found is None:
        raise StoreError(f"the entry has the format {name!r}, which this version does not know", where=str(directory))
    if name == PICKLE and not allow_pickle:
        hint = "set meta.allow_pickle=true if you trust everybody who can write to this store"
        message = "the entry is a pickle, which can run code when it is loaded"
        raise StoreError(message, where=str(directory), hint=hint)
    kind = StoreError if name in (PICKLE, OBJECT) else Unreadable  # the former run the user's own code
    with damage_told_as(kind, f"the entry cannot be read as {name}", where=str(directory)):
        return (ARROW.get(name, found.load) if as_arrow else found.load)(directory)


def load_small(text: str) -> Any:
    """What ``small_text`` wrote.

    Raises:
        Unreadable: it is something else.
    """
    with damage_told_as(Unreadable, "its value cannot be read", where="meta.json"):
        return json.loads(text)


class Unreadable(StoreError):
    """Bytes that no format has written, whatever their digest says; or what the system raised over them."""


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


def _load_arrow(directory: Path, name: str = "table.arrow") -> Any:
    import pyarrow

    with pyarrow.memory_map(str(directory / name)) as source:
        return pyarrow.ipc.open_stream(source).read_all()


# --- HF datasets: Arrow streams, memory-mapped back. The rows are written in batches of a fixed size, so that the same
# rows give the same bytes whatever the batches were that made them.


def _is_dataset(value: Any) -> bool:
    datasets = sys.modules.get("datasets")
    if datasets is None:
        return False
    if isinstance(value, datasets.IterableDataset | datasets.IterableDatasetDict):
        message = f"the output is a {type(value).__name__}, which streams and cannot be saved"
        raise Unsaveable(message, hint="set `cache: false` on this node")
    return isinstance(value, datasets.Dataset)


def _is_dataset_dict(value: Any) -> bool:
    """Whether it is a ``DatasetDict``, or a plain dict of Datasets (which loads as a DatasetDict)."""
    datasets = sys.modules.get("datasets")
    if datasets is None or not isinstance(value, dict) or not value:
        return datasets is not None and isinstance(value, datasets.DatasetDict)
    return all(isinstance(key, str) and isinstance(part, datasets.Dataset) for key, part in value.items())


def _save_dataset(dataset: Any, directory: Path) -> None:
    """Write ``rows.arrow``, and ``state.json`` where the dataset has a format or a split name."""
    import pyarrow
    from datasets.features.features import require_storage_embed
    from datasets.table import embed_table_storage

    raw = dataset.with_format("arrow")
    schema = dataset.features.arrow_schema
    with (
        pyarrow.OSFile(str(directory / "rows.arrow"), "wb") as sink,
        pyarrow.ipc.new_stream(sink, schema) as writer,
    ):
        embed = any(require_storage_embed(feature) for feature in dataset.features.values())
        for start in range(0, len(dataset), BATCH_ROWS):
            table = raw[start : start + BATCH_ROWS]
            if embed:  # images and sounds given by path: the entry holds their bytes
                table = embed_table_storage(table.cast(schema))
            writer.write_table(table.cast(schema).combine_chunks(), max_chunksize=BATCH_ROWS)
    state = {"format": _format_of(dataset), "split": str(dataset.split) if dataset.split else None}
    (directory / "state.json").write_text(json.dumps(state, sort_keys=True), encoding="utf-8")


def _format_of(dataset: Any) -> dict[str, Any] | None:
    kept = dataset.format
    if kept["type"] is None and set(kept["columns"]) == set(dataset.column_names) and not kept["format_kwargs"]:
        return None
    try:
        json.dumps(kept["format_kwargs"])
    except TypeError as error:
        message = f"the dataset's format {kept['type']!r} has arguments that cannot be saved: {error}"
        hint = "set the format in the node that uses the data, or set `cache: false`"
        raise Unsaveable(message, hint=hint) from error
    return dict(kept)


def _load_dataset(directory: Path) -> Any:
    from datasets import Dataset, NamedSplit

    state = json.loads((directory / "state.json").read_bytes())
    split = NamedSplit(state["split"]) if state["split"] else None
    dataset = Dataset.from_file(str(directory / "rows.arrow"), split=split)
    if state["format"]:
        kept = state["format"]
        dataset.set_format(kept["type"], kept["columns"], kept["output_all_columns"], **kept["format_kwargs"])
    return dataset


def _save_dataset_dict(splits: Any, directory: Path) -> None:
    """Each split in a numbered folder (a split's name need not be a file name), their order in ``splits.json``."""
    (directory / "splits.json").write_text(json.dumps(list(splits)), encoding="utf-8")
    for index, dataset in enumerate(splits.values()):
        folder = directory / str(index)
        folder.mkdir()
        _save_dataset(dataset, folder)


def _load_dataset_dict(directory: Path) -> Any:
    from datasets import DatasetDict

    names = json.loads((directory / "splits.json").read_bytes())
    return DatasetDict({name: _load_dataset(directory / str(index)) for index, name in enumerate(names)})


def _arrow_of_dataset_dict(directory: Path) -> dict[str, Any]:
    names = json.loads((directory / "splits.json").read_bytes())
    return {name: _load_arrow(directory / str(index), "rows.arrow") for index, name in enumerate(names)}


def _arrow_of_frame(directory: Path) -> Any:
    import pyarrow.parquet

    return pyarrow.parquet.read_table(directory / "frame.parquet")


# --- objects that know how to save themselves


def _saves_itself(value: Any) -> bool:
    kind = type(value)
    return hasattr(kind, "save_to_dir") and hasattr(kind, "load_from_dir") and may_be_named(kind.__module__)


def _save_object(value: Any, directory: Path) -> Iterable[Any]:
    value.save_to_dir(directory / "object")
    _save_class(value, directory)
    return [type(value)] if is_local(type(value).__module__) else []


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
    return open_pretrained(kind, directory / "pretrained", where=str(directory), local_files_only=True)


def _save_class(value: Any, directory: Path) -> None:
    _save_json({"module": type(value).__module__, "class": type(value).__qualname__}, directory)


def _load_class(directory: Path) -> Any:
    """The class that an entry names, which has to be one that is here without the entry.

    Raises:
        StoreError: it is none of the project, of runway, of a plugin or of transformers, or it lies in a cache.
        Unreadable: there is no such class.
    """
    with damage_told_as(Unreadable, "it names no class", where=str(directory)):
        named = _load_json(directory)
        module, name = str(named["module"]), str(named["class"])
    if not (all(part.isidentifier() for part in module.split(".")) and _may_be_loaded(module)):
        raise StoreError(
            f"the entry names a class of the module {module!r}, which is not of the project, of runway, of an "
            "installed plugin or of transformers",
            where=str(directory),
            hint="delete the entry; if you trust the module's code, name its package in meta.trusted_packages",
        )
    with damage_told_as(Unreadable, f"{module}.{name} cannot be imported", where=str(directory)):
        kind = operator.attrgetter(name)(importlib.import_module(module))
        if not isinstance(kind, type) or kind.__module__ != module:
            raise TypeError("it is no class of that module")
    return kind


def _may_be_loaded(module: str) -> bool:
    """Whether a module may be imported because an entry names it: never one that may have come with an entry."""
    if module in sys.modules or module.partition(".")[0] == "transformers":
        return module.partition(".")[0] == "transformers" or may_be_named(module)
    file = file_of(module)
    return file is not None and may_be_named(module) and not any(map(is_cache, file.resolve().parents))


# --- pickle, last


def _save_pickle(value: Any, directory: Path) -> Iterable[Any]:
    from runway.pipeline.store.pickling import dump

    carried: dict[int, Any] = {}

    def note(item: Any) -> None:
        """A class or function itself, or an object of a class."""
        found = item if isinstance(item, type | FunctionType) else type(item)
        if id(found) not in carried and is_local(found.__module__ or ""):
            carried[id(found)] = found

    with (directory / "value.pkl").open("wb") as file:
        dump(value, file, note)
    return carried.values()


def _load_pickle(directory: Path) -> Any:
    import pickle

    with (directory / "value.pkl").open("rb") as file:
        return pickle.load(file)  # noqa: S301 (`load` has looked at allow_pickle)


FORMATS = [
    Format("text", lambda value: type(value) is str, _save_text, _load_text),
    Format("json", _is_json, _save_json, _load_json),
    Format("dataset", _is_dataset, _save_dataset, _load_dataset),
    Format("dataset_dict", _is_dataset_dict, _save_dataset_dict, _load_dataset_dict),
    Format("numpy", _is_numpy, _save_numpy, _load_numpy),
    Format("torch", _is_torch, _save_torch, _load_torch),
    Format("pandas", _is_frame, _save_frame, _load_frame),
    Format("arrow", _is_arrow, _save_arrow, _load_arrow),
    Format(OBJECT, _saves_itself, _save_object, _load_object),
    Format("pretrained", _is_pretrained, _save_pretrained, _load_pretrained),
    Format(PICKLE, lambda value: True, _save_pickle, _load_pickle),
]

ARROW: dict[str, Callable[[Path], Any]] = {
    "dataset": lambda directory: _load_arrow(directory, "rows.arrow"),
    "dataset_dict": _arrow_of_dataset_dict,
    "pandas": _arrow_of_frame,
}
"""{format: its rows as an Arrow table, or one of each split}, read without the library that they are of."""
