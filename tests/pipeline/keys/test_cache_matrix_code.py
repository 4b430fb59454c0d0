"""The cache matrix, code: what a node's code reaches re-runs it, what it does not reach leaves it cached."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.pipeline.cached import Cached

CHAIN = "src/data_ops/chain.py"

# (what B gives for it, file, edit, what B gives afterwards): B and C run again, each once, and A does not.
CHANGES = [
    ("body", CHAIN, '"body": 1', '"body": 2', 2),
    ("own method", CHAIN, "def own(self):\n        return 1", "def own(self):\n        return 2", 2),
    (
        "lru_cache method",
        CHAIN,
        "def remembered(self):\n        return 1",
        "def remembered(self):\n        return 2",
        2,
    ),
    ("class attribute", CHAIN, "STEP = 5", "STEP = 6", 6),
    ("default from a constant", "src/flags.py", "WIDTH = 4", "WIDTH = 5", 5),
    ("local helper", CHAIN, "return value + 1", "return value + 2", 2),
    ("helper", "src/text.py", 'return strip(word) + "."', 'return strip(word) + ":"', "x:"),
    ("helper", "src/deeper.py", "word.strip()", "word.lstrip()", "x ."),  # a helper of a helper
    ("helper", "src/decorators.py", 'EXTRA = ""', 'EXTRA = "~"', "x.~"),  # what the helper's decorator uses
    ("renamed helper", "src/text.py", "def rename_me():\n    return 1", "def rename_me():\n    return 2", 2),
    ("module attribute", "src/text.py", 'TABLE = {"a": 1}', 'TABLE = {"a": 2}', 2),
    ("module chain", "src/data_ops/shapes.py", "return x + SIDE", "return x + SIDE + 1", 4),
    (
        "after a comprehension that shadows",
        "src/text.py",
        "def after():\n    return 1",
        "def after():\n    return 2",
        4,
    ),
    ("after a comprehension that shadows", "src/decorators.py", "2 * function()", "3 * function()", 3),
    ("after a comprehension that shadows", "src/decorators.py", "return function()\n", "return -function()\n", -2),
    ("re-export", "src/data_ops/tools/picking.py", "items[0]", "items[1]", 4),
    ("base class", "src/data_ops/bases.py", "return x * FACTOR", "return -x * FACTOR", -3),  # two classes up
    ("base class", "src/data_ops/bases.py", "FACTOR = 3", "FACTOR = 4", 4),
    ("mixin", "src/data_ops/bases.py", '+ "!"', '+ "!!"', "x!!"),
    ("mixin", "src/data_ops/bases.py", "        return word\n", "        return word.upper()\n", "X!"),
    ("in-function import", "src/inside.py", "def deepest():\n    return 1", "def deepest():\n    return 2", 4),
    ("match", "src/data_ops/shapes.py", "FIRST = 1", "FIRST = 9", "other"),
    ("conditional def", "src/flags.py", "FAST = False", "FAST = True", "fast"),
    ("dataclass", "src/flags.py", "Settings(size=2)", "Settings(size=3)", 3),
    ("dataclass method", "src/flags.py", "return 2 * self.size", "return 3 * self.size", 6),
    ("enum", "src/flags.py", "LOW = 1", "LOW = 7", [7, "HIGH", 2]),
    ("enum", "src/flags.py", "Level.HIGH\n", "Level.LOW\n", [1, "LOW", 1]),
    ("enum", "src/flags.py", "return self.value\n", "return -self.value\n", [1, "HIGH", -2]),
    ("dict order", "src/flags.py", '{"b": 1, "a": 2}', '{"a": 2, "b": 1}', ["a", "b"]),
    ("instance", "src/flags.py", 'shout = Shouter("!")', 'shout = Shouter(".")', "x."),
    ("instance", "src/flags.py", "return word + self.mark", "return word + 2 * self.mark", "x!!"),
    ("bound method", "src/flags.py", 'Shouter("?")', 'Shouter("%")', "%x"),
    ("closures", "src/flags.py", "plus = add(1)", "plus = add(2)", [3, 0]),
    ("closures", "src/flags.py", "minus = add(-1)", "minus = add(-2)", [2, -1]),
    ("lambdas", "src/flags.py", "lambda x: x + 1", "lambda x: x + 3", [4, 3]),
    ("lambdas", "src/flags.py", "lambda x: x + 2", "lambda x: x + 4", [2, 5]),
    ("partial", "src/flags.py", "n=2", "n=3", 4),
    ("partial", "src/flags.py", "return x + n\n\n\nlater", "return x - n\n\n\nlater", -1),
]


@pytest.mark.parametrize(("entry", "file", "old", "new", "value"), CHANGES, ids=[f"{c[0]}: {c[3]!r}" for c in CHANGES])
def test_a_change_that_the_code_reaches_runs_it_again(
    cached: Cached, entry: str, file: str, old: str, new: str, value: object
) -> None:
    cached.edit(file, old, new)
    ran = cached.prepare()
    assert list(ran) == ["process:B", "output:C"]
    assert ran["output:C"][entry] == value


def test_what_cannot_change_a_result_runs_nothing(cached: Cached) -> None:
    cached.edit("src/text.py", "# a comment\n", "# another comment\n\n")
    cached.edit("src/text.py", '"""Clean it."""', '"""Clean it well."""')
    cached.edit("src/text.py", '"""Cleaning of text."""', "")
    cached.edit("src/text.py", "def unrelated():\n    return 1", "def unrelated():\n    return 2")
    cached.edit("src/text.py", "from deeper import strip\n", "import os.path\nfrom deeper import strip\n")
    cached.edit("src/deeper.py", "(word: str) -> str", "(word) -> 'list[str]'")
    cached.edit("src/spare.py", "return 1", "return 2")
    cached.edit("src/flags.py", "WIDTH = 4", "WIDTH = (\n    2 + 2\n)")  # made otherwise, of the same value
    cached.edit("src/flags.py", "size: int = 1\n", "size: int = 1  # in pixels\n\n")
    cached.edit(CHAIN, '"""C: what reads B."""', '"""C: it reads B."""')
    cached.edit(CHAIN, '"body": 1,', '"body": (1),')
    cached.edit(CHAIN, "class Unrelated(BaseTransform):", "class Unrelated(BaseTransform):\n    NEW = 1\n")
    assert cached.prepare() == {}


def test_a_refactoring_with_the_same_output_stops_there(cached: Cached) -> None:
    cached.edit("src/deeper.py", "return word.strip()", "stripped = word.strip()\n    return stripped")
    assert list(cached.prepare()) == ["process:B"]
    assert cached.prepare() == {}


def test_there_and_back_is_cached_and_right(cached: Cached) -> None:
    before = cached.stored("output:C")
    cached.edit("src/inside.py", "return 1", "return 5")
    assert list(cached.prepare()) == ["process:B", "output:C"]
    assert cached.stored("output:C") == {**before, "in-function import": 10}
    cached.edit("src/inside.py", "return 5", "return 1")
    assert cached.prepare() == {}
    assert cached.stored("output:C") == before


def test_long_chains_of_code_are_read(cached: Cached) -> None:
    branches = "".join(f"    elif x == {n}:\n        return {n}\n" for n in range(1, 900))
    terms = " + ".join(["1"] * 900)
    cached.project.write("src/inside.py", f"def value():\n    return choose(0) + {terms} - 899\n\n\n")
    with (cached.project.path / "src/inside.py").open("a") as file:
        file.write(f"def choose(x):\n    if x == 0:\n        return 0\n{branches}")
    assert list(cached.prepare()) == ["process:B"]  # the same output
