"""Puts the rows of several files one after the other, in one schema that all their rows have a say in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runway.errors import DataError, did_you_mean
from runway.log import info
from runway.transforms.arrow_tables import TableWriter
from runway.transforms.loading.column_types import as_type, cast
from runway.transforms.loading.readers.json_rows import BIG_INTEGERS
from runway.transforms.loading.text_columns import TextColumn, types_of

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

    from runway.transforms.loading.readers.source import DataFile

_HF = b"huggingface"
_ROWS_AT_A_TIME = 100_000


class JoinedRows:
    """Collects the tables of files, and gives them as one Dataset.

    Args:
        where: whose work it is, for errors.
        limit: how many rows to keep; all others still count for the types.
        fill_missing: whether a file may lack columns that others have; null stands there then.
    """

    def __init__(self, where: str, limit: int | None, fill_missing: bool) -> None:
        self.where = where
        self.limit = limit
        self.rows = 0
        self._fill_missing = fill_missing
        self._parts: list[tuple[bool, TableWriter]] = []  # whether it holds csv's texts, and the tables
        self._schemas: dict[bool, pa.Schema] = {}  # of csv's texts, and of the rest
        self._texts: dict[str, TextColumn] = {}
        self._columns: dict[str, DataFile] = {}  # the first file that has each
        self._here: dict[str, None] = {}  # the columns of the file that is read
        self._files = 0
        self._rows_here = 0
        self._classes: dict[str, tuple[list[str], DataFile]] = {}
        self._big: dict[str, DataFile] = {}  # columns of whole numbers that became texts, with the file

    @property
    def full(self) -> bool:
        """Whether no more rows are kept."""
        return self.limit is not None and self.rows >= self.limit

    def add(self, table: pa.Table, file: DataFile, *, csv: bool) -> None:
        """Append rows of a file.

        Args:
            table: its columns.
            file: where they come from.
            csv: whether they are the texts of cells, whose types all rows say together.

        Raises:
            DataError: a value does not fit the type that the user says, or a column those of the rows before it.
        """
        import pyarrow as pa

        self._here.update(dict.fromkeys(table.column_names))
        table = self._typed(table, file)
        self._rows_here += table.num_rows
        if csv:
            for name in table.column_names:
                if name not in file.types:
                    self._texts.setdefault(name, TextColumn(name)).see(table.column(name))
        self._check_classes(table, file)
        self._mark_big(table, file)
        before = self._schemas.get(csv)
        wider = self._wider(pa.schema([]) if before is None else before, table.schema, file)
        metadata = (before.metadata if before is not None else None) or table.schema.metadata
        wider = wider.with_metadata(metadata)
        if before is None or wider != before or not self._parts or self._parts[-1][0] != csv:
            self._parts.append((csv, TableWriter(self.where)))
        self._schemas[csv] = wider
        rows = table if self.limit is None else table.slice(0, max(0, self.limit - self.rows))
        self.rows += rows.num_rows
        if rows.num_rows or not self._parts[-1][1].rows:
            self._parts[-1][1].add(self._fitted(rows, wider, file.place))

    def end_file(self, file: DataFile) -> None:
        """All of a file was added.

        Raises:
            DataError: it has other columns than the files before it.
        """
        missing = [name for name in self._columns if name not in self._here]
        new = [name for name in self._here if name not in self._columns] if self._files else []
        if (missing or new) and not self._fill_missing:
            raise self._other_columns(file, missing, new)
        for name in self._here:
            self._columns.setdefault(name, file)
        self._files += 1
        self._rows_here, self._here = 0, {}

    def _other_columns(self, file: DataFile, missing: list[str], new: list[str]) -> DataError:
        first = next(iter(self._columns.values()), file)
        if missing:
            problem = f"has no column {missing[0]!r}, which {self._columns[missing[0]].path.name!r} has"
            near = did_you_mean(missing[0], new or self._here)
        else:
            problem = f"has the column {new[0]!r}, which {first.path.name!r} has not"
            near = did_you_mean(new[0], self._columns)
        mend = "fill_missing_columns: true puts null where a file has no such column; `fields` says which to keep"
        return file.broken(problem, f"{near}; {mend}")

    def _typed(self, table: pa.Table, file: DataFile) -> pa.Table:
        for name, kind in file.types.items():
            if name in table.column_names:
                index = table.schema.get_field_index(name)
                values = as_type(table.column(index), kind, name, file.place, self._rows_here + 1)
                table = table.set_column(index, name, values)
        return table

    def _check_classes(self, table: pa.Table, file: DataFile) -> None:
        """Raise where the numbers of labels mean other names than in the files before."""
        if not table.schema.metadata or _HF not in table.schema.metadata:
            return
        from datasets import ClassLabel, Features

        for name, feature in Features.from_arrow_schema(table.schema).items():
            if isinstance(feature, ClassLabel):
                names, first = self._classes.setdefault(name, (feature.names, file))
                if names != feature.names:
                    raise file.broken(
                        f"has other label names in the column {name!r} than {first.path.name!r}: "
                        f"{feature.names[:8]} and {names[:8]}",
                        "a number would mean two things; load the files as separate nodes, with EncodeLabels for each",
                    )

    def _mark_big(self, table: pa.Table, file: DataFile) -> None:
        for field in table.schema:
            if BIG_INTEGERS in (field.metadata or {}) and field.name not in self._big:
                self._big[field.name] = file
                info(
                    f"{file.place}: the whole numbers of the column {field.name!r} become text: 64 bits do not hold "
                    f"them all; column_types: {{{field.name}: 'float64'}} rounds them"
                )

    def _wider(self, before: pa.Schema, here: pa.Schema, file: DataFile) -> pa.Schema:
        """The schema that holds both.

        Raises:
            DataError: a column's types have nothing in common.
        """
        import pyarrow as pa

        kinds = {field.name: field.type for field in before}
        for field in here:
            kind = kinds.setdefault(field.name, field.type)
            if kind.equals(field.type):
                continue
            try:
                if field.name in self._big:
                    kinds[field.name] = _as_big(kind, field.type)
                else:
                    one, other = pa.schema([("x", kind)]), pa.schema([("x", field.type)])
                    kinds[field.name] = pa.unify_schemas([one, other], promote_options="permissive").field(0).type
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                raise self._misfit(file, field.name, kind, field.type) from error
        return pa.schema(list(kinds.items()))

    def _misfit(self, file: DataFile, name: str, before: Any, here: Any) -> DataError:
        return file.broken(
            f"does not go with the rows before it: the column {name!r} is {here} here, and was {before}",
            f"column_types: {{{name}: 'string'}} makes it text everywhere",
        )

    def finish(self) -> Dataset:
        """All rows.

        Raises:
            DataError: the types of files do not go together.
        """
        schema = self._final_schema()
        if len(self._parts) == 1 and self._schemas[self._parts[0][0]].equals(schema):
            return self._parts[0][1].finish()
        writer = TableWriter(self.where)
        for _, part in self._parts:
            data = part.finish().data.table
            for start in range(0, max(1, len(data)), _ROWS_AT_A_TIME):
                rows = data.slice(start, _ROWS_AT_A_TIME)
                writer.add(self._fitted(rows, schema, self.where))
        return writer.finish()

    def _fitted(self, rows: pa.Table, schema: pa.Schema, where: str) -> pa.Table:
        import pyarrow as pa

        try:
            return _in_schema(rows, schema)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            raise DataError(
                f"the rows do not go into one schema: {error}",
                where=where,
                hint="column_types: {column: 'string'} makes a column text everywhere",
            ) from error

    def _final_schema(self) -> pa.Schema:
        import pyarrow as pa

        rest = self._schemas.get(False)
        if True not in self._schemas:
            return rest if rest is not None else pa.schema([])
        guessed = types_of(self._texts.values(), self.where)
        texts = pa.schema([(field.name, guessed.get(field.name, field.type)) for field in self._schemas[True]])
        if rest is None:
            return texts
        for index, field in enumerate(texts):
            other = rest.field(field.name).type if field.name in rest.names else field.type
            if pa.types.is_string(other):  # text in a file with types is text in a csv file too
                texts = texts.set(index, pa.field(field.name, other))
        last = next(file for file in reversed(self._columns.values()))
        return self._wider(rest, texts, last).with_metadata(rest.metadata)


def _as_big(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """Of two types of whole numbers, one as text, that with text; nested ones too."""
    import pyarrow as pa

    if pa.types.is_list(one) and pa.types.is_list(other):
        return pa.list_(_as_big(one.value_type, other.value_type))
    if pa.types.is_struct(one) and pa.types.is_struct(other):
        kinds = {field.name: field.type for field in one}
        for field in other:
            kinds[field.name] = _as_big(kinds[field.name], field.type) if field.name in kinds else field.type
        return pa.struct(list(kinds.items()))
    if pa.types.is_integer(one) or pa.types.is_null(one):
        return other
    if pa.types.is_integer(other) or pa.types.is_null(other) or one.equals(other):
        return one
    raise pa.ArrowTypeError(f"{one} and {other}")


def _in_schema(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The same rows in a wider schema, with null where they have no value.

    Raises:
        pa.ArrowInvalid: a whole number beside fractions that no float holds.
    """
    import pyarrow as pa

    columns = []
    for field in schema:
        index = table.schema.get_field_index(field.name)
        if index < 0:
            columns.append(pa.nulls(len(table), field.type))
            continue
        values = table.column(index)
        if not values.type.equals(field.type):
            values = _widened(values, field.type)
        columns.append(values)
    return pa.table(columns, schema=schema)


def _widened(values: Any, kind: pa.DataType) -> Any:
    """Values of a wider type: a struct with more fields, which older versions of pyarrow do not cast, or lists of such,
    or other numbers."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if values.type.equals(kind):
        return values
    if isinstance(values, pa.ChunkedArray):
        if not kind.num_fields:
            return cast(values, kind)
        return pa.chunked_array([_widened(chunk, kind) for chunk in values.chunks], kind)
    if pa.types.is_struct(values.type) and pa.types.is_struct(kind):
        parts = dict(zip((field.name for field in values.type), values.flatten(), strict=True))
        wide = [
            _widened(parts[field.name], field.type) if field.name in parts else pa.nulls(len(values), field.type)
            for field in kind
        ]
        return pa.StructArray.from_arrays(wide, fields=list(kind), mask=pc.is_null(values))
    if pa.types.is_list(values.type) and pa.types.is_list(kind):
        missing = np.append(pc.is_null(values).to_numpy(zero_copy_only=False), False)
        offsets = pa.array(values.offsets.to_numpy(), pa.int32(), mask=missing)  # a null there is a null list
        return pa.ListArray.from_arrays(offsets, _widened(values.values, kind.value_type), type=kind)
    return values.cast(kind)
