"""Which argument of a transform takes which input: ``input_node``, and ``inputs`` by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from runway.errors import did_you_mean
from runway.transforms.base import RowWiseTransform
from runway.transforms.functions import FunctionTransform, argument_names, main_argument, required_names

if TYPE_CHECKING:
    from runway.pipeline.graph import Node

MAIN = "input_node"
_KEYWORDS = 0x08  # inspect.CO_VARKEYWORDS


class NamedInputs(dict):
    """What a node with ``inputs`` is given: {argument: value}, and under ``input_node`` what that gives."""


class Wiring(NamedTuple):
    """What inputs give of a transform's arguments, and (what is wrong with that, how to mend it)."""

    given: frozenset[str]
    mistakes: list[tuple[str, str]]


def call(functor: Any, data: Any) -> Any:
    """Call a transform with what its inputs give."""
    if not isinstance(data, NamedInputs):
        return functor(data)
    named = dict(data)
    return functor(named.pop(MAIN), **named) if MAIN in named else functor(**named)


def check_wiring(node: Node, cls: type) -> Wiring:
    """Hold a node's inputs against the arguments of its transform."""
    function = getattr(cls, "_runway_function", None) if issubclass(cls, FunctionTransform) else None
    return _of_method(node, cls) if function is None else _of_function(node, function)


def _of_function(node: Node, function: Any) -> Wiring:
    name, arguments = node.transform_name, argument_names(function)
    given = list(node.input_names)
    mistakes = _unknown(node, arguments, takes_any=bool(function.__code__.co_flags & _KEYWORDS))
    if len(node.inputs) > len(given):
        main = main_argument(function, given)
        if main is None:
            mistakes.append((f"{name} has no argument for its `input_node`", f"its arguments: {', '.join(arguments)}"))
        else:
            given.append(main)
    for argument in given:
        if argument in node.setup_kwargs:
            hint = "take it out of `setup_kwargs`, or out of the inputs"
            mistakes.append((f"{name} is given the argument {argument!r} twice, by a node and as a setting", hint))
    return Wiring(frozenset(given), mistakes)


def _of_method(node: Node, cls: Any) -> Wiring:
    """Of a class: what ``_call`` takes beside its data."""
    code = getattr(cls._call, "__code__", None)
    if code is None:  # wrapped in what says nothing of it
        return Wiring(frozenset(), [])
    first = 3 if issubclass(cls, RowWiseTransform) else 2
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    takes_any = bool(code.co_flags & _KEYWORDS)
    mistakes = _unknown(node, ("data", *names[first:]), takes_any=takes_any)
    if "data" in node.input_names and len(node.inputs) > len(node.input_names):
        mistakes.append((f"{node.transform_name} is given its data twice", "leave out `input_node` or `inputs.data`"))
    missing = [argument for argument in required_names(cls._call)[first - 1 :] if argument not in node.input_names]
    for argument in missing if not hasattr(cls._call, "__wrapped__") else ():
        mistakes.append((f"{node.transform_name} needs the input {argument!r}", f"`inputs: {{ {argument}: 'NODE' }}`"))
    return Wiring(frozenset(), mistakes)


def _unknown(node: Node, known: tuple[str, ...], *, takes_any: bool) -> list[tuple[str, str]]:
    return [
        (f"{node.transform_name} has no argument {name!r} for an input", did_you_mean(name, known))
        for name in node.input_names
        if name not in known and not takes_any
    ]
