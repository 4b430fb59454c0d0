"""What a class takes from a config: the arguments of its ``setup`` or constructor, with annotations, defaults and docs.

A transform's settings are the arguments of ``setup``; those of an executor are the arguments of its constructor,
described in the docstring of its class. What a method passes on to ``super()`` by ``*args`` and ``**kwargs`` is
followed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from runway.config.annotations import Takes, annotation_text, misfit, with_default

_KWARGS = 0x08  # inspect.CO_VARKEYWORDS; importing inspect costs as much as a cached run
_REQUIRED = object()


class Accepted(NamedTuple):
    """Which keyword arguments a ``setup`` takes, and which values, where its annotations say so plainly."""

    names: tuple[str, ...]
    required: tuple[str, ...]
    takes_any: bool
    values: Mapping[str, Takes]


class Setting(NamedTuple):
    """One setting, for people."""

    name: str
    type: str
    default: str
    doc: str


def accepted_settings(cls: type, method: str = "setup") -> Accepted:
    """Which settings a class takes.

    Args:
        cls: a transform, or another class that is set up from a config.
        method: what takes the settings; ``__init__`` for an executor.
    """
    values: dict[str, Takes] = {}
    defaults: dict[str, Any] = {}
    versions = _versions(cls, method)
    for _, function in versions:
        annotations = _annotations(function)
        for name, default in _parameters(function):
            if name not in defaults:
                defaults[name] = default
                text = annotation_text(annotations.get(name, ""))
                takes = with_default(text, default) if text else None
                if takes is not None:
                    values[name] = takes
    required = tuple(name for name, default in defaults.items() if default is _REQUIRED)
    takes_any = bool(versions) and (_has_kwargs(versions[-1][1]) or (_has_kwargs(versions[0][1]) and _is_function(cls)))
    return Accepted(tuple(defaults), required, takes_any or not versions, values)


def wrong_values(settings: Mapping[str, Any], accepted: Accepted) -> Iterator[str]:
    """What is wrong with the values of ``settings``, one sentence for each that its annotation does not take."""
    for name, value in settings.items():
        takes = accepted.values.get(name)
        wrong = misfit(value, takes) if takes is not None else None
        if wrong is not None:
            yield wrong.sentence((name,))


def describe_settings(cls: type, method: str = "setup") -> list[Setting]:
    """Every setting of a class with type, default and the line of its ``Args:`` section; as ``accepted_settings``."""
    import inspect

    found: dict[str, Setting] = {}
    for base, function in _versions(cls, method):
        docs = _argument_docs(inspect.getdoc(function) or "") or _argument_docs(inspect.getdoc(base) or "")
        annotations = _annotations(function)
        for name, default in _parameters(function):
            text = "(required)" if default is _REQUIRED else repr(default)
            kind = _type_name(annotations.get(name, ""))
            found.setdefault(name, Setting(name, kind, text, docs.get(name, "")))
    return list(found.values())


def first_line(cls: type) -> str:
    """The first line of a class's own docstring, or of its module's where it has none."""
    doc = vars(cls).get("__doc__") or sys.modules[cls.__module__].__doc__ or ""
    return doc.strip().partition("\n")[0]


def _versions(cls: type, method: str) -> list[tuple[type, Any]]:
    """The method as ``cls`` defines it, and as each class does that it is passed on to; with the classes.

    Of a function that is a transform: the function, and what takes the settings of every transform.
    """
    found = []
    own = getattr(cls, "_runway_function", None) if method == "setup" else None
    if own is not None:
        return [(cls, own), (base_of_all := cls.__mro__[-2], vars(base_of_all)[method])]
    for base in cls.__mro__:
        function: Any = vars(base).get(method)
        while hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        if hasattr(function, "__code__"):
            found.append((base, function))
            if not _has_kwargs(function) or "super" not in function.__code__.co_names:
                break  # it takes no more, or keeps what it is given
    return found


def _is_function(cls: type) -> bool:
    return hasattr(cls, "_runway_function")


def _has_kwargs(function: Any) -> bool:
    return bool(function.__code__.co_flags & _KWARGS)


def _parameters(function: Any) -> Iterator[tuple[str, Any]]:
    """The named parameters, without the ``self`` of a method, with their defaults."""
    code = function.__code__
    positional = code.co_varnames[: code.co_argcount]
    is_method = positional[:1] == ("self",) or "." in function.__qualname__.rpartition("<locals>.")[2]
    keyword = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    defaults = function.__defaults__ or ()
    given = dict(zip(positional[len(positional) - len(defaults) :], defaults, strict=True))
    given |= function.__kwdefaults__ or {}
    yield from ((name, given.get(name, _REQUIRED)) for name in (*positional[is_method:], *keyword))


def _annotations(function: Any) -> Mapping[str, Any]:
    try:
        return function.__annotations__
    except NameError:  # Python 3.14 evaluates them here, and a name may be there for type checkers only
        return {}


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
