"""What stands in a class besides its source: functions and values, whoever put them there."""

from __future__ import annotations

import abc
import sys
from _abc import _get_dump
from collections.abc import Iterator
from types import FunctionType, GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any

_WRITTEN_BY_LIBRARIES = ("_abc_", "_is_protocol", "_is_runtime_protocol")


def functions_of(value: Any) -> Iterator[FunctionType]:
    """The Python functions behind an attribute of a class: a method, a property, what ``functools`` makes of one."""
    parts: list[Any]
    if isinstance(value, property):
        parts = [value.fget, value.fset, value.fdel]
    elif isinstance(value, staticmethod | classmethod):
        parts = [value.__func__]
    elif type(value).__module__ == "functools":  # cached_property, partialmethod, singledispatchmethod
        parts = [getattr(value, "func", None)]
    else:
        parts = [value]
    for part in parts:
        if isinstance(part, FunctionType):
            yield part


def is_generated(function: FunctionType, cls: type) -> bool:
    """Whether ``dataclass``, ``attrs`` or ``namedtuple`` wrote it: it follows from the fields."""
    by_fields = any(hasattr(cls, name) for name in ("__dataclass_fields__", "__attrs_attrs__", "_fields"))
    return by_fields and function.__code__.co_filename.startswith("<")


def attributes_of(cls: type) -> Iterator[tuple[str, Any]]:
    """The values that stand in a class, in the order of their names; of an enumeration its members."""
    members = cls.__dict__.get("_member_map_") if "enum" in sys.modules else None
    if members is not None:
        yield "members", [(name, member.value) for name, member in members.items()]
    if cls.__bases__ != (object,):
        yield "bases", cls.__bases__
    if "_abc_impl" in vars(cls) and isinstance(cls, abc.ABCMeta):
        registered = [reference() for reference in _get_dump(cls)[0]]
        yield "registered", sorted(f"{one.__module__}.{one.__qualname__}" for one in registered if one is not None)
    for field in sorted(vars(cls).get("__dataclass_fields__", {}).values(), key=lambda field: field.name):
        yield f"{field.name} by default", [field.default_factory, field.default]
    for name, value in sorted(vars(cls).items()):
        if name.startswith("__") and name.endswith("__"):
            continue
        if name.startswith(_WRITTEN_BY_LIBRARIES) or (members is not None and (name in members or name[0] == "_")):
            continue
        descriptor = isinstance(value, GetSetDescriptorType | MemberDescriptorType | ModuleType)
        if not descriptor and not any(functions_of(value)):
            yield name, value
