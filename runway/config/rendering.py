"""A resolved config as text, and what differs between two of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from runway.config.overrides import format_path
from runway.config.reads import ABSENT


def render(config: Mapping[str, Any]) -> str:
    """The config as JSON, two spaces a level, keys sorted: equal configs give equal text, and it can be loaded again.

    Values that JSON lacks (a Path put in at run time) are given as text.
    """
    return json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False, default=str) + "\n"


def diff(first: Any, second: Any) -> list[tuple[str, Any, Any]]:
    """What differs: (key as an override would name it, value in the first, value in the second).

    A value that one of them lacks is ABSENT. Lists of one length are compared item by item, others as a whole.
    """
    return [(format_path(path), old, new) for path, old, new in differences(first, second)]


def differences(first: Any, second: Any, path: tuple = ()) -> list[tuple[tuple, Any, Any]]:
    """As ``diff``, with paths as tuples."""
    found: list[tuple[tuple, Any, Any]] = []
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for key in sorted({*first, *second}):
            found += differences(first.get(key, ABSENT), second.get(key, ABSENT), (*path, key))
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for index, (old, new) in enumerate(zip(first, second, strict=True)):
            found += differences(old, new, (*path, index))
    elif first != second or isinstance(first, bool) != isinstance(second, bool):  # True == 1 in Python
        found.append((path, first, second))
    return found
