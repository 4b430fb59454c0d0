"""The recorder's table: columns side by side, of bounded memory, with forks that share what is finished."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from runway.errors import DataError, did_you_mean
from runway.log import human_bytes, warning
from runway.recorder.columns import Column, Form, pieces_of
from runway.recorder.encoding import IMAGE, MIXED, PLAIN, encode_array, take_values
from runway.recorder.pieces import Piece, SpillFile


class SampleTable:
    """Columns side by side, written from a position that moves on; what exceeds the memory limit is spilled."""

    MEMORY_LIMIT = 16 << 20
    """Bytes of finished values that stay in memory."""
    SEAL_BYTES = 2 << 20
    """Bytes of Arrow data that pending values should come to when they are sealed."""
    SEAL_ROWS = 8192
    """The most rows that are pending."""

    def __init__(self) -> None:
        self.columns: dict[str, Column] = {}
        self.rows = 0
        self.position = 0
        self._pending = 0
        self._seal_at = 64  # grows while the values turn out to be small
        self._arrived = 0  # bytes of arrays since the last seal
        self._spill_file: SpillFile | None = None

    def write(self, batch: Mapping[str, Any]) -> None:
        """Write a batch at the position, column by column, and move on.

        Raises:
            DataError: a column is not a sequence, or its length is not that of the others.
        """
        prepared = {name: prepare(values, name) for name, values in batch.items()}
        rows = _common_length({name: rows for name, (_, rows) in prepared.items()})
        for name, (values, _) in prepared.items():
            column = self.columns.get(name)
            if column is None:
                column = self.columns[name] = Column()
            column.write(self.position, values, rows)
            if rows and isinstance(values[0], Piece):
                self._arrived += sum(piece.nbytes for piece in values)
        self._advance(rows)

    def write_row(self, sample: Mapping[str, Any]) -> None:
        """Write one row at the position and move on."""
        for name, value in sample.items():
            column = self.columns.get(name)
            if column is None:
                column = self.columns[name] = Column()
            column.write(self.position, take_values([value], f"column {name!r}"), 1)
        self._advance(1)

    def _advance(self, rows: int) -> None:
        self.position += rows
        self.rows = max(self.rows, self.position)
        self._pending += rows
        if self._pending >= self._seal_at or self._arrived > self.SEAL_BYTES:
            self.seal()

    def seal(self) -> None:
        """Turn pending values into pieces, and spill where these are too many."""
        sealed = sum(column.seal() for column in self.columns.values())
        if self._pending >= self._seal_at and sealed < self.SEAL_BYTES:
            self._seal_at = min(self._seal_at * 2, self.SEAL_ROWS)
        elif sealed > 2 * self.SEAL_BYTES:
            self._seal_at = max(self._seal_at // 2, 1)
        self._pending = self._arrived = 0
        in_memory = sum(column.memory for column in self.columns.values())
        if in_memory > self.MEMORY_LIMIT:
            self._spill(in_memory)

    def _spill(self, in_memory: int) -> None:
        try:
            if self._spill_file is None or not self._spill_file.is_own:
                self._spill_file = SpillFile()
            for column in self.columns.values():
                column.spill(self._spill_file)
        except OSError as error:
            self.MEMORY_LIMIT = in_memory * 2  # not again at every batch
            warning(
                f"the recorder cannot write its temporary file ({error}); it keeps "
                f"{human_bytes(in_memory)} in memory instead. Set TMPDIR to a disk with room."
            )

    def rewind(self) -> None:
        """Go back to row 0 for another pass."""
        for column in self.columns.values():
            column.rewind()
        self.position = 0

    def fork(self) -> SampleTable:
        """A copy that shares what is finished and goes its own way from here."""
        twin = SampleTable()
        twin.columns = {name: column.fork() for name, column in self.columns.items()}
        for attribute in ("rows", "position", "_seal_at", "_spill_file", "MEMORY_LIMIT"):
            setattr(twin, attribute, getattr(self, attribute))
        return twin

    def set_column(self, name: str, values: Any) -> None:
        """Put a whole column in, in place of one of that name.

        Raises:
            DataError: its length is not the table's (unless that has no columns).
        """
        prepared, rows = prepare(values, name)
        if self.columns and rows != self.rows:
            raise DataError(f"column {name!r} has {rows} values, but the recorder has {self.rows} rows")
        made = Column()
        made.write(0, prepared, rows)
        made.rewind()
        self.columns[name] = made
        self.rows = rows
        self.seal()

    def add_pieces(self, columns: Mapping[str, list[Piece]], rows: int) -> None:
        """Put finished columns in, in place of those of the same names."""
        self.columns.update({name: Column(pieces) for name, pieces in columns.items()})
        self.rows = rows
        self.seal()

    @classmethod
    def from_arrow(cls, table: pa.Table, rows: int) -> SampleTable:
        """The table of which ``table`` is the Arrow view."""
        made = cls()
        columns = zip(table.schema, table.columns, strict=True)
        made.add_pieces({found.name: pieces_of(column.chunks, kind_of(found)) for found, column in columns}, rows)
        return made

    def adopt(self, other: SampleTable) -> None:
        """Take over the columns that this table lacks; both share what they hold."""
        for name, column in other.columns.items():
            if name not in self.columns:
                self.columns[name] = column.fork()
                self.columns[name].rewind()
        self.rows = max(self.rows, other.rows)
        self.seal()

    def append(self, other: SampleTable) -> None:
        """Write another table's rows at the position; a column that one of the two lacks has None there."""
        for name, column in other.columns.items():
            pieces = column.pieces()
            self.columns.setdefault(name, Column()).write(self.position, pieces, len(column))
        self._advance(other.rows)

    def take(self, rows: Sequence[int]) -> SampleTable:
        """A table of the given rows, in the given order."""
        twin = SampleTable()
        for name, column in self.columns.items():
            kind, type_ = column.form()
            whole = pa.chunked_array(column.arrays(self.rows, (kind, type_)), type_)
            blocks = [whole.take(pa.array(rows[at : at + 65536])) for at in range(0, len(rows), 65536)]
            pieces = pieces_of((chunk for block in blocks for chunk in block.chunks), kind)
            twin.add_pieces({name: pieces}, len(rows))
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

    def forms(self) -> dict[str, Form]:
        """Each column's kind and type."""
        return {name: column.form() for name, column in self.columns.items()}

    def schema(self) -> pa.Schema:
        """The Arrow schema; a column that is not plain says so in its field's metadata."""
        return pa.schema([field(name, *form) for name, form in self.forms().items()])

    def batches(self, *, most_rows: int = 65536, most_bytes: int = 16 << 20) -> Iterator[pa.Table]:
        """All rows in order, a bounded number at a time, reading each piece once."""
        forms = self.forms()
        schema = pa.schema([field(name, *form) for name, form in forms.items()])
        size = sum(piece.nbytes for column in self.columns.values() for piece in column.pieces())
        step = max(1, min(most_rows, most_bytes * max(self.rows, 1) // max(size, 1)))
        cursors = [_Cursor(self.columns[name].arrays(self.rows, form)) for name, form in forms.items()]
        for start in range(0, self.rows, step):
            rows = min(step, self.rows - start)
            yield pa.Table.from_arrays([cursor.take(rows) for cursor in cursors], schema=schema)


class _Cursor:
    """Takes rows off a stream of arrays."""

    def __init__(self, arrays: Iterator[pa.Array]) -> None:
        self._arrays = arrays
        self._rest: pa.Array | None = None

    def take(self, rows: int) -> pa.ChunkedArray:
        """The next rows."""
        taken = []
        while rows:
            array = self._rest if self._rest is not None and len(self._rest) else next(self._arrays)
            head = array.slice(0, rows)
            taken.append(head)
            self._rest = array.slice(len(head))
            rows -= len(head)
        return pa.chunked_array(taken)


def field(name: str, kind: str, type_: pa.DataType) -> pa.Field:
    """A column's field in an Arrow schema."""
    return pa.field(name, type_, metadata=None if kind == PLAIN else {"runway": kind})


def kind_of(found: pa.Field) -> str:
    """The kind that ``field`` noted."""
    kind = (found.metadata or {}).get(b"runway", PLAIN.encode()).decode()
    return kind if kind in (MIXED, IMAGE) else PLAIN


def prepare(values: Any, name: str) -> tuple[Sequence, int]:
    """A column's values ready to be written (plain values, or pieces) and their number.

    Raises:
        DataError: ``values`` is not a sequence of values.
    """
    if type(name) is not str:
        raise DataError(f"a column's name must be text, but is {name!r} instead")
    if not isinstance(values, list | tuple):
        arrays = encode_array(values)
        if arrays is not None:
            return pieces_of(arrays), sum(map(len, arrays))  # no rows: no pieces
        no_sequence = isinstance(values, str | bytes | Mapping) or not hasattr(values, "__len__")
        if no_sequence or getattr(values, "shape", None) == ():
            raise DataError(
                f"column {name!r} of a batch must be a list, an array or a tensor, but is a {type(values).__name__}",
                hint="one value for each row; log_sample_dict logs one row",
            )
    listed = take_values(values, f"column {name!r}")
    return listed, len(listed)


def _common_length(lengths: Mapping[str, int]) -> int:
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name!r} has {rows}" for name, rows in lengths.items())
        raise DataError(f"the columns of one batch must have equal lengths, but {listed}")
    return next(iter(lengths.values()), 0)
