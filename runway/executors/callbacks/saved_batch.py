"""A batch as a file that can be looked at: what made a loss NaN, or did not fit into memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from runway.disk import replacing
from runway.executors.drawn_rows import whole_numbers
from runway.log import human_bytes, shown

MOST_BYTES = 256 * 2**20
"""A saved batch is no larger: what is beyond it is named in the file, with its shape."""
_SHOWN = 12


def save_batch(batch: Any, path: Path, facts: Mapping[str, Any]) -> tuple[Path | None, str]:
    """Write a batch with what is known of it, for ``torch.load(path, weights_only=True)``; on the CPU, and at once.

    Args:
        batch: of any kind; what is no tensor, number or text in it becomes text.
        path: the file, replaced as a whole.
        facts: numbers, text, and lists and dicts of them.

    Returns:
        The file, and a word on where it is; no file and the reason where it cannot be written, which must not hide
        what the batch is saved for.
    """
    left_out: list[str] = []
    try:
        content = {**facts, "batch": _plain(batch, "batch", [MOST_BYTES], left_out), "left_out": left_out}
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as scratch:
            torch.save(content, scratch)
    except (OSError, RuntimeError) as error:
        return None, f"the batch could not be saved: {' '.join(str(error).split())[:200]}"
    lacking = f", without {', '.join(left_out)}" if left_out else ""
    return path, f"the batch is saved in {shown(path)}{lacking}"


def _plain(value: Any, name: str, left: list[int], left_out: list[str]) -> Any:
    """What ``weights_only`` loads; ``left`` holds how many bytes still fit."""
    if isinstance(value, torch.Tensor):
        size = value.numel() * value.element_size()
        if size > left[0]:
            left_out.append(f"{name} {tuple(value.shape)} ({human_bytes(size)})")
            return None
        left[0] -= size
        return value.detach().to("cpu", copy=True).contiguous()  # a view would bring all that it is a view of
    if isinstance(value, Mapping):
        return {str(key): _plain(part, f"{name}.{key}", left, left_out) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part, f"{name}[{place}]", left, left_out) for place, part in enumerate(value)]
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if type(value) is str else repr(value)
    left[0] -= len(text)
    return text if left[0] > 0 else None


def row_indexes(batch: Any, name: str = "index") -> dict[str, list[int]]:
    """The rows of the dataset that a batch says it is made of: every ``index`` of whole numbers in it, by its path."""
    found = {}
    for path, key, value in _entries(batch):
        if key == name:
            try:
                rows = whole_numbers(value)
            except (TypeError, ValueError):  # something of the user's with that name
                rows = None
            if rows is not None:
                found[path] = rows
    return found


def _entries(value: Any, path: str = "") -> Iterator[tuple[str, str, Any]]:
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, part in items:
        inside = f"{path}.{key}" if path else str(key)
        yield inside, str(key), part
        if isinstance(part, Mapping | list | tuple):
            yield from _entries(part, inside)


def shown_rows(rows: Mapping[str, list[int]]) -> str:
    """``, rows 3, 17 and 5 more of the dataset``; nothing where none is known."""
    told = []
    for path, numbers in rows.items():
        more = f" and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else ""
        of = f" of {path.removesuffix('.index')}" if path != "index" else ""
        told.append(f"{', '.join(map(str, numbers[:_SHOWN]))}{more}{of}")
    return f", rows {'; '.join(told)} of the dataset" if told else ""
