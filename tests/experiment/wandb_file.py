"""What wandb has written offline, read back: its own records, in LevelDB's log format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

_HEADER, _BLOCK = 7, 32 * 1024  # of the file and of each piece; LevelDB's


def records(path: Path) -> Iterator[Any]:
    """The records of a ``.wandb`` file."""
    data, at, whole = path.read_bytes(), _HEADER, b""
    assert data.startswith(b":W&B")
    while at + _HEADER <= len(data):
        left = _BLOCK - at % _BLOCK
        if left < _HEADER:
            at += left
            continue
        size, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        whole += data[at + _HEADER : at + _HEADER + size]
        at += _HEADER + size
        if kind in (1, 4):  # the whole of a record, or its last piece
            yield wandb_internal_pb2.Record.FromString(whole)
            whole = b""


def plain(items: Any) -> dict[str, Any]:
    """Items of a config or a history as a dict."""
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}
