"""What the text on the right of ``key=value`` means: JSON, True/None, an unquoted list, or just text.

Nothing is ever evaluated: ``__import__("os")`` is text.
"""

from __future__ import annotations

import json
import re
from typing import Any

LARGEST_INTEGER = 2**53  # every number of jsonnet is a double
WORDS = {
    "true": True,
    "True": True,
    "false": False,
    "False": False,
    "null": None,
    "None": None,
}
_NUMBER = re.compile(r"-?(0|[1-9]\d*|(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][+-]?\d+)?)")
_SPACE = re.compile(r"\s*")
_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
_BARE = re.compile(r"[^\[\]{},:'\"\s](?:[^\[\]{},'\"]*[^\[\]{},'\"\s])?")
_BARE_KEY = re.compile(r"[^\[\]{},:'\"\s][^\[\]{},:'\"]*")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


class _NotAList(ValueError):
    """The text starts like a list or an object and is none."""


def parse_value(text: str) -> Any:
    """The value that an override's text stands for.

    Args:
        text: ``32``, ``1e-5``, ``true``, ``None``, ``[csv, tensorboard]``, ``{"a": 1}``, ``'quoted'``, ``plain text``.
    """
    stripped = text.strip()
    if stripped[:1] in ("[", "{", '"', "'"):
        try:
            return _Reader(stripped).whole()
        except _NotAList:
            return text
    return _bare(stripped, text)


def _bare(word: str, otherwise: str) -> Any:
    if word in WORDS:
        return WORDS[word]
    if _NUMBER.fullmatch(word):
        return int(word) if word.lstrip("-").isdigit() else float(word)
    return otherwise


class _Reader:
    """Reads a list, an object or a quoted text, where the words inside need no quotes."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def whole(self) -> Any:
        value = self.value()
        if self.peek():
            raise _NotAList(self.text)
        return value

    def peek(self) -> str:
        self.at = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]
        return self.text[self.at : self.at + 1]

    def expect(self, character: str) -> None:
        if self.peek() != character:
            raise _NotAList(self.text)
        self.at += 1

    def take(self, pattern: re.Pattern[str]) -> str:
        self.peek()
        found = pattern.match(self.text, self.at)
        if found is None:
            raise _NotAList(self.text)
        self.at = found.end()
        return found[0]

    def value(self) -> Any:
        first = self.peek()
        if first == "[":
            return self.items("]", self.value)
        if first == "{":
            return dict(self.items("}", self.pair))
        if first in ("'", '"'):
            return self.quoted()
        word = self.take(_BARE)
        return _bare(word, word)

    def items(self, closing: str, read_one: Any) -> list:
        self.at += 1
        items: list = []
        while self.peek() != closing:
            if items:
                self.expect(",")
                if self.peek() == closing:  # a comma after the last item, as in Python and jsonnet
                    break
            items.append(read_one())
        self.at += 1
        return items

    def pair(self) -> tuple[str, Any]:
        key = self.quoted() if self.peek() in ("'", '"') else self.take(_BARE_KEY).strip()
        self.expect(":")
        return key, self.value()

    def quoted(self) -> str:
        text = self.take(_QUOTED)
        if text[0] == '"':
            try:
                return json.loads(text, strict=False)
            except ValueError as error:
                raise _NotAList(self.text) from error
        return re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[1]), text[1:-1], flags=re.DOTALL)
