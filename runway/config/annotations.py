"""Which values an annotation takes, as far as it says so plainly: the one check of what comes out of a config.

The schema, the ``setup`` of transforms, the constructors of executors and Lightning's classes are all held against
their annotations here. An annotation is read as text (``int | None``, ``Sequence[str]``, ``Literal['a', 'b']``) and
never evaluated; one with any other name in it takes every value. A value that no config can hold (a path, an array)
fits everywhere.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from runway.config.literals import LARGEST_INTEGER
from runway.config.overrides import format_path
from runway.errors import ConfigError

# To Python these are int and float; the check knows them by their names, as pydantic does.
PositiveInt = int
NonNegativeInt = int
NonNegativeFloat = float
Seed = int

# What the names in an annotation take, by the kinds of values that a config holds.
_NAMES = {
    "int": ("int",),
    "float": ("float",),
    "str": ("str",),
    "bool": ("bool",),
    "None": ("null",),
    "NoneType": ("null",),
    "PositiveInt": ("int",),
    "NonNegativeInt": ("int",),
    "Seed": ("int",),
    "NonNegativeFloat": ("float",),
    **dict.fromkeys(("Sequence", "list", "List", "tuple", "Tuple"), ("list",)),
    **dict.fromkeys(("Mapping", "MutableMapping", "dict", "Dict"), ("section",)),
    **dict.fromkeys(("Iterable", "Collection"), ("list", "section")),
}
_LEAST = {"PositiveInt": 1, "NonNegativeInt": 0, "NonNegativeFloat": 0, "Seed": 0}
_MOST = {"Seed": 2**32 - 1}  # what numpy's generators take
_HOMES = ("", "builtins", "typing", "t", "collections.abc", "abc", "types")
_KINDS = {int: "int", float: "float", str: "str", bool: "bool", type(None): "null", list: "list", tuple: "list"}
_WORDS = {"int": "a whole number", "float": "a number", "str": "text", "bool": "true or false", "section": "a section"}
_PLURALS = {"int": "whole numbers", "float": "numbers", "str": "texts"}


class Kind(NamedTuple):
    """A kind of value that an annotation takes: the least and the greatest number, and what is inside."""

    least: int | None = None
    items: Takes | None = None
    most: int | None = None


class Takes(NamedTuple):
    """What an annotation takes: kinds of values, and single values (``Literal``)."""

    kinds: Mapping[str, Kind]
    choices: tuple[Any, ...] = ()

    @property
    def says(self) -> str:
        """It in a config's words, for "must be ..."."""
        names = [brief(choice) for choice in self.choices]
        names += [_said(kind, self.kinds[kind]) for kind in self.kinds if kind != "null"]
        if _WORDS["float"] in names and _WORDS["int"] in names:
            names.remove(_WORDS["int"])
        names += ["null"] if "null" in self.kinds else []
        return " or ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


class Misfit(NamedTuple):
    """A value that does not fit: where it stands inside of what was checked, what it must be, and what it is."""

    path: tuple[str | int, ...]
    must: str
    value: Any

    def sentence(self, path: tuple[str | int, ...]) -> str:
        """What is wrong, where ``path`` is the place of what was checked."""
        return f"`{format_path((*path, *self.path))}` must be {self.must}, but is {brief(self.value)} instead"


def require(value: Any, annotation: str, name: str, where: str, hint: str | None = None) -> None:
    """Hold one value against an annotation: ``require(beams, "PositiveInt", "num_beams", where)``.

    Raises:
        ConfigError: it does not fit.
    """
    takes = read_annotation(annotation)
    wrong = misfit(value, takes) if takes is not None else None
    if wrong is not None:
        raise ConfigError(wrong.sentence((name,)), where=where, hint=hint)


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
    try:
        return _read(ast.parse(text.strip(), mode="eval").body)
    except SyntaxError:
        return None


def with_default(text: str, default: Any) -> Takes | None:
    """What the annotation of an argument with this default takes: the default's kind always fits."""
    takes, kind = read_annotation(text), _kind(default)
    if takes is None or kind is None or misfit(default, takes) is None:
        return takes
    return takes._replace(kinds={**takes.kinds, kind: Kind()})


def misfit(value: Any, takes: Takes) -> Misfit | None:
    """What does not fit of ``value``: itself, or the first that does not of what it holds."""
    kind = _kind(value)
    if not _fits(value, kind, takes):
        return Misfit((), takes.says, value)
    items = takes.kinds[kind].items if kind is not None and kind in takes.kinds else None
    if items is not None:
        for key, item in value.items() if kind == "section" else enumerate(value):
            if not _fits(item, _kind(item), items):
                return Misfit((key if isinstance(key, int) else str(key),), items.says, item)
    return None


def brief(value: Any) -> str:
    """A value for a message, in a config's words."""
    if isinstance(value, Mapping):
        return "a section"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _fits(value: Any, kind: str | None, takes: Takes) -> bool:
    if kind is None:
        return True
    if takes.choices and any(type(choice) is type(value) and choice == value for choice in takes.choices):
        return True
    found = takes.kinds.get(kind)
    if found is None and kind == "int":
        found = takes.kinds.get("float")
    elif found is None and kind == "float" and value.is_integer() and abs(value) < LARGEST_INTEGER:
        found = takes.kinds.get("int")
    if found is None or (found.least is not None and value < found.least):
        return False
    return found.most is None or value <= found.most


def _kind(value: Any) -> str | None:
    return _KINDS.get(type(value)) or ("section" if isinstance(value, Mapping) else None)


def _read(annotation: ast.expr) -> Takes | None:
    kinds: dict[str, Kind] = {}
    choices: list[Any] = []
    for member in _members(annotation):
        inside = _inside(member)
        name = _name(member.value if isinstance(member, ast.Subscript) else member)
        if name == "Literal" and all(isinstance(item, ast.Constant) for item in inside):
            choices += [item.value for item in inside]  # type: ignore[attr-defined]
        elif name not in _NAMES:
            return None
        for kind in _NAMES.get(name, ()):
            # A section is iterated by its keys; of two lists in a union, whose items are meant is not certain.
            has_items = inside and kind not in kinds and not (kind == "section" and "list" in _NAMES[name])
            kinds[kind] = Kind(_LEAST.get(name), _items(name, inside) if has_items else None, _MOST.get(name))
    return Takes(kinds, tuple(choices))


def _members(annotation: ast.expr) -> Iterator[ast.expr]:
    """The members of a union, in any of its forms."""
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        yield from _members(annotation.left)
        yield from _members(annotation.right)
    elif isinstance(annotation, ast.Subscript) and (name := _name(annotation.value)) in ("Optional", "Union"):
        for member in _inside(annotation):
            yield from _members(member)
        if name == "Optional":
            yield ast.Constant(None)
    else:
        yield annotation


def _inside(annotation: ast.expr) -> list[ast.expr]:
    if not isinstance(annotation, ast.Subscript):
        return []
    return annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]


def _name(annotation: ast.expr) -> str:
    if isinstance(annotation, ast.Name):  # unparsing it would say the same, slowly
        return annotation.id
    text = ast.unparse(annotation)
    home, _, name = text.rpartition(".")
    return name if home in _HOMES else text


def _items(name: str, inside: list[ast.expr]) -> Takes | None:
    """What each value in a container must be; None where nothing holds for each."""
    if name not in ("tuple", "Tuple"):
        return _read(inside[-1])
    every = len(inside) == 2 and isinstance(inside[1], ast.Constant) and inside[1].value is ...
    return _read(inside[0]) if every else None


def _said(kind: str, of: Kind) -> str:
    if kind == "list":
        inner = list(of.items.kinds) if of.items is not None else []
        return f"a list of {_PLURALS[inner[0]]}" if len(inner) == 1 and inner[0] in _PLURALS else "a list"
    return (
        _WORDS[kind]
        + (f" from {of.least}" if of.least is not None else "")
        + (f" to {of.most}" if of.most is not None else "")
    )
