"""Reads csv and tsv files, every cell as the text that stands there; what type a column has, all its rows say later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from runway.log import info, warning
from runway.transforms.loading.readers.quotes import QuoteWatch

if TYPE_CHECKING:
    import pyarrow as pa

    from runway.transforms.loading.readers.source import DataFile

_BLOCK = 1 << 22
_LARGEST_BLOCK = (1 << 31) - 1  # Arrow's
_MANY_LINES = 8  # in one field; fewer with as many delimiters as a row has are no sign: texts have commas too
_UNQUOTE = "load_kwargs: {quotechar: ''} takes every quote as text"


def read_csv(file: DataFile) -> Iterator[pa.Table]:
    """The rows of a comma-separated file, whose fields may be quoted."""
    return _read(file, ",", '"')


def read_tsv(file: DataFile) -> Iterator[pa.Table]:
    """The rows of a tab-separated file; quotes are text unless ``quotechar`` says otherwise."""
    return _read(file, "\t", "")


def _read(file: DataFile, delimiter: str, quote: str) -> Iterator[pa.Table]:
    import pyarrow as pa

    options = file.options
    parse = _parse_options(
        options.get("delimiter", options.get("sep", delimiter)),
        options.get("quotechar", quote) or False,
        options.get("escapechar") or False,
    )
    given, block, threads = 0, _BLOCK, True
    told = False
    while True:
        watch = _watch(parse)
        reading = _tables(file, parse, block, threads, watch)
        seen = 0
        try:
            for table in reading:
                seen += table.num_rows
                rows = table.slice(max(0, table.num_rows - max(0, seen - given)))  # what an earlier try has not given
                if not told:
                    told = _tell_of_cells(file, rows, parse, given, watch)
                given = max(given, seen)
                yield rows
            break
        except pa.ArrowInvalid as error:
            if "straddl" in str(error) and block < _LARGEST_BLOCK:
                block = min(block * 16, _LARGEST_BLOCK)
            elif "Expected" in str(error) and threads:
                threads = False  # only the single-threaded reader says in which row
            elif "Expected" in str(error):
                raise file.broken(f"cannot be read: {error}", _hint(parse, watch)) from error
            else:
                raise
    if watch is not None:
        _tell(file, watch)


def _parse_options(delimiter: str, quote: Any, escape: Any, bad_row: Callable[[Any], str] | None = None) -> Any:
    import pyarrow.csv

    return pyarrow.csv.ParseOptions(
        delimiter=delimiter,
        quote_char=quote,
        escape_char=escape,
        newlines_in_values=bool(quote or escape),  # reviews have them
        invalid_row_handler=bad_row,
    )


def _hint(parse: Any, watch: QuoteWatch | None) -> str:
    if watch is not None and watch.lone_returns:
        return f"a lone carriage return ends a line too, and there is one in line {watch.first_return}: take it out"
    if not parse.quote_char:
        return "load_kwargs: {quotechar: '\"'} if the file has quoted fields; {delimiter: ';'} for another separator"
    return f"mend the line; load_kwargs: {{delimiter: ';'}} for another separator; {_UNQUOTE}"


def _tables(file: DataFile, parse: Any, block: int, threads: bool, watch: QuoteWatch | None) -> Iterator[pa.Table]:
    import pyarrow as pa
    import pyarrow.csv

    read = pyarrow.csv.ReadOptions(
        column_names=file.options.get("column_names", file.options.get("names")),
        skip_rows=file.options.get("skip_rows", file.options.get("skiprows", 0)),
        block_size=block,
        use_threads=False,
    )
    with file.open_text() as source:
        lenient = _parse_options(parse.delimiter, parse.quote_char, parse.escape_char, lambda row: "skip")
        with pyarrow.csv.open_csv(pa.PythonFile(source, "r"), read, lenient) as stream:
            names = stream.schema.names
    file.check_once(names)
    read.use_threads = threads
    texts = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    with (
        file.open_text(None if watch is None else watch.see) as source,
        pyarrow.csv.open_csv(pa.PythonFile(source, "r"), read, parse, texts) as stream,
    ):
        yield pa.Table.from_batches([], stream.schema)
        for batch in stream:
            yield pa.Table.from_batches([batch])
    if watch is not None:
        watch.see(b"")


def _watch(parse: Any) -> QuoteWatch | None:
    quote = parse.quote_char or ""
    if parse.escape_char or not (parse.delimiter + quote).isascii():
        return None
    return QuoteWatch(parse.delimiter, quote)


def _tell(file: DataFile, watch: QuoteWatch) -> None:
    """Say what quotes have swallowed, or raise where one takes all the rest of the file."""
    if watch.broken_lines:
        warning(
            f"{file.place}, line {watch.first_return}: {watch.broken_lines} carriage returns stand alone, and each "
            "ends a row; if they belong to texts, take them out or quote the texts"
        )
    strays = watch.found
    if not strays:
        return
    last = strays[-1]
    if not last.ended:
        raise file.broken(
            f"has a quote in line {last.line} that is never closed, and takes all that follows into one field",
            f"double a quote that is text, or mend the line; {_UNQUOTE}",
        )
    swallowing = [stray for stray in strays if stray.lines]
    if swallowing:
        first = swallowing[0]
        lines = sum(stray.lines for stray in swallowing)
        warning(
            f"{file.place}, line {first.line}: a field that a quote opens goes on to line {first.line + first.lines}, "
            f"where the next quote stands in the middle of a text: {len(swallowing)} such fields took in {lines} lines "
            f"that were probably rows; a quote that is text is doubled in csv, or {_UNQUOTE}"
        )
    else:
        warning(
            f"{file.place}, line {strays[0].line}: a quoted field is followed by more text, and lost its quotes "
            f"({len(strays)} such fields); a quote that is text is doubled in csv, or {_UNQUOTE}"
        )


def _tell_of_cells(file: DataFile, rows: pa.Table, parse: Any, before: int, watch: QuoteWatch | None) -> bool:
    """Say of a cell that was read with other rules for quotes than it was written; whether anything was said."""
    for name in rows.column_names:
        values = rows.column(name)
        if not parse.quote_char:
            told = "quotechar" not in file.options and _tell_of_kept_quotes(file, name, values, before)
        elif rows.num_columns > 1 and (watch is None or watch.any_quotes):
            told = _tell_of_swallowed_lines(file, name, values, before, parse.delimiter * (rows.num_columns - 1))
        else:
            return False
        if told:
            return True
    return False


def _tell_of_kept_quotes(file: DataFile, name: str, values: pa.ChunkedArray, before: int) -> bool:
    import pyarrow.compute as pc

    if not any(_holds(chunk, b'"') for chunk in values.chunks):
        return False
    quoted = pc.match_substring_regex(values, '^(?s:"(?:[^"]|"")*")$')
    if not pc.any(quoted).as_py():
        return False
    row = before + pc.index(quoted, True).as_py() + 1
    info(
        f"{file.place}, row {row}: the column {name!r} has a cell in quotes, which are kept, as everywhere in a tsv "
        "file; load_kwargs: {quotechar: '\"'} takes them for what csv means by them"
    )
    return True


def _tell_of_swallowed_lines(file: DataFile, name: str, values: pa.ChunkedArray, before: int, delimiters: str) -> bool:
    """Whether a field holds lines which look like rows: a quote opened it that a later, lone one closed."""
    import pyarrow.compute as pc

    if not any(_holds(chunk, b"\n") for chunk in values.chunks):
        return False
    many = pc.greater_equal(pc.count_substring(values, "\n"), _MANY_LINES)
    for index in pc.indices_nonzero(many).to_pylist():
        lines = values[index].as_py().split("\n")[1:-1]
        like_rows = sum(line.count(delimiters[0]) == len(delimiters) for line in lines)
        if like_rows >= 0.9 * len(lines):
            warning(
                f"{file.place}, row {before + index + 1}: the column {name!r} holds {len(lines) + 2} lines that look "
                f"like rows; is a quote open there? {_UNQUOTE}"
            )
            return True
    return False


def _holds(texts: pa.StringArray, character: bytes) -> bool:
    """Whether any of the texts has the character; a look at all their bytes together, far faster than one at each."""
    _, ends, data = texts.buffers()
    if data is None or not len(texts):
        return False
    offsets = memoryview(ends).cast("i")
    start, end = offsets[texts.offset], offsets[texts.offset + len(texts)]
    return character in data.slice(start, end - start).to_pybytes()
