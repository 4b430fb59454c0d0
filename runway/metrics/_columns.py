"""The columns that metrics compute on: labels, numbers and texts, however they are given, as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

_SMALL = 1 << 22
"""Pairs of labels that are counted in a table, in place of sorting them."""
_BLOCK = 1 << 20
"""Samples at a time, so that a long column needs little memory beside its own."""


def plain_array(values: Any, what: str) -> Any:
    """Values as numpy, or, of text, as an Arrow array.

    Args:
        values: a list, a numpy or Arrow array, or a tensor: a value, or a list of values, for each sample.
        what: they are, for errors.

    Raises:
        ValueError: one of them is missing, or they are of several kinds.
    """
    import pyarrow as pa

    if isinstance(values, pa.Array | pa.ChunkedArray):
        array = values
    elif hasattr(values, "detach"):
        return values.detach().cpu().numpy()
    elif isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        return values
    else:
        values = values.tolist() if isinstance(values, np.ndarray) else list(values)
        try:
            array = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            return _numpy(values, what)
    if array.null_count:
        raise ValueError(f"{array.null_count} of {len(array)} {what} are missing")
    kind = array.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return array
    if pa.types.is_nested(kind) or pa.types.is_null(kind):
        return _numpy(values if isinstance(values, list) else array.to_pylist(), what)
    return array.to_numpy(zero_copy_only=False) if isinstance(array, pa.Array) else array.to_numpy()


def _numpy(values: list, what: str) -> np.ndarray:
    """What Arrow does not take: lists of arrays or tensors; not all of one length, or of one kind, is an error."""
    try:
        array = np.asarray([value.tolist() if hasattr(value, "tolist") else value for value in values])
    except ValueError:
        raise ValueError(f"the {what} are not all of one length") from None
    if array.dtype.kind not in "biuf" or (array.ndim == 1 and any(isinstance(value, str) for value in values)):
        if array.size == 0:
            return array.astype(float)
        raise ValueError(f"the {what} are of several kinds, or not numbers: {values[0]!r:.60}")
    return array


def whole(array: np.ndarray, what: str) -> np.ndarray:
    """Labels as whole numbers.

    Raises:
        ValueError: one is a fraction.
    """
    if array.dtype.kind != "f":
        return array.astype(np.int64, copy=False)
    with np.errstate(invalid="ignore"):
        found = array.astype(np.int64)
    if not (found == array).all():
        bad = array[found != array].reshape(-1)[0]
        raise ValueError(f"the {what} must be labels, whole numbers or text, but one is {bad}")
    return found


def numbers(values: Any, what: str) -> np.ndarray:
    """Numbers, shape (samples,) or (samples, numbers).

    Raises:
        ValueError: they are none.
    """
    array = plain_array(values, what)
    if not isinstance(array, np.ndarray):
        raise ValueError(f"the {what} must be numbers, but are text")
    return array.astype(float, copy=False)


def _coded(*columns: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Whole numbers as places among all that occur, which come first, sorted."""
    low = min((int(column.min()) for column in columns if len(column)), default=0)
    span = max((int(column.max()) for column in columns if len(column)), default=0) - low + 1
    if span * span > _SMALL:
        names, codes = np.unique(np.concatenate(columns), return_inverse=True)
        return names, np.split(codes.reshape(-1), np.cumsum([len(column) for column in columns])[:-1])
    found: list[np.ndarray] = [np.empty(len(column), dtype=np.int32) for column in columns]
    there = np.zeros(span, dtype=bool)
    for column, codes in zip(columns, found, strict=True):
        for start in range(0, len(column), _BLOCK):
            codes[start : start + _BLOCK] = column[start : start + _BLOCK] - low
            there |= np.bincount(codes[start : start + _BLOCK], minlength=span) > 0
    if not there.all():
        place = (np.cumsum(there) - 1).astype(np.int32)
        found = [place[codes] for codes in found]
    return np.flatnonzero(there) + low, found


def _coded_texts(*columns: Any) -> tuple[np.ndarray, list[np.ndarray]]:
    """Texts as places among all that occur, which come first, sorted."""
    import pyarrow as pa

    chunks = [part for one in columns for part in (one.chunks if isinstance(one, pa.ChunkedArray) else [one])]
    coded = pa.chunked_array([chunk.cast(pa.string()) for chunk in chunks], pa.string()).dictionary_encode()
    coded = coded.unify_dictionaries()
    if not coded.num_chunks:
        return np.empty(0, dtype=object), [np.empty(0, dtype=np.int32) for _ in columns]
    names = np.asarray(coded.chunk(0).dictionary.to_pylist(), dtype=object)
    order = np.argsort(names, kind="stable")
    place = np.empty(len(order), dtype=np.int32)
    place[order] = np.arange(len(order))
    codes = np.concatenate([place[chunk.indices.to_numpy()] for chunk in coded.chunks])
    return names[order], np.split(codes, np.cumsum([len(column) for column in columns])[:-1])


class Pairs:
    """Predicted and true labels, counted: each distinct pair once, with how often it is there.

    Whatever depends on the counts of pairs alone is the same of the distinct ones weighted by these counts, and costs
    nothing more of a million samples.

    Args:
        predictions: a label for each sample.
        references: likewise.

    Raises:
        ValueError: they are no labels, or text and numbers.
    """

    def __init__(self, predictions: Any, references: Any) -> None:
        predicted, true = plain_array(predictions, "predictions"), plain_array(references, "references")
        if isinstance(predicted, np.ndarray) != isinstance(true, np.ndarray):
            raise ValueError("predictions and references must both be text or both be numbers, but one is and one not")
        if isinstance(predicted, np.ndarray):
            given = whole(predicted, "predictions"), whole(true, "references")
            if given[0].ndim != 1 or given[1].ndim != 1:
                raise ValueError(
                    "predictions and references must be a label for each sample; lists of 0 and 1 are multilabel: "
                    "config_name='multilabel'"
                )
            self.names, (self._predicted, self._true) = _coded(*given)
        else:
            self.names, (self._predicted, self._true) = _coded_texts(predicted, true)
        size = len(self.names)
        if size * size <= _SMALL:
            table = np.zeros(size * size, dtype=np.int64)
            for part in self._blocks():
                table += np.bincount(self._cells(part), minlength=size * size)
            self._distinct = np.flatnonzero(table)
            self.counts = table[self._distinct]
        else:
            self._distinct, self.counts = np.unique(self._cells(slice(None)), return_counts=True)
        self.true_codes, self.predicted_codes = np.divmod(self._distinct, max(size, 1))

    def _blocks(self) -> Iterator[slice]:
        return (slice(start, start + _BLOCK) for start in range(0, len(self), _BLOCK))

    def _cells(self, part: slice) -> np.ndarray:
        """The number of each sample's pair among all that there may be."""
        return self._true[part].astype(np.int64) * len(self.names) + self._predicted[part]

    def __len__(self) -> int:
        return len(self._true)

    @property
    def predicted(self) -> np.ndarray:
        """The predicted label of each distinct pair."""
        return self.names[self.predicted_codes]

    @property
    def true(self) -> np.ndarray:
        """The true label of each distinct pair."""
        return self.names[self.true_codes]

    @cached_property
    def which(self) -> np.ndarray:
        """The number of each sample's pair, shape (samples,)."""
        found = np.empty(len(self), dtype=np.int32)
        for part in self._blocks():
            found[part] = np.searchsorted(self._distinct, self._cells(part))
        return found

    @property
    def right(self) -> np.ndarray:
        """Whether each sample is predicted right."""
        return self._predicted == self._true

    def weights(self, sample_weight: Any = None) -> np.ndarray:
        """The weight of each distinct pair: its count, or the sum of its samples' weights."""
        if sample_weight is None:
            return self.counts
        given = numbers(sample_weight, "sample_weight")
        if given.shape != (len(self),):
            raise ValueError(f"sample_weight must have a weight for each of {len(self)} samples, but has {given.shape}")
        return np.bincount(self.which, given, len(self.counts))

    def count(self, label: Any) -> tuple[int, int]:
        """How many references, and how many predictions, are of this label."""
        return int(self.counts[self.true == label].sum()), int(self.counts[self.predicted == label].sum())


def texts(values: Any, what: str) -> list:
    """A text, or a list of texts, for each sample, as lists.

    Raises:
        ValueError: one is none.
    """
    found: Sequence = values
    if hasattr(values, "to_pylist"):
        found = values.to_pylist()
    elif isinstance(values, np.ndarray):
        found = values.tolist()
    found = list(found)
    for place, value in enumerate(found):
        is_list = isinstance(value, list | tuple) or hasattr(value, "tolist")
        if not isinstance(value, str) and not (is_list and all(isinstance(one, str) for one in value)):
            raise ValueError(f"the {what} must be texts, but sample {place} has {value!r:.60}")
    return found


def equal_texts(predictions: Any, references: Any) -> np.ndarray:
    """Whether each prediction is its reference, shape (samples,).

    Raises:
        ValueError: they are no texts.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = []
    for what, values in (("predictions", predictions), ("references", references)):
        array = plain_array(values, what)
        if isinstance(array, np.ndarray):
            raise ValueError(f"the {what} must be texts, but are numbers")
        columns.append(array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array]))
    return pc.equal(*columns).to_numpy()
