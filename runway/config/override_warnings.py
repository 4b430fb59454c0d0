"""What an override probably did not do: it cannot reach a ``local`` of the file, and may be a slip of the finger."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.config.check import is_known
from runway.config.overrides import Override, format_path
from runway.config.reads import ABSENT, lookup
from runway.config.rendering import differences
from runway.errors import did_you_mean
from runway.log import shown

if TYPE_CHECKING:
    from runway.config.config import Config

_COMMENT_OR_TEXT = re.compile(
    r"""//[^\n]*|\#[^\n]*|/\*.*?\*/|\|\|\|.*?\|\|\||@'(?:[^']|'')*'|@"(?:[^"]|"")*"|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""",
    re.DOTALL,
)
_BINDING = re.compile(r"\s*([A-Za-z_]\w*)\s*(\([^)]*\))?\s*=(?!=)\s*(import\b)?")


def notes_on(
    config: Config, overrides: Sequence[Override], base: Any, with_one: Callable[[Override], Any]
) -> list[str]:
    """One sentence for each override that changed nothing but itself, and was probably meant to change more.

    Args:
        config: the result; its ``sources`` are searched for locals.
        overrides: all of them.
        base: the config without overrides, or ABSENT.
        with_one: gives the config with one override alone, or ABSENT.
    """
    if base is ABSENT:
        return []
    names = {part for override in overrides for part in override.path if isinstance(part, str)}
    bound = [local for source in config.sources for local in find_locals(source, names)]
    notes = []
    for override in overrides:
        if override.removes:
            continue
        is_new = lookup(base, override.path) is ABSENT
        same_name = [local for local in bound if local.name in override.path and (is_new or local.uses > 1)]
        near = _near_sibling(override, base) if is_new else None
        if near and not any(local.name == override.path[-1] for local in same_name):
            notes.append(f"the override {override.text!r} made the new key `{format_path(override.path)}`: {near}")
        elif same_name and _changes_only_itself(override, base, with_one):
            local = same_name[0]
            notes.append(
                f"the override {override.text!r} changed nothing but `{format_path(override.path)}` itself: "
                f"`local {local.name}` at {shown(local.file)}:{local.line} is out of reach of --opts; "
                f"make it a field, and derive from it through `$.{local.name}`"
            )
    return notes


def _changes_only_itself(override: Override, base: Any, with_one: Callable[[Override], Any]) -> bool:
    alone = with_one(override)
    if alone is ABSENT:
        return False
    changed = [path for path, _, _ in differences(base, alone)]
    made = next(
        (override.path[:end] for end in range(1, len(override.path)) if lookup(base, override.path[:end]) is ABSENT),
        override.path,
    )
    return bool(changed) and all(path[: len(made)] == made for path in changed)


def _near_sibling(override: Override, base: Any) -> str | None:
    section, name = lookup(base, override.path[:-1]), override.path[-1]
    if not isinstance(section, dict) or is_known(override.path):
        return None
    advice = did_you_mean(str(name), section, listing=0)
    return advice if advice.startswith("did you mean") else None


class Local:
    """A ``local`` of a config file: where it stands, and how often the file uses it."""

    def __init__(self, name: str, file: Path, line: int, uses: int) -> None:
        self.name = name
        self.file = file
        self.line = line
        self.uses = uses


def find_locals(file: Path, names: Collection[str]) -> list[Local]:
    """The locals of these names in a jsonnet file, apart from imports and from aliases (``local train = $.train``)."""
    text = file.read_text(encoding="utf-8", errors="replace")
    if not any(name in text for name in names):
        return []
    code = _COMMENT_OR_TEXT.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    found = []
    for start in re.finditer(r"\blocal\b", code):
        for name, at in _bindings(code, start.end()):
            if name not in names:
                continue
            uses = len(re.findall(rf"(?<![\w.$]){name}\b(?!\s*\+?:)", code)) - 1
            found.append(Local(name, file, code.count("\n", 0, at) + 1, uses))
    return found


def _bindings(code: str, at: int) -> Iterator[tuple[str, int]]:
    """The names in ``local a = ..., b = ...;``, with their positions."""
    while binding := _BINDING.match(code, at):
        depth, at = 0, binding.end()
        while at < len(code) and not (depth == 0 and code[at] in ",;"):
            depth += (code[at] in "([{") - (code[at] in ")]}")
            if depth < 0:  # the end of the object in which the local stands
                break
            at += 1
        is_alias = re.fullmatch(rf"\s*[\w$.]+\.{binding[1]}\s*", code[binding.end() : at])
        if not binding[3] and not is_alias:
            yield binding[1], binding.start(1)
        if code[at : at + 1] != ",":
            return
        at += 1
