"""One column of the recorder's table: pieces in Arrow, which its forks share, and values that are not yet in one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from runway.recorder.encoding import JSON, common_type, convert, encode, python_values

if TYPE_CHECKING:
    from runway.disk import SpillFile

_FEW_ROWS = 4096  # so few missing values are cheaper as values than as a piece of their own
_JOIN_ROWS = 4096  # smaller neighbours are joined,
_JOIN_BYTES = 256 << 10  # as long as that is cheap


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of one column; never changed, so that recorders share it.

    Attributes:
        rows: how many.
        type: the Arrow type.
        nbytes: its size in memory.
        source: the array, or what reads it from where it lies: a spill file, a parquet file.
        start: the piece's first row in that array.
    """

    rows: int
    type: pa.DataType
    nbytes: int
    source: pa.Array | Callable[[], pa.Array]
    start: int = 0

    @classmethod
    def of(cls, array: pa.Array) -> Piece:
        """An array in memory."""
        return cls(len(array), array.type, 0 if pa.types.is_null(array.type) else array.nbytes, array)

    def load(self) -> pa.Array:
        """The rows as an array."""
        array = self.source() if callable(self.source) else self.source
        return array if self.rows == len(array) else array.slice(self.start, self.rows)

    def cut(self, start: int, rows: int) -> Piece:
        """A part of the rows."""
        if rows == self.rows:
            return self
        return replace(self, rows=rows, start=self.start + start, nbytes=self.nbytes * rows // self.rows)

    @property
    def memory(self) -> int:
        """Bytes that spilling it would free."""
        return 0 if callable(self.source) else self.nbytes

    def spilled(self, file: SpillFile) -> Piece:
        """The piece with its rows in ``file``.

        Raises:
            OSError: the disk is full.
        """
        if not self.memory:
            return self
        schema = pa.schema([("", self.type)])
        message = pa.record_batch([self.load()], schema=schema).serialize()
        start, size = file.append(message), message.size

        def load() -> pa.Array:
            return pa.ipc.read_record_batch(file.read(start, size), schema).column(0)

        return replace(self, source=load, start=0)


class Column:
    """Rows of any values, written anywhere: what is written last holds, what is written nowhere is None.

    ``_pending`` are plain values not yet in Arrow; they lie over the pieces from row ``_start`` on.
    """

    def __init__(self) -> None:
        self._pieces: list[Piece] = []
        self._rows = 0
        self._pending: list = []
        self._start = 0
        self._type: pa.DataType | None = None  # once it was asked for
        self._at_hand: tuple[int, pa.Array] | None = None  # first row and array of the piece looked at last
        self.memory = 0
        """Bytes that spilling would free, or somewhat more."""

    def __len__(self) -> int:
        return max(self._rows, self._start + len(self._pending))

    def write(self, position: int, values: list | pa.ChunkedArray) -> None:
        """Put plain values or an array at ``position``."""
        if isinstance(values, pa.ChunkedArray):
            self.lay(position, [Piece.of(chunk) for chunk in values.chunks])
            return
        end = self._start + len(self._pending)
        if end >= self._rows and 0 <= position - end <= _FEW_ROWS:
            self._pending += [None] * (position - end)
        elif position != end:
            self.seal()
            self._start = position
        self._pending += values
        self._type = self._at_hand = None

    def seal(self) -> int:
        """Turn the pending values into pieces; gives the bytes that they take."""
        if not self._pending:
            return 0
        made = [Piece.of(chunk) for chunk in encode(self._pending).chunks]
        self._pending = []
        self.lay(self._start, made)
        return sum(piece.nbytes for piece in made)

    def lay(self, position: int, pieces: list[Piece]) -> None:
        """Put pieces at ``position``, over what is there."""
        self.seal()
        end = position + sum(piece.rows for piece in pieces)
        behind = _cut(self._pieces, end, self._rows)
        if position < self._rows:
            self._pieces = _cut(self._pieces, 0, position)
        elif position > self._rows:
            self._pieces.append(Piece.of(pa.nulls(position - self._rows)))
        for piece in pieces:
            self.memory += piece.memory
            self._pieces.append(piece)
            while len(self._pieces) > 1 and _joins(*self._pieces[-2:]):
                self._pieces[-2:] = [Piece.of(pa.concat_arrays([piece.load() for piece in self._pieces[-2:]]))]
        self._pieces += behind
        self._rows = max(self._rows, end)
        self._start = end
        self._type = self._at_hand = None

    def append(self, piece: Piece) -> None:
        """Put a piece at the end."""
        self.lay(len(self), [piece])

    def pieces(self) -> list[Piece]:
        """All rows."""
        self.seal()
        return self._pieces

    def bytes_in_memory(self) -> int:
        """What all rows come to, nearly: a file may hold a text once that a thousand rows have."""
        pieces = [piece for piece in self.pieces() if piece.rows]
        looked_at = [piece for piece in pieces[:: max(1, len(pieces) // 3)] if not piece.memory]
        width = max((piece.load().nbytes / piece.rows for piece in looked_at), default=0.0)
        return int(sum(max(piece.nbytes, 0 if piece.memory else width * piece.rows) for piece in pieces))

    def spill(self, file: SpillFile) -> None:
        """Move what is in memory to ``file``.

        Raises:
            OSError: the disk is full.
        """
        self._pieces = [piece.spilled(file) for piece in self.pieces()]
        self._at_hand = None
        self.memory = 0

    def fork(self) -> Column:
        """A copy that shares the pieces."""
        self.seal()
        twin = copy.copy(self)
        twin._pieces, twin._pending = list(self._pieces), []
        return twin

    def type(self) -> pa.DataType:
        """The type that holds every value of the column exactly: Arrow's own where there is one, or else JSON."""
        pieces = self.pieces()
        if self._type is None:
            common: pa.DataType | None = pa.null()
            for kind in sorted({piece.type for piece in pieces}, key=str):
                common = None if common is None else common_type(common, kind)
            try:
                for piece in pieces if common is not None else ():
                    if piece.type != common:
                        convert(piece.load(), common)
            except pa.ArrowInvalid:  # a whole number of over 2**53 beside fractions
                common = None
            self._type = JSON if common is None else common
        return self._type

    def arrays(self, rows: int) -> Iterator[pa.Array]:
        """The column in one type, piece by piece, with None below its end down to ``rows``."""
        kind = self.type()
        for piece in self._pieces:
            yield convert(piece.load(), kind)
        if rows > self._rows:
            yield pa.nulls(rows - self._rows, kind)

    def whole(self, rows: int) -> pa.ChunkedArray:
        """The column in one type, of ``rows`` rows."""
        return pa.chunked_array(self.arrays(rows), self.type())

    def values(self, rows: int) -> list:
        """All values as Python objects."""
        return [value for array in self.arrays(rows) for value in python_values(array)]

    def value(self, row: int) -> Any:
        """One value; its neighbours are at hand afterwards."""
        if row >= len(self):
            return None
        if self._at_hand is None or not 0 <= row - self._at_hand[0] < len(self._at_hand[1]):
            kind, start = self.type(), 0
            for piece in self._pieces:
                if row < start + piece.rows:
                    self._at_hand = start, convert(piece.load(), kind)
                    break
                start += piece.rows
        assert self._at_hand is not None  # row < len(self)
        start, array = self._at_hand
        return python_values(array.slice(row - start, 1))[0]


def _joins(last: Piece, piece: Piece) -> bool:
    """Whether the two are better one; each value is copied a few times only, as smaller never takes in larger."""
    return (
        last.rows <= piece.rows <= _JOIN_ROWS
        and last.nbytes + piece.nbytes <= _JOIN_BYTES
        and last.type == piece.type
        and last.memory > 0 < piece.memory
    )


def _cut(pieces: list[Piece], start: int, stop: int) -> list[Piece]:
    """Rows ``start`` to ``stop``."""
    found, first = [], 0
    for piece in pieces:
        head, tail = max(start - first, 0), min(stop - first, piece.rows)
        if head < tail:
            found.append(piece.cut(head, tail - head))
        first += piece.rows
    return found
