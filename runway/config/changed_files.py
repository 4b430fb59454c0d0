"""A config's files, changed on the way into the engine, to see what the config would come to.

``LateImporter`` lets ``std.mergePatch`` keep what its target derives. ``InsideImporter`` sets values inside of what a
config may take copies of: locals, and imported files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from runway.config.jsonnet import TEXT_SUFFIXES, Importer
from runway.config.tokens import line_of, values_of_locals
from runway.log import shown

ConfigPath = tuple[str | int, ...]

LATE_MERGE_PATCH = """
local runway_late(target, patch) =
  if !std.isObject(patch) then patch
  else
    std.foldl(
      function(merged, key) merged + (
        if patch[key] == null then { [key]:: super[key] }
        else { [key]: runway_late(if key in super then super[key] else {}, patch[key]) }
      ),
      std.objectFields(patch),
      if std.isObject(target) then target else {}
    );
local runway_std = std;
local std = runway_std { mergePatch(target, patch):: runway_late(target, patch) };
"""

INSIDE = "<runway-inside>"
FOUND_IN = "runway:found-in"  # a hidden field: the places in copies that a section is
FIRST_MARK = 2**52  # no value of a config's own
MOST_PARTS = 1000
SET_INSIDE = """
local trees = %(trees)s, outermost = %(outermost)s;
local is_mark(value) =
  if std.isArray(value) then std.length(value) == 1 && is_mark(value[0])
  else if std.isString(value) then std.length(value) == %(digits)d && std.startsWith(value, "%(first_digits)s")
  else std.isNumber(value) && value >= %(first)d;
// what stands for a value is of its kind, where it can be: what is derived from it is evaluated, too
local mark(old, place) = if std.isNumber(old) then place else if std.isString(old) then "" + place else [place];
local with_new(old, tree, number, depth) =
  local below(key, value) = with_new(value, tree.below[key], number, depth + 1);
  local place = %(first)d + number * %(most_parts)d + depth;
  local is_one(value) = (std.type(value) == std.type(old) && value == old) || (outermost && is_mark(old));
  local new = [pair[1] for pair in tree.values if is_one(pair[0])];
  if std.length(new) > 0 then (if new[0] == null then mark(old, place) else new[0][0])
  else if std.isObject(old) then
    old
    + { [key]: below(key, super[key]) for key in std.objectFieldsAll(old) if key in tree.below }
    + { "%(found_in)s":: (if "%(found_in)s" in super then super["%(found_in)s"] else []) + [place] }
  else if std.isArray(old) then
    std.mapWithIndex(function(index, item) if "" + index in tree.below then below("" + index, item) else item, old)
  else old;
function(number, value)
  local tree = if "" + number in trees then "" + number else "all";
  if tree in trees && std.isObject(value) then with_new(value, trees[tree], number, 0) else value
"""
"""Jsonnet of a function that changes a copy, of which it is told the number."""


def place_in_copy(value: Any) -> tuple[int, int] | None:
    """The number of the copy, and the length of the path in it, that a mark stands for; None of another value."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str) and value.isdecimal() and len(value) == len(str(FIRST_MARK)):
        value = int(value)
    if not isinstance(value, int | float) or value < FIRST_MARK:
        return None
    number, length = divmod(int(value) - FIRST_MARK, MOST_PARTS)
    return number, length


class Copy(NamedTuple):
    """A value of which a config may take copies: what it is called, and its place, ``file:line``."""

    name: str
    place: str


class InCopy(NamedTuple):
    """A value in a copy: the copy's number, the path inside, the old value, and the new."""

    number: int
    path: ConfigPath
    old: Any
    new: Any


class _ChangingImporter(Importer):
    """Gives the engine the files of another importer, changed."""

    def __init__(self, other: Importer) -> None:
        super().__init__(other.config_folder, other.project, other.more)
        self.sources = other.sources

    def __call__(self, folder: str, name: str) -> tuple[str, bytes]:
        path, content = super().__call__(folder, name)
        if self.error is None and path.endswith(TEXT_SUFFIXES):
            content = self.changed(path, content.decode("utf-8")).encode()
        return path, content

    def changed(self, path: str, source: str) -> str:
        """The text that the engine is given for a file's."""
        raise NotImplementedError


class LateImporter(_ChangingImporter):
    """A ``std.mergePatch`` that lays its patch over the target, so that what the target derives follows."""

    def changed(self, path: str, source: str) -> str:
        """The file with another ``std`` before it."""
        return f"{LATE_MERGE_PATCH}{source}"


class InsideImporter(_ChangingImporter):
    """Sets values inside of locals that make a new value, and of imported files.

    Args:
        other: the importer whose files are changed.
        config: the config's own file, of which there are no copies.

    Attributes:
        copies: what values can be set in, by number; known once the config has been evaluated with it.
    """

    def __init__(self, other: Importer, config: Path) -> None:
        super().__init__(other)
        self.config = str(config)
        self.copies: list[Copy] = []
        self._changed: dict[str, str] = {}
        self._code = ""

    def find(self, values: Iterable[tuple[ConfigPath, Any]], *, outermost: bool) -> None:
        """From now on a value that stands at one of these paths in a copy becomes a mark; see ``place_in_copy``.

        Args:
            values: (path, value).
            outermost: of copies in each other it is the outermost that is told; else the innermost.
        """
        self._set({"all": _tree((path, [old, None]) for path, old in values)}, outermost)

    def set(self, values: Iterable[InCopy]) -> None:
        """From now on copies hold the new values where they had the old ones."""
        by_number: dict[str, list[tuple[ConfigPath, list]]] = {}
        for value in values:
            by_number.setdefault(str(value.number), []).append((value.path, [value.old, [value.new]]))
        self._set({number: _tree(pairs) for number, pairs in by_number.items()})

    def _set(self, trees: dict[str, Any], outermost: bool = False) -> None:
        self._code = SET_INSIDE % {
            "trees": json.dumps(trees),
            "outermost": json.dumps(outermost),
            "first": FIRST_MARK,
            "digits": len(str(FIRST_MARK)),
            "first_digits": str(FIRST_MARK)[:8],
            "most_parts": MOST_PARTS,
            "found_in": FOUND_IN,
        }

    def __call__(self, folder: str, name: str) -> tuple[str, bytes]:
        return (INSIDE, self._code.encode()) if name == INSIDE else super().__call__(folder, name)

    def changed(self, path: str, source: str) -> str:
        """The file with calls around the values of its locals, and around all of it."""
        if path not in self._changed:
            self._changed[path] = self._with_calls(path, source)
        return self._changed[path]

    def _with_calls(self, path: str, source: str) -> str:
        inserted: list[tuple[int, str]] = []
        values = [] if path.endswith(".json") else values_of_locals(source)
        for value in (value for value in values if value.is_new):
            inserted += [(value.start, f"runway_inside({len(self.copies)}, "), (value.end, ")")]
            self.copies.append(Copy(f"`local {value.name}`", f"{shown(path)}:{line_of(source, value.start)}"))
        for at, text in sorted(inserted, reverse=True):
            source = source[:at] + text + source[at:]
        function = f"local runway_inside = import {json.dumps(INSIDE)}; "
        if path == self.config:
            return f"{function}{source}"
        self.copies.append(Copy(f"`{Path(path).name}`", shown(path)))
        return f"{function}runway_inside({len(self.copies) - 1}, {source}\n)"


def _tree(values: Iterable[tuple[ConfigPath, list]]) -> dict[str, Any]:
    """``{values: what to do where the path ends, below: {part: tree}}``."""
    tree: dict[str, Any] = {"values": [], "below": {}}
    for path, pair in values:
        at = tree
        for part in path:
            at = at["below"].setdefault(str(part), {"values": [], "below": {}})
        if pair not in at["values"]:
            at["values"].append(pair)
    return tree
