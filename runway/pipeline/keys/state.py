"""The digest of a value that code uses: its content, its attributes, and the code of its type and of all in it.

Unlike an argument of a node, such a value may be of any kind: an object of a class of the project's counts by all of
its attributes, a function by its code. What cannot be told from outside (a lock, an object of a library) counts by the
name of its type, and ``opaque`` says so: then what counts is how it was made.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePath
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    FunctionType,
    MappingProxyType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any

from runway.pipeline.keys.fingerprint import SCALARS, combine, digest, parts_of, type_name
from runway.pipeline.keys.origin import is_local

CODE = (type, FunctionType)
"""What counts by its source; what is made of such, a method or a partial, by its parts."""
_BY_STATE = {"collections", "types", "string", "enum", "argparse", "dataclasses", "functools", "random"}
"""Modules of the standard library whose objects are no more than their attributes."""
_BY_REDUCTION = {"operator", "_operator", "itertools", "_random", "random"}
DEEPEST = 300


class State:
    """Makes the digest of one value.

    Args:
        on_code: gives what stands for a function or class, and whether all of it can be told; takes its code in.
        projects: the folders whose place must not count.

    Attributes:
        opaque: whether there was a part whose content cannot be told.
    """

    def __init__(self, on_code: Callable[[Any], tuple[str, bool]], projects: tuple[Path, ...]) -> None:
        self.opaque = False
        self._on_code = on_code
        self._places = [str(project) for project in projects]
        self._seen: dict[int, int] = {}
        self._alive: list[Any] = []

    def digest(self, value: Any, depth: int = 0) -> str:
        """Of a value or a part of it."""
        scalar = SCALARS.get(type(value))
        if scalar is not None or value is None or value is Ellipsis or value is NotImplemented:
            return digest(self._without_place(value) if type(value) is str else value)
        if isinstance(value, PurePath):
            return combine("path", self._without_place(value.as_posix()))
        if isinstance(value, ModuleType):
            return combine("module", self._on_code(value)[0])
        if isinstance(value, CODE):
            found, whole = self._on_code(value)
            self.opaque |= not whole
            return combine("code", found)
        if id(value) in self._seen:  # a circle, or the same object twice
            return combine("as before", str(self._seen[id(value)]))
        if depth > DEEPEST:
            return self._opaque(value)
        self._seen[id(value)] = len(self._seen)
        self._alive.append(value)
        kind = self._kind(value)
        try:
            parts = self._parts(value)
        except Exception:  # of a library, or of a property of the value's own
            parts = None
        if parts is None:
            return self._opaque(value)
        ordered = [self.digest(part, depth + 1) for part in parts]
        if isinstance(value, set | frozenset):
            ordered = [*sorted(ordered[: len(value)]), *ordered[len(value) :]]
        return combine(kind, *ordered)

    def _kind(self, value: Any) -> str:
        """The name of a value's type, whose code counts with its methods."""
        kind = type(value)
        return combine(type_name(kind), self._on_code(kind)[0] if is_local(kind.__module__) else "")

    def _opaque(self, value: Any) -> str:
        self.opaque = True
        return combine("opaque", self._kind(value))

    def _without_place(self, text: str) -> str:
        """A text in which the project's folder is called by that name: moving it changes nothing."""
        for place in self._places:
            if text == place or place + os.sep in text:
                text = text.replace(place, "<project>")
        return text

    def _parts(self, value: Any) -> list[Any] | None:
        """Everything that makes a value, in an order; None where that cannot be told."""
        kind = type(value)
        if hasattr(kind, "__fingerprint__"):
            return [value.__fingerprint__()]
        if isinstance(value, dict | MappingProxyType):  # code may go through it in its order
            items = [part for pair in dict.items(dict(value)) for part in pair]
            factory = [value.default_factory] if isinstance(value, defaultdict) else []
            return [*items, *factory, *_attributes(value)]
        if isinstance(value, set | frozenset):
            return [*value, *_attributes(value)]
        if isinstance(value, list):
            return [*list.__iter__(value), *_attributes(value)]
        if isinstance(value, tuple):
            return [*tuple.__iter__(value), *_attributes(value)]
        module = kind.__module__
        if isinstance(value, MethodType):
            return [value.__func__, value.__self__]
        if isinstance(value, BuiltinFunctionType | MethodWrapperType):  # ``len``, and ``", ".join``
            holder = value.__self__
            return [value.__qualname__, holder.__name__ if isinstance(holder, ModuleType) else holder]
        if isinstance(value, MethodDescriptorType | WrapperDescriptorType | ClassMethodDescriptorType):  # ``str.upper``
            return [value.__qualname__]
        if isinstance(value, property):
            return [value.fget, value.fset, value.fdel]
        if isinstance(value, staticmethod | classmethod):
            return [value.__func__]
        if module == "functools" and hasattr(value, "__wrapped__"):  # of lru_cache: not what it holds
            return [value.__wrapped__]
        found = None if is_local(module) else parts_of(value)
        if found is not None and not isinstance(value, Mapping):
            return [found[0], *(part for _, part in found[1])]
        if kind.__name__ == "deque" and module == "collections":
            return [*value, value.maxlen]
        if "enum" in sys.modules and isinstance(value, sys.modules["enum"].Enum):
            return [value.name, value.value]
        if module in _BY_REDUCTION:
            return [part for part in value.__reduce__() if part is not None]
        if is_local(module) or module.partition(".")[0] in _BY_STATE or isinstance(value, BaseException):
            return list(_attributes(value)) if _is_plain(kind) else None
        return None


def _is_plain(kind: type) -> bool:
    """Whether objects of a class are no more than their attributes: nothing above it is made in C but ``object``."""
    return all(base is object or base in _WITH_ITEMS or not _is_made_in_c(base) for base in kind.__mro__)


def _is_made_in_c(kind: type) -> bool:
    methods = (MethodDescriptorType, WrapperDescriptorType)
    return not kind.__flags__ & (1 << 9) or any(isinstance(value, methods) for value in vars(kind).values())


_WITH_ITEMS = (dict, list, tuple, set, frozenset, BaseException)


def _attributes(value: Any) -> Iterator[Any]:
    """Names and values of all attributes of an object, in the order of the names."""
    found = dict(getattr(value, "__dict__", None) or {})
    for base in type(value).__mro__:
        slots = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            name = f"_{base.__name__.lstrip('_')}{name}" if name.startswith("__") and not name.endswith("__") else name
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                found.setdefault(name, getattr(value, name))
    if isinstance(value, BaseException):
        found["args"] = value.args
    for name in sorted(found):
        yield from (name, found[name])
