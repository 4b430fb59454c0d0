"""Makes a Dataset of rows that come one by one, whose types become known on the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from runway.errors import DataError
from runway.transforms.arrow_tables import TableWriter, dataset_of

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

ROWS_AT_A_TIME = 1000
"""How many rows that come one by one are turned into Arrow together."""


def dataset_of_rows(rows: Iterable[Any], features: Mapping[str, Any], where: str) -> Dataset:
    """A Dataset of rows that come one by one, in memory a batch at a time.

    A column may appear late or miss in some rows (null there), and its type may widen on the way: from null to any,
    from integers to floats, from a struct to one with more fields.

    Args:
        rows: dicts ``{column: value}``.
        features: what columns of these names keep where their values still go with it: integers with an int32, or with
            a ClassLabel of so many classes, but not floats or text. The columns of a Dataset without rows.
        where: whose work it is, for errors: a node, a setting.

    Raises:
        DataError: a row is no dict, or the values of a column have no type in common.
    """
    import pyarrow as pa
    from datasets import Features

    rows, features = iter(rows), dict(features)
    schema: pa.Schema | None = None
    writers: list[TableWriter] = []  # one for each form that the rows have had
    while batch := list(islice(rows, ROWS_AT_A_TIME)):
        table = _typed(batch, features, where)
        try:
            wider = pa.unify_schemas([schema or table.schema, table.schema], promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise DataError(f"the rows do not have the same types: {error}", where=where) from error
        if wider != schema:
            schema = wider
            writers.append(TableWriter(where))
        writers[-1].add(_as_schema(table, wider, where))
    if schema is None:
        return dataset_of(Features(features).arrow_schema.empty_table(), Features(features))
    parts = [writer.finish() for writer in writers]
    if len(parts) > 1:
        writer = TableWriter(where)
        for part in parts:
            for table in part.with_format("arrow").iter(ROWS_AT_A_TIME):
                writer.add(_as_schema(table, schema, where))
        parts = [writer.finish()]
    inferred = Features.from_arrow_schema(schema)
    types = Features({name: features.get(name, kind) for name, kind in inferred.items()}).arrow_schema
    kept = {name: features[name] for name in features if name in inferred and types.field(name) == schema.field(name)}
    return dataset_of(parts[0].data, Features({**inferred, **kept}))


def _typed(rows: list[Any], features: dict[str, Any], where: str) -> pa.Table:
    """Rows as a table. Takes out of ``features`` the classes of a column that holds other numbers, and puts in what
    Arrow's types do not tell of a new column, such as an Image."""
    import pyarrow as pa
    from datasets import ClassLabel
    from datasets.arrow_writer import OptimizedTypedSequence
    from datasets.features.features import get_nested_type

    for row in rows:
        if not isinstance(row, Mapping):
            raise DataError(f"a row must be a dict, but is a {type(row).__name__} instead", where=where)
    columns = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        typed = OptimizedTypedSequence([_in_order(row.get(name)) for row in rows], col=name)
        try:
            array = pa.array(typed)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            raise DataError(
                f"the values of the column {name!r} are of different types: {error}", where=where
            ) from error
        if name not in features:
            features[name] = typed.get_inferred_type()
        stored = get_nested_type(features[name])
        if _kind(array.type) in (_kind(stored), "null"):
            with suppress(pa.ArrowInvalid, pa.ArrowNotImplementedError):  # a number is too large, say
                array = array.cast(stored)
        if isinstance(features[name], ClassLabel) and not _are_classes(array, features[name].num_classes):
            del features[name]
        columns[name] = array
    return pa.table(columns)


def _in_order(value: Any) -> Any:
    """A value in which each set is a sorted list: else its order is another one in another process."""
    kind = type(value)
    if kind in (set, frozenset):
        return sorted(map(_in_order, value), key=repr)
    if kind is dict:
        return {name: _in_order(inner) for name, inner in value.items()}
    if kind in (list, tuple) and value and type(value[0]) in (set, frozenset, dict, list, tuple):
        return [_in_order(inner) for inner in value]
    return value


def _kind(kind: pa.DataType) -> Any:
    """A type without its width."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return {field.name: _kind(field.type) for field in kind}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return [_kind(kind.value_type)]
    for test in (pa.types.is_integer, pa.types.is_floating, pa.types.is_timestamp):
        if test(kind):
            return test.__name__
    return {"large_string": "string", "large_binary": "binary"}.get(str(kind), str(kind))


def _are_classes(values: pa.Array, classes: int) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_integer(values.type):
        return pa.types.is_null(values.type)
    found = pc.min_max(values).as_py()
    return found["min"] is None or (found["min"] >= -1 and found["max"] < classes)  # -1 is "no label", as in HF


def _as_schema(table: pa.Table, schema: pa.Schema, where: str) -> pa.Table:
    """The same rows in a wider form, with null where they have no value."""
    import pyarrow as pa

    try:
        return pa.concat_tables([schema.empty_table(), table], promote_options="permissive")
    except pa.ArrowInvalid as error:  # a whole number beside fractions that no float holds exactly
        raise DataError(f"the rows do not have the same types: {error}", where=where) from error
