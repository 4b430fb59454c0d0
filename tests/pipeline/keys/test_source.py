"""What a source file says: what counts of a definition, and which names it uses."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from runway.pipeline.keys.source import Facts, Reference, SourceFile

BASE = """
    LIMIT = 3


    @decorate(LIMIT)
    def clean(text, width=80):
        return helper(text.strip())[:width]
"""


def facts(source: str, name: str = "clean") -> Facts:
    return SourceFile(Path("ops.py"), textwrap.dedent(source).encode()).facts(name)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("        return", "        # a comment\n        return"),
        ("        return", '        """Say what it does."""\n        return'),
        ("text.strip()", "text . strip( )"),
        ("(text, width=80)", "(text: str, width: int = 80) -> str"),
        ("    LIMIT = 3", "    OTHER = 1\n    LIMIT = 3"),
        ("helper(text.strip())[:width]", "(helper(text.strip())[:width])"),
    ],
    ids=["comment", "docstring", "white space", "annotations", "another definition", "brackets"],
)
def test_what_does_not_count(old: str, new: str) -> None:
    assert old in BASE
    assert facts(BASE.replace(old, new)) == facts(BASE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("text.strip()", "text.lstrip()"),
        ("width=80", "width=81"),
        ("decorate(LIMIT)", "decorate(2)"),
        ("def clean(text, width=80)", "async def clean(text, width=80)"),
        ("def clean(text, width=80)", "def clean(text, *, width=80)"),
        ("[:width]", "[width:]"),
        ("80", "80.0"),
    ],
)
def test_what_counts(old: str, new: str) -> None:
    assert old in BASE
    assert facts(BASE.replace(old, new)).digest != facts(BASE).digest


def references(body: str) -> set[Reference]:
    return set(facts("def clean(x):\n" + textwrap.indent(textwrap.dedent(body), "    ")).references)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("return helper(x)", {Reference(("helper",))}),
        ("return text.tools.strip(x)", {Reference(("text", "tools", "strip"))}),
        ("from words import strip as s\nreturn s(x)", {Reference(("strip",), "words")}),
        ("import words.deep\nreturn words.deep.f(x)", {Reference(("deep", "f"), "words")}),
        ("from . import words\nreturn words.f(x)", {Reference(("words", "f"), "", 1)}),
        ("return [f(y) for y in x if y]", {Reference(("f",))}),
        ("y = [y for y in x]\nreturn y", set()),
        ("def inner():\n    return outside\nreturn inner", {Reference(("outside",))}),
        ("class C:\n    size = SIZE\n    def f(self):\n        return size\nreturn C", {("SIZE",), ("size",)}),
        ("import json\nreturn x", set()),
    ],
)
def test_the_names_that_a_function_uses(body: str, found: set) -> None:
    assert references(body) == {item if isinstance(item, Reference) else Reference(item) for item in found}


def test_where_a_module_of_runways_stands_does_not_count() -> None:
    def importing(module: str) -> str:
        return facts(f"def clean(x):\n    from {module} import f\n    return f(x)\n").digest

    assert importing("runway.transforms.base") == importing("runway.transforms.elsewhere")
    assert importing("words.base") != importing("words.elsewhere")


def test_a_definition_in_branches_counts_with_its_conditions() -> None:
    source = "if FAST:\n    def clean(x):\n        return 1\nelse:\n    def clean(x):\n        return 2\n"
    assert Reference(("FAST",)) in facts(source).references
    assert facts(source.replace("return 2", "return 3")).digest != facts(source).digest
    assert facts(source.replace("FAST", "SLOW")).digest != facts(source).digest


def test_what_is_done_to_objects_at_the_top_level() -> None:
    source = """
        words.add("a")
        for word in ("b", "c"):
            pack.words.add(word)
        register(words)
        words.limit = 3
        words["x"] = 1
        del words.limit
        total = 3

        @app.task(retries=2)
        def job(): ...

        @plain
        def other(): ...
    """
    found = SourceFile(Path("ops.py"), textwrap.dedent(source).encode())
    assert [(".".join(effect.on), effect.kind) for effect in found.effects()] == [
        ("words", "call"),
        ("pack.words", "call"),
        ("word", "other"),
        ("words", "other"),
        ("words", "assign"),
        ("words", "other"),
        ("words", "assign"),
        ("app", "other"),
    ]


def test_the_statement_of_an_effect_counts_with_the_loop_around_it() -> None:
    def effect(text: str) -> str:
        source = SourceFile(Path("ops.py"), text.encode())
        return source.facts(next(source.effects()).number).digest

    loop = "for word in ('a', 'b'):\n    words.add(word)\n"
    assert effect(loop) != effect(loop.replace("'b'", "'c'"))
    assert effect(loop) == effect(loop + "other = 1\n")


def test_a_line_belongs_to_a_definition_from_its_decorator_on() -> None:
    source = SourceFile(Path("ops.py"), textwrap.dedent(BASE).encode())
    assert [source.place_at(line) for line in (2, 3, 5, 6, 7)] == ["LIMIT", None, "clean", "clean", "clean"]


def test_a_class_reads_its_annotations() -> None:
    assert facts("class C:\n    x: int = 1\n", "C").digest != facts("class C:\n    x: float = 1\n", "C").digest
