"""A recorder's samples and stats in the form that the reader wants: dict, list, pandas, Arrow, csv, Dataset."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from runway.errors import DataError, did_you_mean
from runway.recorder.encoding import IMAGE, PLAIN
from runway.recorder.file_formats import Samples, write_csv

if TYPE_CHECKING:
    import datasets
    import numpy as np
    import pandas as pd

    from runway.recorder.table import SampleTable


def as_dict(table: SampleTable) -> dict[str, list]:
    """{column: values}."""
    return {name: column.values(table.rows) for name, column in table.columns.items()}


def as_list(table: SampleTable) -> list[dict[str, Any]]:
    """One dict for each row."""
    columns = as_dict(table)
    if not columns:
        return [{} for _ in range(table.rows)]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def as_arrow(table: SampleTable) -> pa.Table:
    """An Arrow table; mixed columns are JSON text, images PNG files as binary, and the field's metadata says so."""
    schema = table.schema()
    arrays = [as_column(table, name) for name in schema.names]
    return pa.Table.from_arrays(arrays, schema=schema)


def as_pandas(table: SampleTable) -> pd.DataFrame:
    """A data frame; whole numbers and truth values stay what they are beside missing ones."""
    import pandas as pd

    return pd.DataFrame({name: _series(table, name) for name in table.columns}, index=range(table.rows))


def _series(table: SampleTable, name: str) -> Any:
    import pandas as pd

    column = table.columns[name]
    kind, type_ = column.form()
    nested = pa.types.is_nested(type_) or pa.types.is_binary(type_) or pa.types.is_null(type_)
    if kind != PLAIN or nested:
        return pd.Series(column.values(table.rows), dtype=object)
    whole = pa.chunked_array(column.arrays(table.rows, (kind, type_)), type_)
    if whole.null_count and pa.types.is_boolean(type_):
        return whole.to_pandas(types_mapper={type_: pd.BooleanDtype()}.get)
    if whole.null_count and pa.types.is_integer(type_):
        return whole.to_pandas(types_mapper={type_: pd.Int64Dtype()}.get)
    return whole.to_pandas()


def as_csv(table: SampleTable) -> str:
    """The text of a csv file; an image is shown by its size."""
    buffer = io.BytesIO()
    write_csv(buffer, Samples(table, lambda content, column, place: f"<PNG, {len(content)} bytes>"), {})
    return buffer.getvalue().decode()


def as_dataset(table: SampleTable) -> datasets.Dataset:
    """An HF Dataset; image columns are its Image feature, mixed columns are JSON text."""
    from datasets import Dataset, DatasetInfo, Features, Image, Sequence

    arrow = as_arrow(table).replace_schema_metadata(None)
    image_type = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    features = {}
    for index, found in enumerate(arrow.schema):
        if table.columns[found.name].form()[0] != IMAGE:
            continue
        several = pa.types.is_list(found.type)
        values = [_image_struct(value) for value in arrow.column(index).to_pylist()]
        column = pa.array(values, pa.list_(image_type) if several else image_type)
        arrow = arrow.set_column(index, found.name, column)
        features[found.name] = Sequence(Image()) if several else Image()
    arrow = arrow.cast(pa.schema([found.remove_metadata() for found in arrow.schema]))
    return Dataset(arrow, info=DatasetInfo(features=Features({**Features.from_arrow_schema(arrow.schema), **features})))


def _image_struct(value: Any) -> Any:
    if isinstance(value, list):
        return [_image_struct(item) for item in value]
    return None if value is None else {"bytes": value, "path": None}


def as_numpy(table: SampleTable, name: str) -> np.ndarray:
    """One column as an array: of numbers or truth values where they are all there, else of objects."""
    import numpy as np

    column = table.column(name)
    kind, type_ = column.form()
    if kind == PLAIN and not pa.types.is_nested(type_) and not pa.types.is_null(type_):
        whole = pa.chunked_array(column.arrays(table.rows, (kind, type_)), type_)
        if not whole.null_count:
            return whole.to_numpy()
    values = np.empty(table.rows, dtype=object)
    for row, value in enumerate(column.values(table.rows)):  # a slice would take lists for rows of a matrix
        values[row] = value
    return values


def as_column(table: SampleTable, name: str) -> pa.ChunkedArray:
    """One column as Arrow."""
    column = table.column(name)
    form = column.form()
    return pa.chunked_array(column.arrays(table.rows, form), form[1])


SAMPLES: dict[str, Callable[[SampleTable], Any]] = {
    "dict": as_dict,
    "list": as_list,
    "pandas": as_pandas,
    "arrow": as_arrow,
    "csv": as_csv,
    "dataset": as_dataset,
}
COLUMNS: dict[str, Callable[[SampleTable, str], Any]] = {
    "list": lambda table, name: table.column(name).values(table.rows),
    "numpy": as_numpy,
    "arrow": as_column,
}


def view(views: dict[str, Callable], data_format: str) -> Callable:
    """The function for a ``data_format``.

    Raises:
        DataError: there is none.
    """
    if data_format not in views:
        raise DataError(
            f"data_format must be one of {', '.join(views)}, but is {data_format!r} instead",
            hint=did_you_mean(str(data_format), views),
        )
    return views[data_format]
