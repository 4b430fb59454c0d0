"""Reads local data files into Datasets: csv, tsv, json, jsonl, parquet, arrow and text, also compressed.

Straight through Arrow, without HF's cache of prepared files, which would serve what a file held before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.errors import DataError, did_you_mean, must_be_known
from runway.transforms.loading.column_types import arrow_types
from runway.transforms.loading.joined_rows import JoinedRows
from runway.transforms.loading.readers.columnar import map_arrow, read_arrow, read_parquet
from runway.transforms.loading.readers.delimited import read_csv, read_tsv
from runway.transforms.loading.readers.json_rows import read_json
from runway.transforms.loading.readers.source import COMPRESSIONS, DataFile
from runway.transforms.loading.readers.text import read_text

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

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
OPTIONS = {  # names as in pandas and HF; what each format takes besides the file
    "csv": ("delimiter", "sep", "quotechar", "escapechar", "column_names", "names", "skip_rows", "skiprows"),
    "json": ("field",),
}
OPTIONS["tsv"] = OPTIONS["csv"]
_READERS = {
    "csv": read_csv,
    "tsv": read_tsv,
    "json": read_json,
    "parquet": read_parquet,
    "arrow": read_arrow,
    "text": read_text,
}
_CELLS = ("csv", "tsv")  # whose columns are texts until all rows have said what type they have
_TYPED_FROM_THE_START = ("parquet", "arrow", "text")  # the first rows tell the schema


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
    fields: Sequence[str] = (),
    column_types: Mapping[str, str] | None = None,
    fill_missing: bool = False,
) -> Dataset:
    """The rows of all files, one after the other. All rows have a say in the types of columns, see TextColumn for csv.

    Args:
        paths: the files.
        where: whose work it is, for errors: a node, a setting.
        file_format: csv, tsv, json, parquet, arrow or text; None goes by each file's name.
        encoding: of text formats; a byte order mark goes before it.
        limit: how many rows to keep. Csv and json files are still read whole, for the types; unless ``column_types``
            names those of all their columns.
        options: what the format takes, see OPTIONS; ``data_files``, HF's word for the paths, goes for nothing.
        fields: the columns to keep; none keeps all.
        column_types: the type of a column, by the name that HF's ``Value`` has for it; of one that is there.
        fill_missing: whether a file may lack columns that another has; null stands there then.

    Raises:
        DataError: a file is missing, empty, broken, in another encoding, has other columns than those before it, or a
            value that does not go with its column's type.
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
    types = arrow_types(column_types or {})
    files = [DataFile(path, where, encoding, limit, options, fields, types, fill_missing) for path in paths]
    if limit is None and not types and all(name == "arrow" for name in formats.values()):
        mapped = _mapped(files)
        if mapped is not None:
            return mapped
    joined = JoinedRows(where, limit, fill_missing)
    for file in files:
        rest = None if limit is None else limit - joined.rows
        _read_into(joined, replace(file, limit=rest), formats[file.path])
    return joined.finish()


def _mapped(files: list[DataFile]) -> Dataset | None:
    """Arrow files as they lie, memory-mapped; None where they are not all of one schema."""
    from datasets import concatenate_datasets

    parts: list[Dataset] = []
    first = None
    for file in files:
        try:
            part = map_arrow(file)
        except (OSError, ValueError):  # the reader says what is wrong
            part = None
        first = first or (part.features if part is not None else None)
        if part is None or part.features != first:
            return None
        wanted = file.wanted(part.column_names)
        parts.append(part.select_columns(wanted) if file.fields else part)
    return parts[0] if len(parts) == 1 else concatenate_datasets(parts)


def _read_into(joined: JoinedRows, file: DataFile, file_format: str) -> None:
    names: dict[str, None] = {}
    for table in _checked(_READERS[file_format](file), file):
        names.update(dict.fromkeys(table.column_names))
        if file.fields:
            table = table.select([name for name in file.fields if name in table.column_names])
        joined.add(table, file, csv=file_format in _CELLS)
        typed = file_format in _TYPED_FROM_THE_START or (file_format in _CELLS and names.keys() <= file.types.keys())
        if joined.full and typed:
            break
    if file.fields:
        file.wanted(list(names))
    joined.end_file(file)


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


def _checked(parts: Iterator[pa.Table], file: DataFile) -> Iterator[pa.Table]:
    """The tables of one file; what is found wrong with it becomes a DataError that names file and line."""
    import pyarrow as pa

    try:
        yield from parts
    except UnicodeError as error:
        raise file.bad_encoding() from error
    except pa.ArrowInvalid as error:
        if "UTF8" in str(error) or "UTF-8" in str(error):
            raise file.bad_encoding() from error
        if file.path.stat().st_size == 0 or "Empty" in str(error):
            raise file.broken("is empty") from error
        raise file.broken(f"cannot be read: {error}") from error
    except (OSError, EOFError) as error:
        raise file.broken(f"cannot be read: it is damaged or cut short: {error}", "is it whole?") from error
