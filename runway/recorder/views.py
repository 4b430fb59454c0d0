"""A recorder's samples and stats in the form that the reader wants: dict, list, pandas, Arrow, csv, Dataset."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from runway.errors import DataError, did_you_mean
from runway.recorder.encoding import IMAGES, JSON, cast, cast_table
from runway.recorder.file_formats import schema_of, write_csv

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
    columns = [column.whole(table.rows) for column in table.columns.values()]
    return cast_table(pa.table(columns, names=list(table.columns)), schema_of(table))


def as_pandas(table: SampleTable) -> pd.DataFrame:
    """A data frame; whole numbers and truth values stay what they are beside missing ones."""
    import pandas as pd

    series = {}
    for name, column in table.columns.items():
        if _is_flat(column.type()):
            whole = column.whole(table.rows)
            kind = whole.type
            is_int, is_bool = pa.types.is_integer(kind), pa.types.is_boolean(kind)
            nullable = pd.Int64Dtype() if is_int else pd.BooleanDtype() if is_bool else None
            series[name] = whole.to_pandas(types_mapper={kind: nullable}.get if whole.null_count else None)
        else:
            series[name] = pd.Series(column.values(table.rows), dtype=object)
    return pd.DataFrame(series, index=range(table.rows))


def as_csv(table: SampleTable) -> str:
    """The text of a csv file; an image is shown by its size."""

    def shown(image: Any) -> Any:
        if isinstance(image, list):
            return [shown(item) for item in image]
        return None if image is None else f"<PNG, {len(image)} bytes>"

    twin = table.fork()
    for name, column in table.columns.items():
        if column.type() in IMAGES:
            twin.rewrite_column(name, lambda images, row: [shown(image) for image in images])
    buffer = io.BytesIO()
    write_csv(buffer, twin, {})
    return buffer.getvalue().decode()


def as_dataset(table: SampleTable) -> datasets.Dataset:
    """An HF Dataset; image columns are its Image feature, mixed columns are JSON text."""
    from datasets import Dataset, DatasetInfo, Features, Image, Sequence
    from datasets.table import table_cast

    arrow = as_arrow(table)
    arrow = cast_table(arrow, pa.schema([field.remove_metadata() for field in arrow.schema]))
    features = Features.from_arrow_schema(arrow.schema)
    for name, column in table.columns.items():
        if column.type() in IMAGES:
            features[name] = Sequence(Image()) if pa.types.is_list(column.type()) else Image()
    return Dataset(table_cast(arrow, features.arrow_schema), info=DatasetInfo(features=features))


def as_numpy(table: SampleTable, name: str) -> np.ndarray:
    """One column as an array: of numbers or truth values where they are all there, else of objects."""
    import numpy as np

    column = table.column(name)
    if _is_flat(column.type()):
        whole = column.whole(table.rows)
        if not whole.null_count:
            return whole.to_numpy()
    values = np.empty(table.rows, dtype=object)
    for row, value in enumerate(column.values(table.rows)):  # a slice would take lists for rows of a matrix
        values[row] = value
    return values


def _is_flat(kind: pa.DataType) -> bool:
    """Whether pandas and numpy take the values as they are."""
    return kind not in (JSON, *IMAGES) and not pa.types.is_nested(kind) and kind not in (pa.binary(), pa.null())


def as_column(table: SampleTable, name: str) -> pa.ChunkedArray:
    """One column as Arrow."""
    whole = table.column(name).whole(table.rows)
    return cast(whole, schema_of(table).field(name).type)


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
