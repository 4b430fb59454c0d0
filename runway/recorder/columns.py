"""One column of the recorder's table: it grows in batches and passes, and shares what is finished with its forks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from runway.recorder.encoding import MIXED, PLAIN, common_type, convert, encode, has_wide_ints, python_values
from runway.recorder.pieces import InMemory, Piece, SpillFile, nulls

Form = tuple[str, pa.DataType]
"""A column's kind and Arrow type."""

_FEW_ROWS = 4096  # so few missing values are cheaper as values than as a piece of their own
_JOIN_ROWS = 4096  # smaller neighbours are joined,
_JOIN_BYTES = 256 << 10  # as long as that is cheap


class Column:
    """One column. What is written in the current pass lies over what the passes before it left.

    ``_pieces`` and then ``_pending`` (plain values not yet in Arrow) hold the rows of this pass, from row 0;
    ``_under`` holds the column as it was when the pass began.
    """

    def __init__(self, pieces: Iterable[Piece] = ()) -> None:
        self._pieces: list[Piece] = []
        self._pending: list = []
        self._under: list[Piece] = list(pieces)
        self._written = 0
        self._under_rows = sum(piece.rows for piece in self._under)
        self._at_hand: tuple[int, str, pa.Array] | None = None  # first row, kind and array of the piece looked at last
        self.memory = sum(piece.nbytes for piece in self._under if piece.in_memory)
        """Bytes that spilling would free."""

    def __len__(self) -> int:
        return max(self._written, self._under_rows)

    def write(self, position: int, values: Sequence[Any], rows: int) -> None:
        """Put prepared values at ``position``, which is not before the last one of this pass."""
        if position > self._written:
            self._skip_to(position)
        if rows and isinstance(values[0], Piece):
            self.seal()
            self._push(values)
        else:
            self._pending += values
        self._written = position + rows
        self._at_hand = None

    def _skip_to(self, position: int) -> None:
        kept = min(position, self._under_rows) - self._written
        if kept > 0:
            self.seal()
            self._push(_cut(self._under, self._written, kept))
            self._written += kept
        missing = position - self._written
        if missing > _FEW_ROWS:
            self.seal()
            self._push([nulls(missing)])
        else:
            self._pending += [None] * missing
        self._written = position

    def _push(self, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            self.memory += piece.nbytes if piece.in_memory else 0
            self._pieces.append(piece)
            while len(self._pieces) > 1 and _joins(*self._pieces[-2:]):
                self._pieces[-2:] = _joined(self._pieces[-2:])

    def seal(self) -> int:
        """Turn the pending values into pieces; gives the bytes that they take."""
        if not self._pending:
            return 0
        made = pieces_of(*encode(self._pending))
        self._pending = []
        self._push(made)
        return sum(piece.nbytes for piece in made)

    def rewind(self) -> None:
        """Begin a new pass at row 0."""
        self._under = self.pieces()
        self._under_rows = len(self)
        self._pieces, self._written = [], 0

    def pieces(self) -> list[Piece]:
        """All rows, this pass's over the earlier ones."""
        self.seal()
        return self._pieces + _cut(self._under, self._written, self._under_rows - self._written)

    def spill(self, file: SpillFile) -> None:
        """Move what is in memory to ``file``.

        Raises:
            OSError: the disk is full.
        """
        self._pieces = _spilled(self._pieces, file)
        self._under = _spilled(self._under, file)
        self._at_hand = None
        self.memory = 0

    def fork(self) -> Column:
        """A copy that shares the pieces."""
        self.seal()
        twin = Column(self._under)
        twin._pieces, twin._written, twin.memory = list(self._pieces), self._written, self.memory
        return twin

    def form(self) -> Form:
        """The kind and type that hold every value of the column."""
        pieces = [piece for piece in self.pieces() if not pa.types.is_null(piece.type)]
        forms = sorted({(piece.kind, piece.type) for piece in pieces}, key=str)
        if not forms:
            return PLAIN, pa.null()
        kinds = {kind for kind, _ in forms}
        if len(kinds) > 1 or (kinds != {PLAIN} and len(forms) > 1):
            return MIXED, pa.string()
        wide = any(piece.wide for piece in pieces)
        common: pa.DataType | None = forms[0][1]
        for _, kind in forms[1:]:
            common = None if common is None else common_type(common, kind, wide=wide)
        return (kinds.pop(), common) if common is not None else (MIXED, pa.string())

    def arrays(self, rows: int, form: Form | None = None) -> Iterator[pa.Array]:
        """The column in one form, piece by piece, with None below its end down to ``rows``."""
        kind, target = form or self.form()
        for piece in self.pieces():
            yield convert(piece.load(stream=True), piece.kind, kind, target)
        if rows > len(self):
            yield pa.nulls(rows - len(self), target)

    def values(self, rows: int) -> list:
        """All values as Python objects."""
        form = self.form()
        values: list = []
        for array in self.arrays(rows, form):
            values += python_values(array, form[0])
        return values

    def value(self, row: int) -> Any:
        """One value; its neighbours are at hand afterwards."""
        if row >= len(self):
            return None
        if self._at_hand is None or not 0 <= row - self._at_hand[0] < len(self._at_hand[2]):
            kind, target = self.form()
            start = 0
            for piece in self.pieces():
                if row < start + piece.rows:
                    self._at_hand = start, kind, convert(piece.load(), piece.kind, kind, target)
                    break
                start += piece.rows
        assert self._at_hand is not None  # row < len(self)
        start, kind, array = self._at_hand
        return python_values(array.slice(row - start, 1), kind)[0]


def pieces_of(arrays: Iterable[pa.Array], kind: str = PLAIN) -> list[Piece]:
    """Arrays in memory as pieces."""
    return [
        Piece(
            rows=len(array),
            kind=kind,
            type=array.type,
            wide=has_wide_ints(array),
            nbytes=0 if pa.types.is_null(array.type) else array.nbytes,
            source=InMemory(array),
        )
        for array in arrays
        if len(array)
    ]


def _joins(last: Piece, piece: Piece) -> bool:
    """Whether the two are better one; each value is copied a few times only, as smaller never takes in larger."""
    return (
        last.rows <= piece.rows <= _JOIN_ROWS
        and last.nbytes + piece.nbytes <= _JOIN_BYTES
        and (last.kind, last.type) == (piece.kind, piece.type)
        and last.in_memory
        and piece.in_memory
    )


def _joined(pieces: list[Piece]) -> list[Piece]:
    return pieces_of([pa.concat_arrays([piece.load() for piece in pieces])], pieces[0].kind)


def _cut(pieces: list[Piece], start: int, rows: int) -> list[Piece]:
    found = []
    for piece in pieces:
        if rows <= 0:
            break
        if start >= piece.rows:
            start -= piece.rows
            continue
        count = min(piece.rows - start, rows)
        found.append(piece.cut(start, count))
        rows -= count
        start = 0
    return found


def _spilled(pieces: list[Piece], file: SpillFile) -> list[Piece]:
    return [replace(piece, source=file.write(piece.load()), start=0) if piece.in_memory else piece for piece in pieces]
