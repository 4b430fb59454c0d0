"""From rows to a batch of tensors: fetched all at once, padded to the longest of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pyarrow as pa
    from datasets import Dataset

IGNORE_INDEX = -100
"""What pads a sequence of labels: torch's losses leave it out."""


class IndexedRows:
    """Rows of a Dataset, fetched a batch at a time, with their place in the dataset under ``index``.

    Batches are sorted by length; ``index`` lets an executor put its results back into the dataset's order.

    Args:
        dataset: the rows.
        columns: the columns to fetch; None means all.
    """

    def __init__(self, dataset: Dataset, columns: Sequence[str] | None = None) -> None:
        self.whole = dataset
        """With the columns that are not in the batches: ``record_columns`` may name them."""
        chosen = dataset if columns is None else dataset.select_columns(list(columns))
        self.rows = chosen.with_format("arrow")

    @property
    def features(self) -> Any:
        """The columns' types: a ClassLabel has the names of the classes."""
        return self.rows.features

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, indices: list[int]) -> dict[str, Any]:
        """The batch ``{column: values}``: an array ``[B]`` of numbers, a list of arrays of sequences, or a list."""
        import numpy as np

        table = self.rows[indices]
        batch = {name: _values(table.column(name)) for name in table.column_names}
        return {**batch, "index": np.asarray(indices, dtype=np.int64)}


def _values(values: pa.ChunkedArray) -> Any:
    import numpy as np

    if values.null_count or not is_numeric(values.type):
        return values.to_pylist()
    if not is_sequence(values.type):
        return np.array(values)
    array = values.combine_chunks()
    flat = np.array(array.flatten())  # a copy: torch wants to be able to write
    return np.split(flat, np.cumsum(array.value_lengths().to_numpy())[:-1])


def is_sequence(kind: pa.DataType) -> bool:
    """Whether values of this type are lists."""
    import pyarrow as pa

    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def is_numeric(kind: pa.DataType) -> bool:
    """Whether values of this type are numbers or lists of numbers."""
    import pyarrow as pa

    item = kind.value_type if is_sequence(kind) else kind
    return pa.types.is_integer(item) or pa.types.is_floating(item) or pa.types.is_boolean(item)


class PadBatch:
    """Collates a batch of IndexedRows into tensors: sequences padded to the longest of the batch.

    Args:
        pad_values: {column: what pads it}; others are padded with 0, a sequence of labels with -100.
        label_column: the column that goes under ``labels``: int64 ``[B]`` (``[B, T]`` for sequences), or float32.
        pad_to_multiple_of: round the length up, which suits the hardware.
        padding_side: ``right`` or ``left``.
        with_mask: whether to add ``attention_mask`` for ``input_ids``, where the rows have none.
    """

    def __init__(
        self,
        pad_values: Mapping[str, int] | None = None,
        label_column: str | None = "label",
        pad_to_multiple_of: int | None = 8,
        padding_side: str = "right",
        with_mask: bool = False,
    ) -> None:
        self.pad_values = {"labels": IGNORE_INDEX, **(pad_values or {})}
        self.label_column = label_column
        self.pad_to_multiple_of = pad_to_multiple_of or 1
        self.padding_side = padding_side
        self.with_mask = with_mask

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The batch ``{name: tensor}``; what is not numeric stays a list."""
        import numpy as np
        import torch

        tensors: dict[str, Any] = {}
        if self.with_mask and "attention_mask" not in batch:
            batch = {**batch, "attention_mask": [np.ones(len(ids), np.int64) for ids in batch["input_ids"]]}
        for column_name, values in batch.items():
            name = "labels" if column_name == self.label_column else column_name
            if isinstance(values, list) and values and isinstance(values[0], np.ndarray):
                values = self._pad(values, self.pad_values.get(name, 0))
            if isinstance(values, np.ndarray):
                values = torch.from_numpy(values.astype(np.float32 if values.dtype.kind == "f" else np.int64))
            tensors[name] = values
        return tensors

    def _pad(self, sequences: list[np.ndarray], pad_value: int) -> np.ndarray:
        """Sequences ``[B][T_b]`` as one array ``[B, T]``."""
        import numpy as np

        multiple = self.pad_to_multiple_of
        width = -(-max(max(map(len, sequences)), 1) // multiple) * multiple
        kind = np.float32 if sequences[0].dtype.kind == "f" else np.int64
        padded = np.full((len(sequences), width), pad_value, dtype=kind)
        for row, sequence in zip(padded, sequences, strict=True):
            if self.padding_side == "right":
                row[: len(sequence)] = sequence
            else:
                row[width - len(sequence) :] = sequence
        return padded
