"""Edits of a text at places of it, so that all else, comments and formatting, stays as it is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Edit(NamedTuple):
    """``text`` instead of what stands from ``start`` to ``end``."""

    start: int
    end: int
    text: str


class Remark(NamedTuple):
    """What is said about a line: what needs a hand, or what differs."""

    line: int
    text: str


class Migrated(NamedTuple):
    """A file's new text, and what is to be said about it."""

    text: str
    remarks: list[Remark]


def apply(source: str, edits: Iterable[Edit]) -> str:
    """The text with the edits; of two that overlap the first one in the text holds."""
    parts, at = [], 0
    for edit in sorted(edits):
        if edit.start >= at:
            parts += [source[at : edit.start], edit.text]
            at = edit.end
    return "".join([*parts, source[at:]])


def without_line(source: str, start: int, end: int) -> Edit:
    """Take out a part; with its line, where nothing else stands in it."""
    line_start, line_end = source.rfind("\n", 0, start) + 1, source.find("\n", end)
    line_end = len(source) if line_end < 0 else line_end + 1
    if not source[line_start:start].strip() and not source[end:line_end].strip():
        return Edit(line_start, line_end, "")
    return Edit(start, end + (len(source[end:]) - len(source[end:].lstrip(" "))), "")
