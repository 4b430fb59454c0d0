"""The finished pieces of a column: in memory, spilled to a temporary file, or still in a parquet file."""

from __future__ import annotations

import mmap
import os
import tempfile
import threading
from dataclasses import dataclass, replace
from typing import Protocol

import pyarrow as pa

from runway.errors import DataError
from runway.recorder.encoding import PLAIN


class Source(Protocol):
    """Where a piece's array is."""

    def load(self, *, stream: bool) -> pa.Array:
        """The array.

        Args:
            stream: it is read once and dropped, so that it must not stay mapped into memory.
        """


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of one column; never changed, so that recorders share it.

    Attributes:
        rows: how many.
        kind: plain, mixed or image, see ``runway.recorder.encoding``.
        type: the Arrow type.
        wide: whether it holds an integer that a float64 does not hold exactly.
        nbytes: its size in memory.
        source: where the array is.
        start: the piece's first row in that array.
    """

    rows: int
    kind: str
    type: pa.DataType
    wide: bool
    nbytes: int
    source: Source
    start: int = 0

    def load(self, *, stream: bool = False) -> pa.Array:
        """The rows as an array."""
        array = self.source.load(stream=stream)
        return array if self.rows == len(array) else array.slice(self.start, self.rows)

    def cut(self, start: int, rows: int) -> Piece:
        """A part of the rows."""
        if rows == self.rows:
            return self
        return replace(self, rows=rows, start=self.start + start, nbytes=self.nbytes * rows // max(self.rows, 1))

    @property
    def in_memory(self) -> bool:
        """Whether spilling it would free memory."""
        return isinstance(self.source, InMemory) and self.nbytes > 0


@dataclass(frozen=True, slots=True)
class InMemory:
    """An array as it is."""

    array: pa.Array

    def load(self, *, stream: bool) -> pa.Array:
        """The array."""
        return self.array


@dataclass(frozen=True, slots=True)
class Spilled:
    """An array in a spill file."""

    file: SpillFile
    offset: int
    size: int
    type: pa.DataType

    def load(self, *, stream: bool) -> pa.Array:
        """The array: mapped, or read into memory of its own."""
        buffer = self.file.read(self.offset, self.size) if stream else self.file.map(self.offset, self.size)
        return pa.ipc.read_record_batch(buffer, _one_column(self.type)).column(0)


@dataclass(frozen=True, slots=True)
class InParquet:
    """One column of one row group of an open parquet file; it stays readable when the file is replaced."""

    file: pa.parquet.ParquetFile
    path: str
    row_group: int
    column: str

    def load(self, *, stream: bool) -> pa.Array:
        """The array, decoded anew each time.

        Raises:
            DataError: the file is damaged.
        """
        try:
            table = self.file.read_row_group(self.row_group, columns=[self.column], use_threads=False)
            column = table.column(self.column)
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"column {self.column!r} cannot be read: {error}",
                where=self.path,
                hint="the file is damaged; write the recorder again",
            ) from error
        return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


class SpillFile:
    """A temporary file without a name: the system frees it with the last piece in it, or with the process."""

    ALIGNMENT = 64  # what Arrow wants for the buffers of a mapped message

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="runway-recorder-")  # noqa: SIM115 -- open as long as the pieces
        self._size = 0
        self._map: mmap.mmap | None = None
        self._lock = threading.Lock()
        self._process = os.getpid()

    @property
    def is_own(self) -> bool:
        """Whether this process made it; one that was forked must not write to its parent's file."""
        return self._process == os.getpid()

    def write(self, array: pa.Array) -> Spilled:
        """Append an array.

        Raises:
            OSError: the disk is full.
        """
        message = pa.record_batch([array], schema=_one_column(array.type)).serialize()
        with self._lock:
            offset = -(-self._size // self.ALIGNMENT) * self.ALIGNMENT
            written = 0
            view = memoryview(message)
            while written < len(view):
                written += os.pwrite(self._file.fileno(), view[written:], offset + written)
            self._size = offset + written
        return Spilled(self, offset, written, array.type)

    def read(self, offset: int, size: int) -> pa.Buffer:
        """A copy of a stretch of the file."""
        found = bytearray()
        while len(found) < size:
            block = os.pread(self._file.fileno(), size - len(found), offset + len(found))
            if not block:
                raise DataError("a recorder's temporary file is shorter than what was written to it")
            if len(block) == size:
                return pa.py_buffer(block)
            found += block
        return pa.py_buffer(found)

    def map(self, offset: int, size: int) -> pa.Buffer:
        """A stretch of the file, mapped into memory; what is not looked at takes none."""
        with self._lock:
            if self._map is None or len(self._map) < offset + size:
                self._map = mmap.mmap(self._file.fileno(), self._size, access=mmap.ACCESS_READ)
            return pa.py_buffer(self._map).slice(offset, size)


def _one_column(kind: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field("", kind)])


def nulls(rows: int) -> Piece:
    """Rows without a value."""
    return Piece(rows, PLAIN, pa.null(), wide=False, nbytes=0, source=InMemory(pa.nulls(rows)))
