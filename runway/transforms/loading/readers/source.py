"""The bytes of a data file as UTF-8 text: unpacked, decoded, without a byte order mark; and what is wrong with them."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from runway.errors import DataError, did_you_mean
from runway.log import info

if TYPE_CHECKING:
    import pyarrow as pa

COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}

_COMPRESSED = {  # how the content of each begins; what a file's name says goes for nothing
    "gzip": (b"\x1f\x8b",),
    "bz2": (b"BZh",),
    "zstd": (b"\x28\xb5\x2f\xfd",),
    "lz4": (b"\x04\x22\x4d\x18",),
}
_FOREIGN = {
    b"PK\x03\x04": "a zip archive (or an Excel table)",
    b"\xfd7zXZ\0": "compressed by xz",
    b"PAR1": "Parquet: set file_format: 'parquet'",
    b"ARROW1": "Arrow: set file_format: 'arrow'",
    b"SQLite format 3\0": "an SQLite database",
    b"%PDF": "a PDF",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"\x80\x04\x95": "a pickle",
    b"\xd0\xcf\x11\xe0": "an old Excel or Word file",
}
_MARKS = {  # byte order marks; UTF-32's begins as UTF-16's
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_HEAD = 1 << 16


@dataclass(frozen=True)
class DataFile:
    """One file to read, and how.

    Args:
        path: of the file.
        where: whose work it is, for errors.
        encoding: of text formats.
        limit: how many rows are wanted; None for all. A reader whose schema needs all rows gives more.
        options: what the format takes, see data_files.OPTIONS.
        fields: the columns that are wanted; empty for all.
        types: the type of a column, where the user says it.
        fill_missing: whether it may lack columns of ``fields``.
    """

    path: Path
    where: str
    encoding: str = "utf-8"
    limit: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    fields: Sequence[str] = ()
    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    fill_missing: bool = False

    def wanted(self, names: Sequence[str]) -> list[str]:
        """Of the file's columns those that are wanted.

        Raises:
            DataError: one of ``fields`` is not there.
        """
        self.check_once(names)
        for name in self.fields:
            if name not in names and not self.fill_missing:
                raise self.broken(f"has no column {name!r}, which `fields` asks for", did_you_mean(name, names))
        return [name for name in self.fields if name in names] if self.fields else list(names)

    def check_once(self, names: Sequence[str]) -> None:
        """Raise a DataError where a column is there twice."""
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise self.broken(f"cannot be read: the column {twice[0]!r} is there twice", "give it another name")

    @property
    def place(self) -> str:
        """Whose work it is and on which file, for errors."""
        return f"{self.where}, file {self.path}"

    def broken(self, problem: str, hint: str | None = None) -> DataError:
        """The error for a file that cannot be read."""
        return DataError(f"the file {self.path.name!r} {problem}", where=self.place, hint=hint)

    def open_bytes(self) -> IO[bytes]:
        """The content, unpacked if it is compressed."""
        import pyarrow as pa

        with self.path.open("rb") as raw:
            head = raw.read(16)
        compression = next((name for name, starts in _COMPRESSED.items() if head.startswith(starts)), None)
        if compression == "bz2" and head[4:10] not in (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90"):
            compression = None  # a text that begins so
        return pa.input_stream(str(self.path), compression=compression)

    def open_text(self, tap: Callable[[bytes], None] | None = None) -> Utf8Text:
        """The content as UTF-8 bytes without a byte order mark; ``tap`` is shown each piece that is read."""
        return Utf8Text(self, tap)

    def bad_encoding(self, encoding: str | None = None) -> DataError:
        """The error for text that does not decode, with the byte and the line where it stops."""
        encoding = encoding or self.encoding
        decoder = codecs.getincrementaldecoder(encoding)()
        offset, line = 0, 1
        spot = ""
        with self.open_bytes() as file:
            for chunk in iter(lambda: file.read(1 << 20), b""):
                pending = len(decoder.getstate()[0])
                try:
                    decoder.decode(chunk)
                except UnicodeDecodeError as error:
                    at = offset - pending + error.start
                    line += chunk[: max(error.start - pending, 0)].count(b"\n")
                    spot = f": byte 0x{error.object[error.start]:02x} at offset {at}, line {line}"
                    break
                offset += len(chunk)
                line += chunk.count(b"\n")
        hint = "set encoding to the one that the file was written in, such as 'latin-1' or 'cp1252'"
        return self.broken(f"is not valid {encoding}{spot}", hint)


class Utf8Text(io.RawIOBase):
    """A text file as UTF-8 bytes, which are not checked where the file is in UTF-8: what reads them does that.

    Args:
        file: to read.
        tap: is shown each piece that is read.

    Raises:
        DataError: it is no text.
    """

    def __init__(self, file: DataFile, tap: Callable[[bytes], None] | None = None) -> None:
        super().__init__()
        self._file = file
        self._bytes = file.open_bytes()
        self._tap = tap
        self._decoder: codecs.IncrementalDecoder | None = None
        head = self._bytes.read(_HEAD)
        try:
            name = codecs.lookup(file.encoding).name
        except LookupError as error:
            raise DataError(f"unknown encoding {file.encoding!r}: {error}", where=file.where) from error
        mark = next((mark for mark in _MARKS if head.startswith(mark)), b"")
        told = _MARKS.get(mark, name)
        if mark and told.split("-")[1] not in name:  # utf-16 for utf-16-le, which would keep the mark
            info(f"{file.place}: read as {told.removesuffix('-sig')}, as its byte order mark says, not as {name}")
        self.encoding = told
        if mark == codecs.BOM_UTF8:
            head = head[len(mark) :]
            self.encoding = "utf-8"
        elif told not in ("utf-8", "utf-8-sig"):
            self._decoder = codecs.getincrementaldecoder(told)()
        self._ended = False
        self._ready = self._as_utf8(head).removeprefix(codecs.BOM_UTF8)
        self._check_text(head)

    def _check_text(self, head: bytes) -> None:
        foreign = next((kind for start, kind in _FOREIGN.items() if head.startswith(start)), None)
        if foreign:
            raise self._file.broken(f"is no text; its content is {foreign}")
        if b"\0" in self._ready:
            offset = self._ready.index(b"\0")
            raise self._file.broken(
                f"is no text: byte {offset} of it is zero",
                "is it another format (set file_format), or UTF-16 (set encoding: 'utf-16-le')?",
            )

    def _as_utf8(self, data: bytes) -> bytes:
        if self._decoder is None:
            return data
        try:
            return self._decoder.decode(data, final=not data).encode()
        except UnicodeDecodeError as error:
            raise self._file.bad_encoding(self.encoding) from error

    def read(self, size: int = -1) -> bytes:
        """The next piece, of about ``size`` bytes; empty at the end."""
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(1 << 24), b""))
        data, self._ready = self._ready, b""
        while len(data) < size and not self._ended:
            more = self._bytes.read(size - len(data))
            self._ended = not more
            data += self._as_utf8(more)
        if len(data) > size:
            data, self._ready = data[:size], data[size:]
        if len(data) > 1 and data.endswith(b"\r"):  # a line end in two blocks: Arrow's csv reader loses half of it
            data, self._ready = data[:-1], b"\r" + self._ready
        if self._tap is not None and data:
            self._tap(data)
        return data

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer``, for what reads text line by line."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readable(self) -> bool:
        """Always."""
        return True

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._bytes.close()
        super().close()
