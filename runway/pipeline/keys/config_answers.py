"""What the config answers to what a node asked of it, as a state that can be compared, and the differences in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from runway.config.overrides import format_path
from runway.config.reads import answer, given, lookup, seen_by_nodes
from runway.masking import for_keys
from runway.pipeline.keys.fingerprint import combine, digest

WHOLE = "(all of it)"


def config_state(question: str, path: tuple[str | int, ...], config: Any) -> tuple[str, str]:
    """The name of a place in the config, and what stands there as far as it was asked: words, keys or a digest."""
    place = format_path(path)
    name = f"config {place or WHOLE}"
    value = lookup(seen_by_nodes(config), path)  # that it is not there counts too
    told = answer(question, value)
    if told is not None:
        return name, told
    value = given(value) if question == "given" and isinstance(value, Mapping) else value
    value = for_keys(value, str(path[-1]) if path else "")
    whole = digest(value, f"global_config.{place}".rstrip("."))
    order = _key_order(value)
    return name, combine(whole, json.dumps(order, default=repr)) if order else whole


def _key_order(value: Any) -> list:
    """The keys of the sections in a value, in their order, which a digest leaves out."""
    if isinstance(value, Mapping):
        return [[key, _key_order(part)] for key, part in value.items()]
    return [_key_order(part) for part in value] if isinstance(value, list | tuple) else []


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What differs between two states of one read set, one line each; what is in a section that went is left out.

    Args:
        before: what ``states`` gave then.
        now: what it gives now.
    """
    lines: list[str] = []
    gone: list[str] = []
    for name, old in sorted(before.items()):
        new = now.get(name)
        if new == old or name.startswith(tuple(gone)):
            continue
        if "absent" in (old, new):
            lines.append(f"{name} was {'added' if old == 'absent' else 'removed'}")
            gone += [f"{name}.", f"{name}["]
        elif new is None or _is_digest(old) or _is_digest(new):
            lines.append(f"{name} changed")
        elif old.startswith("[") and new.startswith("["):
            lines.append(f"{name} has other keys: {_other_keys(json.loads(old), json.loads(new))}")
        else:
            lines.append(f"{name} was {_kind(old)}, and is {_kind(new)} now")
    return lines


def _is_digest(state: str) -> bool:
    return len(state) == 32 and " " not in state and not state.startswith("[")


def _kind(state: str) -> str:
    return "a section" if state.startswith("[") else state


def _other_keys(old: list, new: list) -> str:
    parts = [f"{key} was added" for key in new if key not in old] + [
        f"{key} was removed" for key in old if key not in new
    ]
    return ", ".join(parts) or "their order changed"
