"""The text of __name__ as blocks of bytes."""

from __future__ import annotations

from typing import Any

from runway import transform


@transform
def __name___blocks(self: Any, path: str, block: int = 64) -> Any:
    """Cut a text into blocks of bytes, which are its tokens; the last tenths are for validation and test.

    Args:
        self: the transform.
        path: the text's file.
        block: how many bytes.
    """
    from datasets import Dataset, DatasetDict

    text = self.track_file(path).read_bytes()
    blocks = [list(text[start : start + block]) for start in range(0, len(text) - block + 1, block)]
    tenth = max(1, len(blocks) // 10)
    parts = {"train": blocks[: -2 * tenth], "validation": blocks[-2 * tenth : -tenth], "test": blocks[-tenth:]}
    return DatasetDict({name: Dataset.from_dict({"input_ids": rows}) for name, rows in parts.items()})
