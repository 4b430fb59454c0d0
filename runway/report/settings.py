"""A resolved config line by line, what was overridden marked, and what differs between several."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

ABSENT = "-"


def flat(config: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting with its path: ``train.batch_size``; a list is one setting unless objects are in it."""
    if isinstance(config, Mapping) and config:
        for key, value in config.items():
            yield from flat(value, f"{path}.{key}" if path else str(key))
    elif isinstance(config, list) and any(isinstance(value, Mapping) for value in config):
        for at, value in enumerate(config):
            yield from flat(value, f"{path}[{at}]")
    else:
        yield path, config


def config_lines(config: Mapping[str, Any], overrides: Iterable[str]) -> list[tuple[str, str]]:
    """The config as text, a setting a line, those that an override names with the class ``changed``."""
    named = [text.lstrip("~").partition("=")[0].rstrip("+") for text in overrides]
    return [
        (
            "changed" if any(path == name or path.startswith((f"{name}.", f"{name}[")) for name in named) else "plain",
            f"{path} = {json.dumps(value, ensure_ascii=False)}",
        )
        for path, value in flat(config)
    ]


def differences(values: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Any]]]:
    """What is not the same in all, with each one's value; ABSENT where one does not have it."""
    all_flat = [dict(flat(one)) for one in values]
    names = sorted(set().union(*all_flat))
    rows = [(name, [one.get(name, ABSENT) for one in all_flat]) for name in names]
    return [(name, row) for name, row in rows if any(value != row[0] for value in row[1:])]
