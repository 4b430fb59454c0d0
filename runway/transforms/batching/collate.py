"""From rows to batches: rows of similar length together, padded to the longest of their batch.

Padding every review to the longest one wastes most of a batch; rows sorted by length waste almost nothing.
The sampler gives whole batches of indices, the dataset fetches a batch at once, the collator pads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runway.transforms.arrow_tables import column, lengths
from runway.transforms.batching.length_buckets import LengthBucketSampler

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pyarrow as pa
    from datasets import Dataset
    from torch.utils.data import DataLoader

IGNORE_INDEX = -100
"""What pads a sequence of labels: torch's losses leave it out."""


def row_lengths(dataset: Dataset, name: str = "input_ids") -> np.ndarray:
    """The number of tokens of each row. int64, ``[rows]``."""
    return lengths(column(dataset, name))


class IndexedRows:
    """Rows of a Dataset, fetched a batch at a time, with their place in the dataset under ``index``.

    Batches are sorted by length; ``index`` lets an executor put its results back into the dataset's order.

    Args:
        dataset: the rows.
        columns: the columns to fetch; None means all.
    """

    def __init__(self, dataset: Dataset, columns: Sequence[str] | None = None) -> None:
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
    import pyarrow as pa

    kind = values.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        if _is_number(kind.value_type) and not values.null_count:
            array = values.combine_chunks()
            flat = np.array(array.flatten())  # a copy: torch wants to be able to write
            return np.split(flat, np.cumsum(array.value_lengths().to_numpy())[:-1])
    elif _is_number(kind) and not values.null_count:
        return np.array(values)
    return values.to_pylist()


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)


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


def make_dataloader(
    dataset: Dataset,
    *,
    batch_size: int = 32,
    shuffle: bool = False,
    columns: Sequence[str] | None = None,
    label_column: str | None = "label",
    pad_token_id: int = 0,
    padding_side: str = "right",
    pad_to_multiple_of: int | None = 8,
    length_bucketed: bool = True,
    max_tokens_per_batch: int | None = None,
    drop_last: bool = False,
    seed: int = 0,
    num_workers: int = 0,
    length_columns: Sequence[str] | None = None,
    with_mask: bool = False,
    **loader_kwargs: Any,
) -> DataLoader:
    """A DataLoader over a tokenised Dataset, with dynamic padding and batches of similar lengths.

    Args:
        dataset: the rows; their length is that of ``input_ids``, else of the first sequence of numbers.
        batch_size: rows of a batch.
        shuffle: another order in each epoch (``sampler.set_epoch``, which Lightning calls).
        columns: the columns that go into a batch; None takes numbers and sequences of numbers.
        label_column: the column that goes under ``labels``.
        pad_token_id: pads ``input_ids``.
        padding_side: ``right`` or ``left``.
        pad_to_multiple_of: round the padded length up to this.
        length_bucketed: whether rows of similar length go together.
        max_tokens_per_batch: fill batches by tokens instead of rows.
        drop_last: leave out the last, smaller batch.
        seed: of the order.
        num_workers: processes that fetch batches.
        length_columns: whose lengths count, one or two; None takes ``input_ids``, else the first sequence.
        with_mask: whether to add ``attention_mask`` where the rows have none.
        **loader_kwargs: further arguments of torch's DataLoader; ``collate_fn`` takes a batch of IndexedRows.

    Returns:
        Batches ``{name: tensor}`` with ``labels`` ``[B]`` and ``index`` ``[B]``.
    """
    from torch.utils.data import DataLoader

    names = numeric_columns(dataset) if columns is None else list(columns)
    sequences = _sequences(dataset, names)
    measured = [name for name in length_columns or ("input_ids", *names) if name in sequences]
    measured = measured[: len(length_columns or "1")]
    bucketed = length_bucketed or max_tokens_per_batch
    sampler = LengthBucketSampler(
        _lengths_of(dataset, measured) if measured and bucketed else None,
        batch_size,
        shuffle=shuffle,
        seed=seed,
        drop_last=drop_last,
        max_tokens_per_batch=max_tokens_per_batch if measured else None,
        rows=len(dataset),
    )
    if num_workers:
        loader_kwargs = {"persistent_workers": True, **loader_kwargs}
    collate = PadBatch({"input_ids": pad_token_id}, label_column, pad_to_multiple_of, padding_side, with_mask)
    rows: Any = IndexedRows(dataset, names)  # a Dataset to torch by what it does, not by its class
    return DataLoader(
        rows,
        sampler=sampler,
        batch_size=None,  # the sampler makes the batches
        num_workers=num_workers,
        **{"collate_fn": collate, **loader_kwargs},
    )


def _lengths_of(dataset: Dataset, names: Sequence[str]) -> np.ndarray:
    """``[rows]`` for one column, ``[rows, columns]`` for more."""
    import numpy as np

    found = [row_lengths(dataset, name) for name in names]
    return found[0] if len(found) == 1 else np.stack(found, axis=1)


def numeric_columns(dataset: Dataset) -> list[str]:
    """The columns of numbers and of sequences of numbers."""
    kinds = dataset.features.arrow_schema
    return [name for name in dataset.column_names if _is_number(_item_type(kinds.field(name).type))]


def _sequences(dataset: Dataset, names: Sequence[str]) -> list[str]:
    kinds = dataset.features.arrow_schema
    return [name for name in names if _item_type(kinds.field(name).type) != kinds.field(name).type]


def _item_type(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    return kind.value_type if pa.types.is_list(kind) or pa.types.is_large_list(kind) else kind
