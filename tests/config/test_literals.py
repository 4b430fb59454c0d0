"""What the text behind ``=`` means."""

from __future__ import annotations

from typing import Any

import pytest

from runway.config.literals import parse_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("32", 32),
        ("-1", -1),
        ("0", 0),
        ("1e-5", 1e-5),
        ("1E+3", 1000.0),
        (".5", 0.5),
        ("2.", 2.0),
        ("0.1", 0.1),
        ("true", True),
        ("True", True),
        ("False", False),
        ("null", None),
        ("None", None),
        ("007", "007"),
        ("1_000", "1_000"),
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("1e", "1e"),
        ("-", "-"),
        ("", ""),
        (" ", " "),
        ("some text", "some text"),
        ('"32"', "32"),
        ("'32'", "32"),
        ("'it\\'s'", "it's"),
        (r'"a\nA"', "a\nA"),
        ("'a\\nb'", "a\nb"),
        ("[csv]", ["csv"]),
        ("[csv, tensorboard]", ["csv", "tensorboard"]),
        ("[csv,tensorboard,]", ["csv", "tensorboard"]),
        ("[]", []),
        ("[1, 2.5, True, None, 'a, b']", [1, 2.5, True, None, "a, b"]),
        ('["a", ["b c", 3]]', ["a", ["b c", 3]]),
        ("[output:A, process:B]", ["output:A", "process:B"]),
        ('{"a": {"b": [1]}}', {"a": {"b": [1]}}),
        ("{a: 1, 'b c': x}", {"a": 1, "b c": "x"}),
        ("{}", {}),
        ("{name: f1, kwargs: {average: macro}}", {"name": "f1", "kwargs": {"average": "macro"}}),
        ("[a-z]+", "[a-z]+"),
        ("[unfinished", "[unfinished"),
        ("{a}", "{a}"),
        ("'unfinished", "'unfinished"),
        ('"a" b', '"a" b'),
        ("a=b=c", "a=b=c"),
        ("ümlaut", "ümlaut"),
        ('__import__("os").system("exit 3")', '__import__("os").system("exit 3")'),
        ("lambda: 0", "lambda: 0"),
        ("(1, 2)", "(1, 2)"),
    ],
)
def test_values(text: str, value: Any) -> None:
    parsed = parse_value(text)
    assert parsed == value
    assert type(parsed) is type(value)
