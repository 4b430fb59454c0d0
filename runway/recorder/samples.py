"""A log of samples: rows go in one by one or in batches, and come out by row, by column or as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from runway.errors import DataError
from runway.recorder import views
from runway.recorder.table import SampleTable


class SampleLog:
    """The samples of a recorder; see ``EvalRecorder`` for what values may be."""

    def __init__(self) -> None:
        self._table = SampleTable()

    def _changed(self) -> None:
        """Called after every change."""

    @property
    def column_names(self) -> list[str]:
        """The columns, in the order of their first values."""
        return list(self._table.columns)

    def __len__(self) -> int:
        return self._table.rows

    def __contains__(self, column: object) -> bool:
        return column in self._table.columns

    def __getitem__(self, index: int | str | slice) -> Any:
        """A row as a dict (int), a column as a list (str), or some rows as {column: values} (slice).

        Raises:
            DataError: there is no such column.
            IndexError: there is no such row.
        """
        if isinstance(index, str):
            return self.get_sample_logs_column(index)
        columns = self._table.columns
        if isinstance(index, slice):
            rows = range(*index.indices(len(self)))
            return {name: [column.value(row) for row in rows] for name, column in columns.items()}
        row = index + len(self) if index < 0 else index
        if not 0 <= row < len(self):
            raise IndexError(f"row {index} is asked for, but the recorder has {len(self)} rows")
        return {name: column.value(row) for name, column in columns.items()}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[row] for row in range(len(self)))

    def log_sample_dict(self, sample_dict: Mapping[str, Any]) -> None:
        """Log one sample: {column: value}."""
        check_dict(sample_dict, "log_sample_dict")
        self._table.write_row(sample_dict)
        self._changed()

    def log_sample_dict_batch(self, batch_dict: Mapping[str, Any]) -> None:
        """Log a batch of samples.

        Args:
            batch_dict: {column: values}; a list, array or tensor [batch, ...] each.

        Raises:
            DataError: the columns are not equally long, or one is not a sequence.
        """
        check_dict(batch_dict, "log_sample_dict_batch")
        self._table.write(batch_dict)
        self._changed()

    def reset_for_new_pass(self) -> None:
        """Go back to row 0: what is logged next adds columns to the same rows, or replaces their values."""
        self._table.rewind()

    def get_sample_logs(self, data_format: str = "dict") -> Any:
        """All samples.

        Args:
            data_format: ``dict`` ({column: values}), ``list`` (of rows), ``pandas``, ``arrow``, ``csv`` (its text)
                or ``dataset`` (HF).

        Raises:
            DataError: an unknown format.
        """
        return views.view(views.SAMPLES, data_format)(self._table)

    def get_sample_logs_column(self, col_name: str, data_format: str = "list") -> Any:
        """One column's values.

        Args:
            col_name: the column.
            data_format: ``list``, ``numpy`` or ``arrow``.

        Raises:
            DataError: there is no such column or format.
        """
        return views.view(views.COLUMNS, data_format)(self._table, col_name)

    def set_sample_logs_column(self, col_name: str, col_value: Any) -> None:
        """Add or replace a whole column.

        Args:
            col_name: the column.
            col_value: a value for each row; a list, array or tensor [rows, ...].

        Raises:
            DataError: there is not one value for each row.
        """
        self._table.set_column(col_name, col_value)
        self._changed()

    def set_sample_logs_data(self, data: Mapping[str, Any] | pa.Table) -> None:
        """Replace all samples; what is logged next comes after them.

        Args:
            data: {column: values}, or an Arrow table.

        Raises:
            DataError: the columns are not equally long.
        """
        if isinstance(data, pa.Table):
            data = {name: data.column(name) for name in data.column_names}
        check_dict(data, "set_sample_logs_data")
        table = SampleTable()
        table.write(data)
        self._table = table
        self._changed()

    set_sample_dict_column = set_sample_logs_column
    get_sample_dict_column = get_sample_logs_column


def check_dict(given: object, method: str) -> None:
    """Raise a DataError unless ``given`` is a dict."""
    if not isinstance(given, Mapping):
        raise DataError(f"{method} takes a dict, but is given a {type(given).__name__} instead")
