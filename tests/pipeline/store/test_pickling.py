"""Pickles have the same bytes whatever order the hash seed of the process gives to sets."""

from __future__ import annotations

import io
import pickle
from typing import Any

import pytest

from runway.pipeline.store.pickling import dump, ordered


class Node:
    """With links that lead in circles; equal and hashed by identity."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.links: set[Node] = set()


class Own(set):
    """A set with an attribute."""

    note = ""


def dumped(value: Any) -> bytes:
    file = io.BytesIO()
    dump(value, file, lambda item: None)
    return file.getvalue()


def test_what_plain_pickle_reads() -> None:
    nodes = [Node(name) for name in "abc"]
    for node in nodes:
        node.links = set(nodes)
    own = Own(["x", "y"])
    own.note = "mine"
    value = {
        "plain": {1, 2}, "empty": set(), "frozen": (frozenset("abc"), 5), "mixed": {1, "1", None, (2, "b"), 0.5},
        "many": set(map(str, range(3000))), "own": own, "nodes": nodes,
    }  # fmt: skip
    again = pickle.loads(dumped(value))
    assert {name: again[name] for name in value if name != "nodes"} == {
        name: value[name] for name in value if name != "nodes"
    }
    assert (type(again["own"]), again["own"].note) == (Own, "mine")
    assert all(node.links == set(again["nodes"]) for node in again["nodes"])


def test_values_without_sets_are_what_plain_pickle_writes() -> None:
    value = {"a": [1, (2, "b"), Node("c").name], "d": {"one"}}
    assert dumped(value) == pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)


@pytest.mark.parametrize("items", [["b", "a"], [2, 1], [b"b", b"a"], ["a", 1, None, (1, "x"), frozenset("xyz")]])
def test_the_order_is_that_of_the_content(items: list[Any]) -> None:
    assert ordered(items) == ordered(reversed(items))


def test_objects_are_ordered_by_what_they_hold() -> None:
    nodes = [Node(name) for name in "abcd"]
    for node in nodes:
        node.links = set(nodes) - {node}
    names = [node.name for node in ordered(nodes)]
    assert sorted(names) == list("abcd")
    assert names == [node.name for node in ordered(reversed(nodes))]


def test_everything_but_plain_data_is_noted() -> None:
    noted: list[Any] = []
    dump({"a": {Node, int}, "b": Node("x")}, io.BytesIO(), noted.append)
    assert Node in noted
    assert any(type(item) is Node for item in noted)
