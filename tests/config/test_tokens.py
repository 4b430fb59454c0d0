"""What is read in a file's text: nesting, whole numbers that a double does not hold, the values of locals."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from runway.config.tokens import MAX_NESTING, tokens, values_of_locals
from runway.errors import ConfigError

if TYPE_CHECKING:
    from tests.config.conftest import Files


def test_strings_and_comments_are_one_word_or_none() -> None:
    source = """
    { // it's { a comment
      # another's [
      /* and ' a
         third */
      a: 'it\\'s {', b: "\\"[", c: @'a''b\\', d: |||
        text { block ' "
          deeper
        |||x
      ||| + 'end', e: 1.5e-3, f: 12_000,
    }
    """
    found = [token.text for token in tokens(source)]
    assert found[:8] == ["{", "a", ":", "'it\\'s {'", ",", "b", ":", '"\\"["']
    assert "@'a''b\\'" in found
    assert found[-11:] == ["'end'", ",", "e", ":", "1.5e-3", ",", "f", ":", "12_000", ",", "}"]


@pytest.mark.parametrize(
    ("source", "values"),
    [
        ("local a = 1, b = {x: 2}; a", {"a": "1", "b": "{x: 2}"}),
        ("local a = local b = 2; b + 1; a", {"a": "local b = 2; b + 1", "b": "2"}),
        ("local f(x, y=local z = 3; z) = {a: x}, b = f(1); b", {"z": "3", "b": "f(1)"}),
        ("{ local a = {x: 1}, b: a, local c = [1, 2], d: (local e = 4; e) }", {"a": "{x: 1}", "c": "[1, 2]", "e": "4"}),
        ("{ x: local a = 1, b = 2; a, local c = a { y: 3 } // ; ,\n }", {"a": "1", "b": "2", "c": "a { y: 3 }"}),
        ("local a = assert true; 3; { assert self.x > 1 : 'no', x: a }", {"a": "assert true; 3"}),
        ("local a = function(x, y) x, b = a(1, 2); b", {"a": "function(x, y) x", "b": "a(1, 2)"}),
        ("[local c = 3; c, 4]", {"c": "3"}),
        ("{ local: 1, a: $['local'], local b = self", {}),
        ("local", {}),
        ("local a", {}),
        ("local a = ", {}),
        ("} ; , local a = 1 ]", {"a": "1"}),
    ],
)  # fmt: skip
def test_values_of_locals(source: str, values: dict[str, str]) -> None:
    assert {local.name: source[local.start : local.end] for local in values_of_locals(source)} == values


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000 + "]" * 100_000,
        "{a:" * 100_000 + "1" + "}" * 100_000,
        "(" * 100_000 + "1" + ")" * 100_000,
        "-" * 100_000 + "1",
        "! " * 100_000 + "true",
        "local a = " * 100_000 + "1" + "; a" * 100_000,
        "std.foldl(function(a, _) [a], std.range(1, 3000), [])",
        "(function(x) x)(" * 20_000 + "1" + ")" * 20_000,
    ],
)
def test_a_config_that_is_nested_too_deep_is_told(errors_of: Callable, text: str) -> None:
    (error,) = errors_of("{\n  a: " + text + "\n}")
    assert f"nested more than {MAX_NESTING} deep" in error.message
    assert "exp_config.jsonnet" in error.where


def test_an_imported_file_that_is_nested_too_deep_is_named(files: Files, errors_of: Callable) -> None:
    files.write("configs/demo/deep.json", "[\n" * 100_000 + "]" * 100_000)
    (error,) = errors_of("{ a: import 'deep.json' }")
    assert error.where.endswith(f"deep.json:{MAX_NESTING + 1}")


def test_brackets_in_text_and_comments_do_not_count(files: Files) -> None:
    brackets = "[" * 1000
    config = files.load(f"{{ a: '{brackets}', // {brackets}\n b: {'[' * 100 + ']' * 100} }}")
    assert config.a == brackets


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{\n  id: 12345678901234567890,\n}", 2),
        ("{\n\n  id: -9007199254740993 }", 3),
        ("{ id: [{ x: 9_007_199_254_740_993 }] }", 1),
    ],
)
def test_a_whole_number_that_would_be_rounded(errors_of: Callable, text: str, line: int) -> None:
    (error,) = errors_of(text)
    assert "2**53" in error.message
    assert error.where.endswith(f"exp_config.jsonnet:{line}")
    assert "as text" in error.hint


def test_numbers_that_are_as_they_are_written(files: Files) -> None:
    config = files.load(
        "{ // 12345678901234567890\n a: '12345678901234567890', b: 9007199254740992, c: 1e20, "
        "d: 0.12345678901234567890, e: 12345678901234567890.5, f12345678901234567890: 1 }"
    )
    assert (config.b, config.c, config.a) == (2**53, 1e20, "12345678901234567890")


@pytest.mark.parametrize(
    ("text", "is_wrong"),
    [
        ("{ a: import 'ids.json' }", True),
        ("{ a: std.parseJson(importstr 'ids.json') }", True),
        ("{ a: importstr 'ids.json' }", False),
    ],
)
def test_numbers_of_imported_files(files: Files, text: str, is_wrong: bool) -> None:
    files.write("configs/demo/ids.json", '[\n  "12345678901234567890",\n  12345678901234567890\n]')
    if is_wrong:
        with pytest.raises(ConfigError, match=r"has 12345678901234567890") as raised:
            files.load(text)
        assert str(raised.value.where).endswith("ids.json:3")
    else:
        assert "12345678901234567890" in files.load(text).a
