"""The differences between two runs, as a table on the terminal and in words."""

from __future__ import annotations

import json

from runway.config.reads import ABSENT
from runway.log import info, table
from runway.report.causes import CODE, COMMIT, DATA, FILE, FLAG, SEED, SETTING, Blame, Cause

_WIDTH = 60


def print_blame(found: Blame) -> None:
    """Print the list."""
    first, second = found.runs
    if not found.causes:
        info(f"{second} differs from {first} in nothing that is in a key, nor in a setting")
    for title, causes, head in (
        (f"{second} differs from {first}", found.causes, "changes"),
        ("in no key; may change what uses it", found.beside, "used by"),
    ):
        if causes:
            table(title, ["", "what", first, second, head], [_row(cause) for cause in causes])
    for sentence in found.unknown:
        info(sentence)


def _row(cause: Cause) -> list[str]:
    also = f" (also {', '.join(cause.also)})" if cause.also else ""
    nothing = "nothing" if cause.counts else ""
    return [cause.kind, cause.name + also, *_sides(cause), ", ".join(cause.reaches) or nothing]


def told(cause: Cause) -> str:
    """A cause in a few words: ``code: ops.clean``, ``train.lr 0.1 → 0.2``."""
    if cause.kind in (SETTING, SEED):
        return f"{cause.name} {' → '.join(_sides(cause))}"
    return f"{cause.kind}: {cause.name}"


def _sides(cause: Cause) -> list[str]:
    sides = []
    for value in (cause.before, cause.after):
        if value is ABSENT:
            text = "(absent)"
        elif value is None and cause.kind in (FILE, FLAG, SETTING):
            text = "" if cause.before is None and cause.after is None else "null"
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        is_digest = cause.kind in (CODE, DATA, FILE, COMMIT) and value is not ABSENT
        sides.append(text[:8] if is_digest else text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…")
    return sides
