"""The settings of a transform, from the signature of its ``setup``: what it takes, needs and says about each.

Those of an executor are the arguments of its constructor, described in the docstring of its class.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from runway.config.annotations import Takes, annotation_text, misfit, with_default
from runway.config.check import brief
from runway.config.overrides import format_path

_ARGS, _KWARGS = 0x04, 0x08  # inspect.CO_VARARGS and CO_VARKEYWORDS; importing inspect costs as much as a cached run


class Accepted(NamedTuple):
    """Which keyword arguments a ``setup`` takes, and which values, where its annotations say so plainly."""

    names: tuple[str, ...]
    required: tuple[str, ...]
    takes_any: bool
    values: Mapping[str, Takes]


def accepted_settings(cls: type, method: str = "setup") -> Accepted:
    """What ``cls.setup`` takes, following ``**kwargs`` to the ``super().setup`` that it is passed on to.

    Args:
        cls: a transform, or another class that is set up from a config.
        method: what takes the settings; ``__init__`` for an executor.
    """
    names: list[str] = []
    required: list[str] = []
    values: dict[str, Takes] = {}
    for _, function in _versions(cls, method):
        code = function.__code__
        positional = code.co_varnames[1 : code.co_argcount]
        keyword = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
        defaults = len(function.__defaults__ or ())
        needed = positional[: len(positional) - defaults]
        needed += tuple(name for name in keyword if name not in (function.__kwdefaults__ or {}))
        required += [name for name in needed if name not in names]
        new = [name for name in (*positional, *keyword) if name not in names]
        names += new
        values |= _accepted_values(function, new)
        if not code.co_flags & _KWARGS:
            return Accepted(tuple(names), tuple(required), takes_any=False, values=values)
        if "super" not in code.co_names:  # it keeps what it is given
            break
    return Accepted(tuple(names), tuple(required), takes_any=True, values=values)


def _accepted_values(function: Any, names: list[str]) -> dict[str, Takes]:
    try:
        annotations = function.__annotations__
    except NameError:  # Python 3.14 evaluates them here, and a name may be there for type checkers only
        return {}
    code, defaults = function.__code__, function.__defaults__ or ()
    default_of = dict(zip(code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount], defaults, strict=True))
    default_of |= function.__kwdefaults__ or {}
    found = {}
    for name in names:
        text = annotation_text(annotations.get(name, ""))
        takes = with_default(text, default_of.get(name, ...)) if text else None
        if takes is not None:
            found[name] = takes
    return found


def wrong_values(settings: Mapping[str, Any], accepted: Accepted) -> Iterator[str]:
    """What is wrong with the values of ``settings``, one sentence for each that its annotation does not take."""
    for name, value in settings.items():
        takes = accepted.values.get(name)
        wrong = misfit(value, takes) if takes is not None else None
        if wrong is not None:
            place = format_path((name, *wrong.place))
            yield f"`{place}` must be {wrong.must}, but is {brief(wrong.value)} instead"


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
