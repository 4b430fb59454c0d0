"""The words of a jsonnet file: what runway must know of a file's text before, or beside, its evaluation.

The engine does not give its parse tree. What is read here is no more than brackets, numbers and the values of locals.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

from runway.config.literals import LARGEST_INTEGER
from runway.errors import ConfigError
from runway.log import shown

MAX_NESTING = 200  # the engine's own stack ends the process some 10,000 deep, Python's refuses at some 300

_WORD = r"""
      (?P<space> [\s\ufeff]+ | // [^\n]* | \# [^\n]* | /\* .*? \*/ )
    | (?P<text>
          \|\|\| -? [ \t\r]* \n (?: [ \t\r]* \n )* (?P<indent> [ \t]+ ) [^\n]* \n
              (?: (?: (?P=indent) [^\n]* | [ \t\r]* ) \n )* [ \t]* \|\|\|
        | @" [^"]* (?: "" [^"]* )* " | @' [^']* (?: '' [^']* )* '
        | " [^"\\]* (?: \\. [^"\\]* )* " | ' [^'\\]* (?: \\. [^'\\]* )* ' )
    | (?P<number> \d [\d_]* (?: \. \d [\d_]* )? (?: [eE] [+-]? \d+ )? )
    | (?P<word> [^\W\d] \w* )
    | (?P<open> [\[({] )
    | (?P<close> [\])}] )
    | (?P<sign> . )
    """
LONG_NUMBER = re.compile(rb"[0-9][0-9_]{15}")
"""What may be a whole number that the engine would round."""
_STEP = dict.fromkeys(b"[({", 1) | dict.fromkeys(b"])}", -1)
_NO_BRACKET = bytes(set(range(256)) - _STEP.keys())
_IN_CHAINS = (b"local", b"-", b"!", b"~", b"+")
_CHAIN = re.compile(rb"(?:[-!~+]\s*|local\s+\w+\s*=\s*){%d}" % MAX_NESTING)


class Token(NamedTuple):
    """A word of the text, its kind (text, number, word, open, close or sign), and where it begins and ends."""

    kind: str
    text: str
    start: int
    end: int


def tokens(source: str) -> Iterator[Token]:
    """The words of jsonnet, without spaces and comments."""
    for found in re.finditer(_WORD, source, re.VERBOSE | re.DOTALL):
        kind = found.lastgroup if found.lastgroup != "indent" else "text"
        if kind and kind != "space":
            yield Token(kind, found[0], found.start(), found.end())


def check_nesting(content: bytes, path: str) -> None:
    """Hold a file to a depth that the engine, and what reads its result, can take: beyond it the process would end.

    Raises:
        ConfigError: brackets, signs or locals stand deeper in each other than MAX_NESTING.
    """
    may_chain = sum(map(content.count, _IN_CHAINS)) >= MAX_NESTING
    at = chain.start() if may_chain and (chain := _CHAIN.search(content)) else None
    brackets = content.translate(None, _NO_BRACKET)
    if max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > MAX_NESTING:  # strings and comments included
        depth = 0
        source = content.decode("utf-8", "replace")
        for token in tokens(source):
            depth += (token.kind == "open") - (token.kind == "close")
            if depth > MAX_NESTING:
                at = len(source[: token.start].encode())
                break
    if at is not None:
        line = content.count(b"\n", 0, at) + 1
        raise ConfigError(
            f"{shown(path)} is nested more than {MAX_NESTING} deep",
            where=f"{shown(path)}:{line}",
            hint="a config is read into memory as a whole: keep deep data in a file of its own, and name its path",
        )


def check_integers(content: bytes, path: str) -> None:
    """Hold a file's whole numbers to what a double keeps; the engine would round them without a word.

    Raises:
        ConfigError: one is larger.
    """
    source = content.decode("utf-8", "replace")
    rounded = [
        token
        for token in tokens(source)
        if token.kind == "number"
        and re.fullmatch(r"[\d_]+", token.text)
        and int(token.text.replace("_", "")) > LARGEST_INTEGER
    ]
    if rounded:
        first, others = rounded[0], len(rounded) - 1
        more = f" (and {others} more)" if others else ""
        raise ConfigError(
            f"jsonnet's numbers hold whole numbers up to 2**53, but {shown(path)} has {first.text}{more}",
            where=f"{shown(path)}:{line_of(source, first.start)}",
            hint=f"write it as text, '{first.text}', or as 1e20 where its last digits do not matter",
        )


def line_of(source: str, at: int) -> int:
    """The number of the line of a place in a text."""
    return source.count("\n", 0, at) + 1


class Local(NamedTuple):
    """``local NAME = VALUE``: the name, where the value begins and ends, and whether it makes a new value.

    What only names another one (``$.train``, ``self``, ``import 'a.libsonnet'``) does not.
    """

    name: str
    start: int
    end: int
    is_new: bool


def values_of_locals(source: str) -> list[Local]:
    """The values that a file binds by ``local``, those of functions with parameters left out."""
    words = list(tokens(source))
    found: list[Local] = []
    # What is open around a word: (kind, name, the value's first word). Kinds: a bracket, "assert", "local" (several
    # bindings, up to a semicolon), and "field" (the local of an object, up to a comma).
    around: list[tuple[str, str, int]] = []

    def begin_value(kind: str, at: int) -> None:
        """Of the binding whose name stands at ``at``."""
        has_value = len(words) > at + 2 and words[at + 1].text == "="  # else it is a function's sugar
        around.append((kind, words[at].text if has_value else "", at + 2 if has_value else len(words)))

    def end_value(at: int) -> str:
        kind, name, start = around.pop()
        if start < at:
            is_new = any(word.text in ("{", "(", "+") for word in words[start:at])
            found.append(Local(name, words[start].start, words[at - 1].end, is_new))
        return kind

    for at, word in enumerate(words):
        innermost = around[-1][0] if around else ""
        begins_field = innermost == "{" and words[at - 1].text in "{,"
        if word.kind == "open":
            around.append((word.text, "", len(words)))
        elif word.kind == "close":
            while around and end_value(at) not in "[({":
                pass
        elif word.kind == "word" and word.text == "local":
            begin_value("field" if begins_field else "local", at + 1)
        elif word.kind == "word" and word.text == "assert" and not begins_field:
            around.append(("assert", "", len(words)))
        elif word.text == ";" and innermost in ("local", "assert"):
            end_value(at)
        elif word.text == "," and innermost in ("local", "field") and end_value(at) == "local":
            begin_value("local", at + 1)
    return found
