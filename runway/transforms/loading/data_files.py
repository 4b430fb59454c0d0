"""Reads local data files into Datasets: csv, tsv, json, jsonl, parquet, arrow and text, also compressed.

Straight through Arrow, without HF's cache of prepared files, which would serve what a file held before.
"""

from __future__ import annotations

import codecs
import io
import itertools
import json
from typing import IO, TYPE_CHECKING, Any, TypeAlias

from runway.errors import DataError, did_you_mean, must_be_known
from runway.transforms.arrow_tables import IN_MEMORY_BYTES, TableWriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa
    from datasets import Dataset

    _Part: TypeAlias = pa.Table | pa.RecordBatch

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".txt": "text",
}
COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}
OPTIONS = {  # names as in pandas and HF; what each format takes besides the file
    "csv": ("delimiter", "sep", "quotechar", "escapechar", "column_names", "names", "skip_rows", "skiprows"),
    "json": ("field",),
}
OPTIONS["tsv"] = OPTIONS["csv"]
_STREAM_BLOCK = 64 * 1024**2


def format_of(path: Path) -> str | None:
    """The file's format by its name (``reviews.csv.gz`` is csv), or None."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    return FORMATS.get(suffixes[-1]) if suffixes else None


def read_files(
    paths: Iterable[Path],
    *,
    where: str,
    file_format: str | None = None,
    encoding: str = "utf-8",
    limit: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> Dataset:
    """The rows of all files, one after the other.

    Args:
        paths: the files.
        where: whose work it is, for errors: a node, a setting.
        file_format: csv, tsv, json, parquet, arrow or text; None goes by each file's name.
        encoding: of text formats.
        limit: stop after so many rows, and read little more than that.
        options: what the format takes, see OPTIONS; ``data_files``, HF's word for the paths, goes for nothing.

    Raises:
        DataError: a file is missing, empty, broken, in another encoding, or has other columns than those before it.
    """
    paths = list(paths)
    options = {name: value for name, value in (options or {}).items() if name != "data_files"}
    formats = {path: _format(path, file_format, where) for path in paths}
    for path in paths:
        if not path.is_file():
            raise DataError(f"there is no file {str(path)!r}", where=where, hint=near_files(path))
        known = OPTIONS.get(formats[path], ())
        what = f"load_kwargs: files in the format {formats[path]} do not take"
        must_be_known(options, known, what, where=where, error=DataError)
    if limit is None and all(file_format == "arrow" for file_format in formats.values()):
        return _map_arrow_files(paths, where)
    writer = TableWriter(where)
    for path in paths:
        reader = _READERS[formats[path]]
        for table in _checked(reader(path, encoding, limit, dict(options)), path, encoding, where):
            if limit is not None:
                table = table.slice(0, limit - writer.rows)
            writer.add(table)
            if limit is not None and writer.rows >= limit:
                return writer.finish()
    return writer.finish()


def _format(path: Path, file_format: str | None, where: str) -> str:
    if file_format is None:
        found = format_of(path)
        if found is None:
            known = ", ".join(FORMATS)
            raise DataError(
                f"the format of {path.name!r} cannot be told from its name",
                where=where,
                hint=f"set file_format, or use one of the endings {known} (also with {', '.join(COMPRESSIONS)})",
            )
        return found
    name = {"jsonl": "json", "txt": "text"}.get(file_format, file_format)
    must_be_known([name], _READERS, "unknown file_format", where=where, error=DataError)
    return name


def near_files(path: Path) -> str:
    """A hint for a file that is not there: the files beside it whose names are closest."""
    if not path.parent.is_dir():
        return f"the folder {path.parent} does not exist"
    return did_you_mean(path.name, (sibling.name for sibling in path.parent.iterdir()))


def _checked(parts: Iterator[_Part], path: Path, encoding: str, where: str) -> Iterator[pa.Table]:
    """The tables of one file; what Arrow finds wrong with it becomes a DataError that names file and line."""
    import pyarrow as pa

    try:
        for part in parts:
            table = part if isinstance(part, pa.Table) else pa.Table.from_batches([part])
            names = table.column_names
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise DataError(f"the column {twice[0]!r} is there twice", where=f"{where}, file {path}")
            if encoding and format_of(path) not in ("parquet", "arrow"):
                if any(pa.types.is_binary(column.type) for column in table.columns):  # csv's way of "not UTF-8"
                    raise _bad_encoding(path, encoding, where)
                table.validate(full=True)
            yield table
    except LookupError as error:
        raise DataError(f"unknown encoding {encoding!r}: {error}", where=where) from error
    except UnicodeError as error:
        raise _bad_encoding(path, encoding, where) from error
    except pa.ArrowInvalid as error:
        if "UTF8" in str(error) or "UTF-8" in str(error):
            raise _bad_encoding(path, encoding, where) from error
        if path.stat().st_size == 0 or "Empty" in str(error):
            raise DataError(f"the file {path.name!r} is empty", where=f"{where}, file {path}") from error
        raise DataError(f"the file {path.name!r} cannot be read: {error}", where=f"{where}, file {path}") from error


def _bad_encoding(path: Path, encoding: str, where: str) -> DataError:
    """The error for text that does not decode, with the byte and the line where it stops."""
    decoder = codecs.getincrementaldecoder(encoding)()
    offset, line = 0, 1
    spot = ""
    with _open_bytes(path) as file:
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
    return DataError(
        f"the file {path.name!r} is not valid {encoding}{spot}",
        where=f"{where}, file {path}",
        hint="set encoding to the one that the file was written in, such as 'latin-1' or 'cp1252'",
    )


def _open_bytes(path: Path) -> IO[bytes]:
    import pyarrow as pa

    return pa.input_stream(str(path), compression=COMPRESSIONS.get(path.suffix.lower()))


def _read_csv(path: Path, encoding: str, limit: int | None, options: dict) -> Iterator[_Part]:
    import pyarrow as pa
    import pyarrow.csv

    parse = pyarrow.csv.ParseOptions(
        delimiter=options.get("delimiter", options.get("sep", ",")),
        quote_char=options.get("quotechar", '"') or False,
        escape_char=options.get("escapechar") or False,
        newlines_in_values=True,  # reviews have them
    )
    read = pyarrow.csv.ReadOptions(
        encoding=codecs.lookup(encoding).name,
        column_names=options.get("column_names", options.get("names")),
        skip_rows=options.get("skip_rows", options.get("skiprows", 0)),
    )
    small = path.suffix.lower() not in COMPRESSIONS and path.stat().st_size <= IN_MEMORY_BYTES
    if limit is None and small:
        try:
            yield pyarrow.csv.read_csv(_open_bytes(path), read, parse)
        except pa.ArrowInvalid:
            read.use_threads = False  # only the single-threaded reader says in which row
            yield pyarrow.csv.read_csv(_open_bytes(path), read, parse)
        return
    read.block_size = _STREAM_BLOCK if limit is None else 1 << 20
    with pyarrow.csv.open_csv(_open_bytes(path), read, parse) as stream:
        yield from stream


def _read_tsv(path: Path, encoding: str, limit: int | None, options: dict) -> Iterator[_Part]:
    delimiter = options.pop("sep", "\t")
    return _read_csv(path, encoding, limit, {"delimiter": delimiter, **options})


def _read_json(path: Path, encoding: str, limit: int | None, options: dict) -> Iterator[_Part]:
    import pyarrow as pa
    import pyarrow.json

    with _open_bytes(path) as file:
        start = file.read(4096).removeprefix(codecs.BOM_UTF8).lstrip()[:1]
    if not start:
        raise pa.ArrowInvalid("Empty JSON file")
    if start == b"[" or options.get("field"):
        yield from _read_json_document(path, encoding, limit, options.get("field"))
        return
    source = _open_bytes(path)
    if codecs.lookup(encoding).name not in ("utf-8", "ascii"):
        source = pa.transcoding_input_stream(source, encoding, "utf8")
    try:
        if limit is None and path.stat().st_size <= IN_MEMORY_BYTES:
            yield pyarrow.json.read_json(source, pyarrow.json.ReadOptions(block_size=_STREAM_BLOCK))
            return
        block = _STREAM_BLOCK if limit is None else 1 << 20
        yield from pyarrow.json.open_json(source, pyarrow.json.ReadOptions(block_size=block))
    except pa.ArrowInvalid as error:
        raise pa.ArrowInvalid(_broken_line(path, encoding) or str(error)) from error


def _read_json_document(path: Path, encoding: str, limit: int | None, field: str | None) -> Iterator[pa.Table]:
    import pyarrow as pa

    with _open_bytes(path) as file:
        text = file.read().decode(encoding)
    try:
        document = json.loads(text.removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        raise pa.ArrowInvalid(f"line {error.lineno}: {error.msg}") from error
    if field:
        if not isinstance(document, dict) or field not in document:
            raise pa.ArrowInvalid(f"there is no field {field!r} at its top")
        document = document[field]
    if isinstance(document, dict):  # {column: [values]}
        yield pa.table(document).slice(0, limit)
        return
    bad = next((index for index, row in enumerate(document) if not isinstance(row, dict)), None)
    if bad is not None:
        raise pa.ArrowInvalid(f"item {bad} of the list is not an object")
    if not document:
        raise pa.ArrowInvalid("Empty JSON file")
    yield pa.Table.from_pylist(document[:limit])


def _broken_line(path: Path, encoding: str) -> str | None:
    """Which line of a jsonl file does not parse, and why."""
    with _open_bytes(path) as file:
        for number, line in enumerate(io.TextIOWrapper(file, encoding), start=1):
            try:
                if line.strip() and not isinstance(json.loads(line), dict):
                    return f"line {number} is not an object"
            except json.JSONDecodeError as error:
                return f"line {number}: {error.msg} at column {error.colno}"
    return None


def _read_parquet(path: Path, encoding: str, limit: int | None, options: dict) -> Iterator[_Part]:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path, memory_map=True) as file:
        if not file.metadata.num_rows:
            yield file.schema_arrow.empty_table()
        yield from file.iter_batches(batch_size=min(limit or 65536, 65536))


def _read_arrow(path: Path, encoding: str, limit: int | None, options: dict) -> Iterator[_Part]:
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        try:
            stream = pa.ipc.open_stream(source)
        except pa.ArrowInvalid:
            file = pa.ipc.open_file(source)
            yield from (file.get_batch(index) for index in range(file.num_record_batches))
        else:
            yield from stream


def _map_arrow_files(paths: list[Path], where: str) -> Dataset:
    """Arrow files as they lie, memory-mapped; those in the file form (not the stream form) are read."""
    import pyarrow as pa
    from datasets import Dataset, concatenate_datasets

    parts = []
    for path in paths:
        try:
            parts.append(Dataset.from_file(str(path)))
        except pa.ArrowInvalid:
            writer = TableWriter(where)
            for table in _checked(_read_arrow(path, "", None, {}), path, "", where):
                writer.add(table)
            parts.append(writer.finish())
    return parts[0] if len(parts) == 1 else concatenate_datasets(parts)


def _read_text(path: Path, encoding: str, limit: int | None, options: dict) -> Iterator[_Part]:
    import pyarrow as pa

    with _open_bytes(path) as file:
        opened = io.TextIOWrapper(file, encoding, newline="\n")
        lines = itertools.islice((line.rstrip("\r\n") for line in opened), limit)
        first = next(lines, None)
        if first is None:
            raise pa.ArrowInvalid("Empty text file")
        yield pa.table({"text": [first, *itertools.islice(lines, 99_999)]})
        for first in lines:
            yield pa.table({"text": [first, *itertools.islice(lines, 99_999)]})


_READERS = {
    "csv": _read_csv,
    "tsv": _read_tsv,
    "json": _read_json,
    "parquet": _read_parquet,
    "arrow": _read_arrow,
    "text": _read_text,
}
