"""Reads json and jsonl files. Texts stay texts, and a whole number that 64 bits do not hold becomes one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from runway.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

    from runway.transforms.loading.readers.source import DataFile

BIG_INTEGERS = b"runway:integers as text"
"""Marks the field of a column whose whole numbers became texts: others of its numbers may join them."""

_FIRST_PIECE = 1 << 18  # small: it tells which columns are text
_PIECE = 1 << 24
_ROWS_AT_A_TIME = 50_000
_SPACE = re.compile(r"\s*")


def read_json(file: DataFile) -> Iterator[pa.Table]:
    """The rows of a file with one object a line, of a list of objects, or of ``{column: [values]}`` under ``field``."""
    with file.open_text() as source:
        start = source.read(4096)
        while start.isspace():
            start = source.read(4096)
    if not start:
        raise file.broken("is empty")
    if start.lstrip()[:1] == b"[" or file.options.get("field"):
        yield from _document(file)
    else:
        yield from _lines(file)


def _lines(file: DataFile) -> Iterator[pa.Table]:
    import pyarrow as pa

    texts = pa.schema([(name, kind) for name, kind in file.types.items() if pa.types.is_string(kind)])
    line = 1
    with file.open_text() as source:
        for piece in _pieces(source):
            table = _parsed_by_arrow(piece, texts)
            if table is not None and _has_timestamps(table.schema):
                texts = _only_texts(pa.unify_schemas([_only_texts(table.schema), texts], promote_options="permissive"))
                names = table.column_names
                table = _parsed_by_arrow(piece, texts)
                table = table.select(names) if table is not None else None  # Arrow puts the texts first
            if table is None or _may_have_lost_digits(table):
                yield from _parsed_by_python(file, piece, line)
            else:
                yield table
            line += piece.count(b"\n")


def _pieces(source: Any) -> Iterator[bytes]:
    """The file in pieces that end with a line."""
    rest: list[bytes] = []
    size = _FIRST_PIECE
    while data := source.read(size):
        end = data.rfind(b"\n") + 1
        if not end:
            rest.append(data)
            continue
        yield b"".join([*rest, data[:end]])
        rest, size = [data[end:]] if end < len(data) else [], _PIECE
    if last := b"".join(rest):
        yield last


def _parsed_by_arrow(piece: bytes, texts: pa.Schema) -> pa.Table | None:
    """The rows, or None where Arrow's fast parser does not take them."""
    import pyarrow as pa
    import pyarrow.json

    parse = pyarrow.json.ParseOptions(explicit_schema=texts if len(texts) else None)
    for block in (1 << 21, len(piece) + 1):
        read = pyarrow.json.ReadOptions(block_size=block)
        try:
            table = pyarrow.json.read_json(pa.BufferReader(piece), read, parse)
            table.validate(full=True)
        except pa.ArrowInvalid as error:
            if "straddl" in str(error):
                continue
            return None
        absent = [name for name in texts.names if table.column(name).null_count == table.num_rows]
        return table.drop_columns([name for name in absent if f'"{name}"'.encode() not in piece])
    return None


def _leaves(kind: pa.DataType) -> Iterator[pa.DataType]:
    if kind.num_fields:
        for index in range(kind.num_fields):
            yield from _leaves(kind.field(index).type)
    else:
        yield kind


def _has_timestamps(schema: pa.Schema) -> bool:
    import pyarrow as pa

    return any(pa.types.is_timestamp(leaf) for field in schema for leaf in _leaves(field.type))


def _only_texts(schema: pa.Schema) -> pa.Schema:
    """The part of a schema that is text, with text where Arrow has guessed a time."""
    import pyarrow as pa

    found = ((field.name, _text_part(field.type)) for field in schema)
    return pa.schema([(name, kind) for name, kind in found if kind is not None])


def _text_part(kind: pa.DataType) -> pa.DataType | None:
    import pyarrow as pa

    if pa.types.is_timestamp(kind) or pa.types.is_string(kind):
        return pa.string()
    if pa.types.is_list(kind):
        part = _text_part(kind.value_type)
        return None if part is None else pa.list_(part)
    if pa.types.is_struct(kind):
        parts = ((field.name, _text_part(field.type)) for field in kind)
        fields = [(name, part) for name, part in parts if part is not None]
        return pa.struct(fields) if fields else None
    return None


def _may_have_lost_digits(table: pa.Table) -> bool:
    """Whether a float may come of a whole number that it does not hold: Arrow makes floats of what 64 bits do not."""
    return any(_is_beyond_floats(chunk) for column in table.columns for chunk in column.chunks)


def _is_beyond_floats(values: pa.Array) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_floating(values.type):
        largest = pc.max(pc.abs(values)).as_py()
        return largest is not None and largest >= 2**53
    if pa.types.is_list(values.type):
        return _is_beyond_floats(values.flatten())
    if pa.types.is_struct(values.type):
        return any(_is_beyond_floats(part) for part in values.flatten())
    return False


class _Number(str):
    """A number as it is written, where a column of text is asked for."""

    __slots__ = ()


def _parsed_by_python(file: DataFile, piece: bytes, line: int) -> Iterator[pa.Table]:
    """The rows of a piece, slower than Arrow, but with any number, and an error that names the line."""
    try:
        text = piece.decode()
    except UnicodeDecodeError as error:
        raise file.bad_encoding() from error
    objects = _objects(file, text, line)
    while batch := list(islice(objects, _ROWS_AT_A_TIME)):
        yield _table(file, [row for row, _ in batch], lines=[number for _, number in batch])


def _objects(file: DataFile, text: str, line: int) -> Iterator[tuple[dict, int]]:
    """Every object with its line."""
    decoder = _decoder(file)
    at = _SPACE.match(text).end()  # type: ignore[union-attr]
    line += text.count("\n", 0, at)
    while at < len(text):
        try:
            row, end = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            bad = line + text.count("\n", at, error.pos)
            column = error.pos - text.rfind("\n", 0, error.pos)
            place = f"line {bad}" if bad == line else f"the object that begins in line {line}, line {bad}"
            raise file.broken(f"cannot be read: {place}: {error.msg} at column {column}") from error
        except DataError as error:
            raise file.broken(f"cannot be read: line {line}: {error.message}") from error
        if not isinstance(row, dict):
            raise file.broken(f"cannot be read: line {line} is not an object")
        yield row, line
        end = _SPACE.match(text, end).end()  # type: ignore[union-attr]
        line += text.count("\n", at, end)
        at = end


def _decoder(file: DataFile) -> json.JSONDecoder:
    import pyarrow as pa

    def once(pairs: list[tuple[str, Any]]) -> dict:
        row = dict(pairs)
        if len(row) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise DataError(f"the key {twice!r} is there twice")
        return row

    keep = any(pa.types.is_string(kind) for kind in file.types.values())
    return json.JSONDecoder(
        object_pairs_hook=once, parse_int=_Number if keep else None, parse_float=_Number if keep else None
    )


def _document(file: DataFile) -> Iterator[pa.Table]:
    """The rows of a whole JSON document."""
    import pyarrow as pa

    field = file.options.get("field")
    with file.open_text() as source:
        content = source.read()
    try:
        document = _decoder(file).decode(content.decode())
    except UnicodeDecodeError as error:
        raise file.bad_encoding() from error
    except json.JSONDecodeError as error:
        raise file.broken(f"cannot be read: line {error.lineno}: {error.msg}") from error
    except DataError as error:
        raise file.broken(f"cannot be read: {error.message}") from error
    if field:
        if not isinstance(document, dict) or field not in document:
            raise file.broken(f"cannot be read: there is no field {field!r} at its top")
        document = document[field]
    if isinstance(document, Mapping):  # {column: [values]}
        lengths = {name: len(values) if isinstance(values, list) else None for name, values in document.items()}
        if len(set(lengths.values())) > 1 or None in lengths.values():
            raise file.broken(f"cannot be read: its columns are no lists of one length: {lengths}")
        yield pa.table(dict(_column(file, name, values, None) for name, values in document.items()))
        return
    if not isinstance(document, list):
        raise file.broken(f"cannot be read: {field or 'its top'!r} is no list")
    if not document:
        raise file.broken("is empty: its list has no items")
    bad = next((index for index, row in enumerate(document) if not isinstance(row, dict)), None)
    if bad is not None:
        raise file.broken(f"cannot be read: item {bad} of the list is not an object")
    for start in range(0, len(document), _ROWS_AT_A_TIME):
        yield _table(file, document[start : start + _ROWS_AT_A_TIME], first=start)


def _table(file: DataFile, rows: list[dict], lines: list[int] | None = None, first: int = 0) -> pa.Table:
    """Objects as a table: every key that any of them has is a column."""
    import pyarrow as pa

    places = [f"line {line}" for line in lines] if lines else [f"item {first + index}" for index in range(len(rows))]
    columns, fields = [], []
    for name in dict.fromkeys(name for row in rows for name in row):
        field, values = _column(file, name, [row.get(name) for row in rows], places)
        columns.append(values)
        fields.append(field)
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _column(file: DataFile, name: str, values: list, places: list[str] | None) -> tuple[pa.Field, pa.Array]:
    """One column, and its field.

    Raises:
        DataError: its values have no type in common.
    """
    import pyarrow as pa

    kind = file.types.get(name)
    if kind is not None and pa.types.is_string(kind):
        return pa.field(name, kind), pa.array([_as_text(value) for value in values], kind)
    values = [_with_numbers(value) for value in values]
    as_text = f"column_types: {{{name}: 'string'}} takes them as they are written"
    try:
        found = pa.array(values)
    except UnicodeEncodeError as error:
        raise file.broken(f"holds half a surrogate pair in the column {name!r}: {error}") from error
    except (OverflowError, pa.ArrowInvalid, pa.ArrowTypeError) as error:
        kinds = [_KINDS.get(type(value)) for value in values]
        first = next(kind for kind in kinds if kind)
        at = next((index for index, kind in enumerate(kinds) if kind not in (None, first)), None)
        if at is not None:
            place = places[at] if places else f"item {at}"
            problem = f"{place}: the column {name!r} is {kinds[at]} here ({str(values[at])[:60]!r}), but {first} before"
            raise file.broken(f"cannot be read: {problem}", as_text) from error
        try:
            found = pa.array([_with_integers_as_text(value) for value in values])
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            raise file.broken(f"has values of different types in the column {name!r}: {error}", as_text) from error
        return pa.field(name, found.type, metadata={BIG_INTEGERS: b""}), found
    return pa.field(name, found.type), found


_KINDS = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(_with_numbers(value), ensure_ascii=False)


def _with_numbers(value: Any) -> Any:
    """The value with each number as a number again."""
    if type(value) is _Number:
        return int(value) if value.lstrip("-").isdigit() else float(value)
    if type(value) is list:
        return [_with_numbers(item) for item in value]
    if type(value) is dict:
        return {name: _with_numbers(item) for name, item in value.items()}
    return value


def _with_integers_as_text(value: Any) -> Any:
    if type(value) is int:
        return str(value)
    if type(value) is list:
        return [_with_integers_as_text(item) for item in value]
    if type(value) is dict:
        return {name: _with_integers_as_text(item) for name, item in value.items()}
    return value
