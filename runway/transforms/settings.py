"""The settings of a transform, from the signature of its ``setup``: what it takes, needs and says about each.

Those of an executor are the arguments of its constructor, described in the docstring of its class.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

_ARGS, _KWARGS = 0x04, 0x08  # inspect.CO_VARARGS and CO_VARKEYWORDS; importing inspect costs as much as a cached run


class Accepted(NamedTuple):
    """Which keyword arguments a ``setup`` takes."""

    names: tuple[str, ...]
    required: tuple[str, ...]
    takes_any: bool


def accepted_settings(cls: type) -> Accepted:
    """What ``cls.setup`` takes, following ``**kwargs`` to the ``super().setup`` that it is passed on to."""
    names: list[str] = []
    required: list[str] = []
    for _, function in _versions(cls, "setup"):
        code = function.__code__
        positional = code.co_varnames[1 : code.co_argcount]
        keyword = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
        defaults = len(function.__defaults__ or ())
        needed = positional[: len(positional) - defaults]
        needed += tuple(name for name in keyword if name not in (function.__kwdefaults__ or {}))
        required += [name for name in needed if name not in names]
        names += [name for name in (*positional, *keyword) if name not in names]
        if not code.co_flags & _KWARGS:
            return Accepted(tuple(names), tuple(required), takes_any=False)
        if "super" not in code.co_names:  # it keeps what it is given
            return Accepted(tuple(names), tuple(required), takes_any=True)
    return Accepted(tuple(names), tuple(required), takes_any=True)


def _versions(cls: type, method: str) -> list[tuple[type, Any]]:
    """The method as each class defines it that ``cls`` inherits from, ``cls`` first."""
    found = []
    for base in cls.__mro__:
        function: Any = vars(base).get(method)
        while hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        if hasattr(function, "__code__"):
            found.append((base, function))
    return found


class Setting(NamedTuple):
    """One setting, for people."""

    name: str
    type: str
    default: str
    doc: str


def describe_settings(cls: type, method: str = "setup") -> list[Setting]:
    """Every setting of a transform with type, default and the line of its ``Args:`` section.

    Args:
        cls: a transform, or another class that is set up from a config.
        method: what takes the settings; ``__init__`` for an executor.
    """
    import inspect

    found: dict[str, Setting] = {}
    for base, function in _versions(cls, method):
        docs = _argument_docs(inspect.getdoc(function) or "") or _argument_docs(inspect.getdoc(base) or "")
        parameters = list(inspect.signature(function).parameters.values())[1:]
        for parameter in parameters:
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) or parameter.name in found:
                continue
            default = "(required)" if parameter.default is parameter.empty else repr(parameter.default)
            kind = "" if parameter.annotation is parameter.empty else _type_name(parameter.annotation)
            found[parameter.name] = Setting(parameter.name, kind, default, docs.get(parameter.name, ""))
        if not function.__code__.co_flags & _KWARGS or "super" not in function.__code__.co_names:
            break
    return list(found.values())


def _type_name(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def _argument_docs(docstring: str) -> dict[str, str]:
    """The ``Args:`` section of a Google-style docstring, as {name: text}."""
    docs: dict[str, str] = {}
    inside, name, indent = False, "", 0
    for line in docstring.splitlines():
        if line.strip() == "Args:":
            inside, indent = True, len(line) - len(line.lstrip())
            continue
        if not inside or not line.strip():
            continue
        depth = len(line) - len(line.lstrip())
        if depth <= indent:
            break
        head, colon, text = line.strip().partition(":")
        if colon and depth == indent + 4 and " " not in head.split("(")[0].strip():
            name = head.split("(")[0].strip().lstrip("*")
            docs[name] = text.strip()
        elif name:
            docs[name] = f"{docs[name]} {line.strip()}"
    return docs


def first_line(cls: type) -> str:
    """The first line of a class's own docstring, or of its module's where it has none."""
    doc = vars(cls).get("__doc__") or sys.modules[cls.__module__].__doc__ or ""
    return doc.strip().partition("\n")[0]
