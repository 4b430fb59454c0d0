"""The recorder's table: columns side by side, of bounded memory, with forks that share what is finished."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from runway.disk import ArrowDigest, SpillFile
from runway.errors import DataError, did_you_mean
from runway.log import human_bytes, warning
from runway.recorder.columns import Column, Piece
from runway.recorder.encoding import encode_array, stored_values
from runway.recorder.plain import take_values

if TYPE_CHECKING:
    import numpy as np

_REWRITTEN_ROWS = 1024  # at a time: images are large


class SampleTable:
    """Columns side by side, written from a position that moves on; what exceeds the memory limit is spilled."""

    MEMORY_LIMIT = 16 << 20
    """Bytes of finished values that stay in memory."""
    SEAL_BYTES = 2 << 20
    """Bytes of Arrow data that pending values should come to when they are sealed."""
    SEAL_ROWS = 8192
    """The most rows that are pending."""
    SHARE_BYTES = 32 << 20
    """Bytes of a column that ``take`` puts in order at once."""

    def __init__(self) -> None:
        self.columns: dict[str, Column] = {}
        self.rows = 0
        self.position = 0
        self._pending = 0
        self._seal_at = 64  # grows while the values turn out to be small
        self._spill_file: SpillFile | None = None

    def write(self, batch: Mapping[str, Any]) -> None:
        """Write a batch at the position, column by column, and move on.

        Raises:
            DataError: a column is not a sequence, or its length is not that of the others.
        """
        prepared = {name: prepare(values, name) for name, values in batch.items()}
        if len(set(map(len, prepared.values()))) > 1:
            listed = ", ".join(f"{name!r} has {len(values)}" for name, values in prepared.items())
            raise DataError(f"the columns of one batch must have equal lengths, but {listed}")
        for name, values in prepared.items():
            self._writable(name).write(self.position, values)
        self._advance(len(next(iter(prepared.values()), ())))

    def write_row(self, sample: Mapping[str, Any]) -> None:
        """Write one row at the position and move on."""
        for name in sample.keys() - self.columns.keys():
            must_be_column(name)
        prepared = {name: take_values([value], f"column {name!r}") for name, value in sample.items()}
        for name, values in prepared.items():  # none is written where one cannot be
            self._writable(name).write(self.position, values)
        self._advance(1)

    def append(self, other: SampleTable) -> None:
        """Write another table's rows at the position; a column that one of the two lacks has None there."""
        for name, column in other.columns.items():
            self._writable(name).lay(self.position, column.pieces())
        self._advance(other.rows)

    def _writable(self, name: str) -> Column:
        column = self.columns.get(name)
        if column is None:
            column = self.columns[name] = Column()
        return column

    def _advance(self, rows: int) -> None:
        self.position += rows
        self.rows = max(self.rows, self.position)
        self._pending += rows
        if self._pending >= self._seal_at or self._memory() > self.MEMORY_LIMIT:
            self.seal()

    def _memory(self) -> int:
        return sum(column.memory for column in self.columns.values())

    def seal(self) -> None:
        """Turn pending values into pieces, and spill where these are too many."""
        sealed = sum(column.seal() for column in self.columns.values())
        if self._pending >= self._seal_at and sealed < self.SEAL_BYTES:
            self._seal_at = min(self._seal_at * 2, self.SEAL_ROWS)
        elif sealed > 2 * self.SEAL_BYTES:
            self._seal_at = max(self._seal_at // 2, 1)
        self._pending = 0
        if self._memory() <= self.MEMORY_LIMIT:
            return
        try:
            if self._spill_file is None or not self._spill_file.is_own:
                self._spill_file = SpillFile()
            for column in self.columns.values():
                column.spill(self._spill_file)
        except OSError as error:
            self.MEMORY_LIMIT = self._memory() * 2  # not again at every batch
            warning(
                f"the recorder cannot write its temporary file ({error}); it keeps "
                f"{human_bytes(self._memory())} in memory instead. Set TMPDIR to a disk with room."
            )

    def fork(self) -> SampleTable:
        """A copy that shares what is finished and goes its own way from here."""
        twin = copy.copy(self)
        twin.columns = {name: column.fork() for name, column in self.columns.items()}
        return twin

    def set_column(self, name: str, values: Any) -> None:
        """Put a whole column in, in place of one of that name.

        Raises:
            DataError: its length is not the table's (unless that has no columns).
        """
        prepared = prepare(values, name)
        if self.columns and len(prepared) != self.rows:
            raise DataError(f"column {name!r} has {len(prepared)} values, but the recorder has {self.rows} rows")
        self.columns[name] = Column()
        self.columns[name].write(0, prepared)
        self.rows = len(prepared)
        self.position = min(self.position, self.rows)
        self.seal()

    def add_column(self, name: str, pieces: list[Piece]) -> None:
        """Put in a column that lies elsewhere."""
        self.columns[name] = Column()
        self.columns[name].lay(0, pieces)

    def rewrite_column(self, name: str, change: Callable[[list, int], list]) -> None:
        """Put other values in a column's place, some rows at a time.

        Args:
            name: the column.
            change: takes plain values and the row of the first; gives as many plain values.
        """
        arrays = self.columns[name].arrays(self.rows)
        made = self.columns[name] = Column()
        for values in cut_anew(arrays, _REWRITTEN_ROWS):
            made.write(len(made), change(stored_values(values), len(made)))
            self.seal()

    def adopt(self, other: SampleTable) -> None:
        """Take over the columns that this table lacks; both share what they hold."""
        missing = {name: column.fork() for name, column in other.columns.items() if name not in self.columns}
        self.columns.update(missing)
        self.rows = max(self.rows, other.rows)
        self.seal()

    def take(self, rows: Sequence[int] | np.ndarray) -> SampleTable:
        """A table of the given rows, in the given order; each piece is read once, and memory is bounded.

        What is read is dealt out by where it goes to; each share is then put in order by itself.
        """
        import numpy as np

        # A number of a row takes four bytes where that is enough: of millions of rows there are several such lists.
        kind: Any = np.uint32 if self.rows < 1 << 32 > len(rows) else np.int64
        wanted = np.asarray(rows).astype(kind)
        goes_to = np.argsort(wanted, kind="stable").astype(kind)
        source = wanted[goes_to]  # the rows as they lie
        del wanted
        twin = SampleTable()
        for name, column in self.columns.items():
            made = twin.columns[name] = Column()
            count = min(1 + column.bytes_in_memory() // self.SHARE_BYTES, max(len(rows), 1))
            size = -(-len(rows) // count) or 1  # rows of a share
            shares = SampleTable()
            shares.columns = {str(number): Column() for number in range(count)}
            places: list[list[np.ndarray]] = [[] for _ in range(count)]
            first = 0
            for array in column.arrays(self.rows):
                low, high = np.searchsorted(source, np.array([first, first + len(array)], dtype=kind))
                share = (goes_to[low:high] // size).astype(np.uint16 if count < 1 << 16 else kind)
                order = np.argsort(share, kind="stable")
                taken = array.take(pa.array(source[low:high][order].astype(np.int64) - first))
                ends = np.searchsorted(share[order], np.arange(count + 1, dtype=np.uint32))
                for number in np.flatnonzero(np.diff(ends)):
                    part = slice(ends[number], ends[number + 1])
                    shares.columns[str(number)].append(Piece.of(taken[part]))
                    places[number].append(goes_to[low:high][order[part]])
                shares.seal()
                first += len(array)
            for index, place in enumerate(places):
                if place:
                    whole = shares.columns.pop(str(index)).whole(sum(map(len, place))).combine_chunks()
                    made.append(Piece.of(whole.take(pa.array(np.argsort(np.concatenate(place))))))
                    twin.seal()
        twin.rows = twin.position = len(rows)
        return twin

    def column(self, name: str) -> Column:
        """One column.

        Raises:
            DataError: there is none of that name.
        """
        if name not in self.columns:
            raise DataError(f"the recorder has no column {name!r}", hint=did_you_mean(name, self.columns))
        return self.columns[name]

    def batches(self, *, most_rows: int = 65536, most_bytes: int = 16 << 20) -> Iterator[pa.Table]:
        """All rows in order, a bounded number at a time, reading each piece once."""
        size = sum(piece.nbytes for column in self.columns.values() for piece in column.pieces())
        step = max(1, min(most_rows, most_bytes * max(self.rows, 1) // max(size, 1)))
        for columns in zip(
            *(cut_anew(column.arrays(self.rows), step) for column in self.columns.values()), strict=True
        ):
            yield pa.table(list(columns), names=list(self.columns))

    def digest(self) -> str:
        """A hexadecimal digest of the columns, the same however they were batched, spilled or stored."""
        found = ArrowDigest()
        for name, column in self.columns.items():
            for array in column.arrays(self.rows):
                found.add(name, array)
        return found.digest().hex()


def cut_anew(arrays: Iterator[pa.Array], rows: int) -> Iterator[pa.ChunkedArray]:
    """A stream of arrays, ``rows`` rows at a time."""
    held: list[pa.Array] = []
    missing = rows
    for array in arrays:
        while len(array) >= missing:
            yield pa.chunked_array([*held, array.slice(0, missing)])
            array = array.slice(missing)
            held, missing = [], rows
        if len(array):
            held.append(array)
            missing -= len(array)
    if held:
        yield pa.chunked_array(held)


def must_be_column(name: object) -> None:
    """Raise a DataError unless it is text that a file can hold."""
    if type(name) is not str or "\0" in name:  # with which HF has no column
        raise DataError(f"a column's name must be text, but is {name!r} instead")
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"a column's name must be text of whole characters, but is {name!r} instead") from error


def prepare(values: Any, name: str) -> list | pa.ChunkedArray:
    """A column's values ready to be written: plain ones, or an array.

    Raises:
        DataError: ``values`` is not a sequence of values.
    """
    must_be_column(name)
    if not isinstance(values, list | tuple):
        array = encode_array(values)
        if array is not None:
            return array
        no_sequence = isinstance(values, str | bytes | Mapping) or not hasattr(values, "__len__")
        if no_sequence or getattr(values, "shape", None) == ():
            raise DataError(
                f"column {name!r} of a batch must be a list, an array or a tensor, but is a {type(values).__name__}",
                hint="one value for each row; log_sample_dict logs one row",
            )
    return take_values(values, f"column {name!r}")
