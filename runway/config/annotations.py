"""Which values an annotation takes, as far as it says so plainly: for settings that come out of a config.

An annotation is read as text (``int | None``, ``Sequence[str]``) and never evaluated; one with any other name in it
takes every value. A value that no config can hold (a path, an array) fits everywhere.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

# What the names in an annotation take, by the kinds of values that a config holds.
_NAMES = {
    "int": ("int",),
    "float": ("float",),
    "str": ("str",),
    "bool": ("bool",),
    "None": ("null",),
    "NoneType": ("null",),
    **dict.fromkeys(("Sequence", "list", "List", "tuple", "Tuple"), ("list",)),
    **dict.fromkeys(("Mapping", "MutableMapping", "dict", "Dict"), ("section",)),
    **dict.fromkeys(("Iterable", "Collection"), ("list", "section")),
}
_HOMES = ("", "builtins", "typing", "t", "collections.abc", "abc", "types")
_KINDS = {int: "int", float: "float", str: "str", bool: "bool", type(None): "null", list: "list", tuple: "list"}


class Takes(NamedTuple):
    """What an annotation takes.

    Args:
        kinds: of values.
        says: the kinds, for a message.
        items: what the values inside of a list or a section must be, by the container's kind.
    """

    kinds: frozenset[str]
    says: str
    items: Mapping[str, Takes]


class Misfit(NamedTuple):
    """A value that does not fit: where it stands inside of the setting, what it must be, and what it is."""

    place: tuple[str | int, ...]
    must: str
    value: Any


def annotation_text(annotation: Any) -> str:
    """An annotation as text; empty where it is nothing that could be read."""
    if isinstance(annotation, str):
        return annotation
    if annotation is None:
        return "None"
    if getattr(annotation, "__args__", None) or getattr(annotation, "__module__", "") == "typing":
        return str(annotation)
    return f"{annotation.__module__}.{annotation.__qualname__}" if isinstance(annotation, type) else ""


@functools.cache
def read_annotation(text: str) -> Takes | None:
    """What the annotation takes; None where that is anything, or not known."""
    kinds: dict[str, list[str]] = {}
    for member in _members(text):
        home, _, name = member.partition("[")[0].strip().rpartition(".")
        if home not in _HOMES or name not in _NAMES:
            return None
        for kind in _NAMES[name]:  # a section's values are not what is iterated over
            inside = "" if kind == "section" and "list" in _NAMES[name] else _inside(member)
            kinds.setdefault(kind, []).append(inside)
    # where two members of a union are lists, the items of which are meant is not certain
    insides = {kind: read_annotation(found[0]) for kind, found in kinds.items() if len(found) == 1}
    items = {kind: takes for kind, takes in insides.items() if takes is not None}
    return Takes(frozenset(kinds), _says(kinds, items), items)


def with_default(text: str, default: Any) -> Takes | None:
    """What the annotation of an argument with this default takes: the default's kind always fits."""
    takes = read_annotation(text)
    kind = _kind(default)
    if takes is None or kind is None or misfit(default, takes) is None:
        return takes
    return read_annotation(f"{text} | {'None' if kind == 'null' else type(default).__name__}")


def misfit(value: Any, takes: Takes) -> Misfit | None:
    """What does not fit of ``value``: itself, or the first that does not of what it holds."""
    kind = _kind(value)
    if not _fits(value, kind, takes):
        return Misfit((), takes.says, value)
    items = takes.items.get(kind or "")
    if items is None:
        return None
    for place, item in value.items() if kind == "section" else enumerate(value):
        if not _fits(item, _kind(item), items):
            return Misfit((place if isinstance(place, int) else str(place),), items.says, item)
    return None


def _fits(value: Any, kind: str | None, takes: Takes) -> bool:
    if kind is None or kind in takes.kinds:
        return True
    if kind == "int":
        return "float" in takes.kinds
    return kind == "float" and "int" in takes.kinds and value.is_integer()


def _kind(value: Any) -> str | None:
    return _KINDS.get(type(value)) or ("section" if isinstance(value, Mapping) else None)


def _members(text: str) -> Iterator[str]:
    """The members of a union, in any of its forms."""
    for part in _split(text, "|"):
        name = part.partition("[")[0].strip()
        if name.rpartition(".")[2] not in ("Optional", "Union"):
            yield part
            continue
        for inner in _split(part.strip()[len(name) + 1 : -1], ","):
            yield from _members(inner)
        if name.endswith("Optional"):
            yield "None"


def _inside(member: str) -> str:
    """The annotation of what a container holds; empty where it says nothing that holds for each."""
    head, _, inside = member.strip().partition("[")
    parts = [part.strip() for part in _split(inside[:-1], ",")]
    if head.rpartition(".")[2] not in ("tuple", "Tuple"):
        return parts[-1]
    return parts[0] if parts[1:] == ["..."] else ""


def _split(text: str, separator: str) -> list[str]:
    """Split where no bracket is open."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "[") - (character == "]")
        if character == separator and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _says(kinds: Mapping[str, Any], items: Mapping[str, Takes]) -> str:
    names = []
    for kind in sorted(kinds, key=lambda kind: kind == "null"):
        inner = items[kind].says if kind in items and len(items[kind].kinds) == 1 else ""
        name = {"list": "a list", "section": "a section"}.get(kind, kind)
        names.append(f"{name} of {inner}" if kind == "list" and inner in ("int", "float", "str", "bool") else name)
    return " or ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
