"""EvalRecorder: what a validation, test or inference run writes down, sample by sample, and its stats."""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from runway.disk import stays_inside
from runway.errors import DataError, damage_told_as, did_you_mean
from runway.log import info
from runway.masking import hidden
from runway.recorder import save_and_load as files
from runway.recorder import views
from runway.recorder.file_formats import read_parquet, write_parquet
from runway.recorder.plain import plain
from runway.recorder.table import SampleTable
from runway.recorder.upload import active_run, upload

VERSION = 1  # of the saved files
_SHOWN_ROWS = 5  # in a notebook


class EvalRecorder:
    """A table of samples that grows while a model runs, and a dict of stats about them.

    Samples are kept by column in Arrow, and beyond some 16 MB in a temporary file (in ``TMPDIR``), so that the
    memory stays small however many rows there are.

    Values may be numbers, text, bytes, lists, dicts, tensors, numpy arrays and PIL images. What comes back:

    - tensors and arrays as lists (a 0-d one as a number), tuples and sets as lists, dates as ISO text, images
      as PIL images (kept as PNG; a mode that PNG lacks becomes RGB);
    - a column of whole numbers and fractions as floats, if each whole number is exact as a float;
    - a column of other mixed types (``1, "a", [2]``, dicts with different keys) value by value as logged: such a
      column is kept as JSON text, and only the Arrow, parquet, csv and Dataset views show it as that;
    - an object of any other type as its text, with a warning.

    Columns may be ragged: a column that appears late has None above, one that is no longer logged None below.

    Args:
        name: the recorder's name, which is also that of its folder.
        base_dir: the folder in which that folder is.
        meta_config: what is to be known about the run; the name and base_dir are added.
    """

    def __init__(
        self,
        name: str | None = None,
        base_dir: str | Path | None = None,
        meta_config: Mapping[str, Any] | None = None,
    ) -> None:
        self.base_dir = base_dir
        self.meta_config: dict[str, Any] = dict(meta_config or {})
        self._table = SampleTable()
        self._stats: dict[str, Any] = {}
        self._intervals: dict[str, dict[str, Any]] = {}
        self._slices: dict[str, dict[str, Any]] = {}
        self.wants_intervals = False
        """Whether what is computed over it says how sure it is: of a test, which is once, not of each validation."""
        self._saved_at: files.Paths | None = None
        self._saved_as = ("eval_recorder", "parquet")
        self.rename(name, base_dir)

    @property
    def save_dir(self) -> Path:
        """The recorder's folder.

        Raises:
            DataError: it has no name or base_dir, or the name leads out of base_dir.
        """
        if not self.name or self.base_dir is None:
            missing = "base_dir" if self.name else "name"
            raise DataError(f"the recorder {self.name!r} has no {missing}, so there is no folder to save it to")
        if not stays_inside(self.name):
            raise DataError(f"a recorder's name must stay inside its base_dir, but is {self.name!r} instead")
        return Path(self.base_dir) / self.name

    @property
    def is_saved(self) -> bool:
        """Whether the files of the last ``save_to_disk`` (or ``load_from_disk``) hold what the recorder holds now."""
        return self._saved_at is not None and self.base_dir is not None and self._saved_at.folder == self.save_dir

    def __bool__(self) -> bool:  # an empty recorder is still a recorder
        return True

    def __repr__(self) -> str:
        return f"EvalRecorder({self.name!r}, rows={len(self)}, columns={self.column_names}, stats={list(self._stats)})"

    def _repr_html_(self) -> str:
        from runway.notebook import html_table

        rows = [self[row] for row in range(min(_SHOWN_ROWS, len(self)))]
        stats = html_table((), self._stats.items(), title=f"{self.name}: {len(self):,} samples")
        return stats + html_table(self.column_names, [[row[name] for name in self.column_names] for row in rows])

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
        self._saved_at = None

    def log_sample_dict_batch(self, batch_dict: Mapping[str, Any]) -> None:
        """Log a batch of samples.

        Args:
            batch_dict: {column: values}; a list, array or tensor [batch, ...] each.

        Raises:
            DataError: the columns are not equally long, or one is not a sequence.
        """
        check_dict(batch_dict, "log_sample_dict_batch")
        self._table.write(batch_dict)
        self._saved_at = None

    def reset_for_new_pass(self) -> None:
        """Go back to row 0: what is logged next adds columns to the same rows, or replaces their values."""
        self._table.position = 0

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
        self._saved_at = None

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
        self._saved_at = None

    set_sample_dict_column = set_sample_logs_column
    get_sample_dict_column = get_sample_logs_column

    def log_stats_dict(
        self, stats_dict: Mapping[str, Any], *, intervals: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        """Set stats of the whole.

        Args:
            stats_dict: {name: value}; tensors and arrays become numbers or lists.
            intervals: where the truth is with 95% confidence, {name: {low, high, n, method}}; the interval that a stat
                had before goes.
        """
        check_dict(stats_dict, "log_stats_dict")
        for name, value in stats_dict.items():
            self._stats[str(name)] = plain(value, f"stat {name!r}")
            self._intervals.pop(str(name), None)
        for name, interval in (intervals or {}).items():
            self._intervals[str(name)] = plain(dict(interval), f"interval of {name!r}")
        self._saved_at = None

    def log_slices(self, slices: Mapping[str, Mapping[str, Any]]) -> None:
        """Set what some rows alone come to: {slice: {name: {value, low, high, n}}}; other names of a slice stay."""
        check_dict(slices, "log_slices")
        for name, found in slices.items():
            self._slices.setdefault(str(name), {}).update(plain(dict(found), f"slice {name!r}"))
        self._saved_at = None

    def clear_stats(self) -> None:
        """Forget all stats, with their intervals and slices."""
        self._stats, self._intervals, self._slices = {}, {}, {}
        self._saved_at = None

    def get_intervals(self) -> dict[str, dict[str, Any]]:
        """The 95% intervals of stats, {name: {low, high, n, method}}; a copy."""
        return copy.deepcopy(self._intervals)

    def get_slices(self) -> dict[str, dict[str, Any]]:
        """What slices of the rows come to, {slice: {name: {value, low, high, n, is_worse}}}; a copy."""
        return copy.deepcopy(self._slices)

    def _add_stats_of(self, other: EvalRecorder) -> None:
        self.log_stats_dict(other._stats, intervals=other._intervals)
        self.log_slices(other._slices)

    def get_stats_logs(self, data_format: str = "dict") -> Any:
        """The stats; a copy.

        Args:
            data_format: ``dict``, or as one row what ``get_sample_logs`` gives.

        Raises:
            DataError: an unknown format.
        """
        make = views.view(views.SAMPLES, data_format)
        if data_format == "dict":
            return copy.deepcopy(self._stats)
        row = SampleTable()
        row.write_row(self._stats)
        return make(row)

    def select_rows(self, rows: Sequence[int]) -> EvalRecorder:
        """A recorder of the given rows, in the given order; stats and meta config go along."""
        try:
            chosen = [operator.index(row) for row in rows]
        except TypeError as error:
            raise DataError(f"rows are selected by their numbers, but are given as {rows!r:.80}") from error
        if any(isinstance(row, bool) for row in rows):
            raise DataError(
                "rows are selected by their numbers, but truth values are given",
                hint="for a mask: [row for row, chosen in enumerate(mask) if chosen]",
            )
        bad = next((row for row in chosen if not 0 <= row < len(self)), None)
        if bad is not None:
            raise DataError(f"row {bad} is selected, but the recorder has {len(self)} rows")
        twin = self.fork()
        twin._table = self._table.take(chosen)
        twin._saved_at = None
        return twin

    def sort_by(self, col_name: str, *, drop_duplicates: bool = False) -> EvalRecorder:
        """A recorder in the order of a column, such as the dataset's index.

        Args:
            col_name: the column; rows without a value in it come last.
            drop_duplicates: keep the first row of each value only, as where a sampler padded its shards.
        """
        kind = self._table.column(col_name).type()
        if not drop_duplicates and (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            import pyarrow.compute as pc

            in_order = pc.sort_indices(self._table.column(col_name).whole(len(self)))
            if 1 << 20 < len(self) < 1 << 32:  # half the memory; and Arrow lets go what sorting took
                in_order = in_order.cast(pa.uint32())
                pa.default_memory_pool().release_unused()
            twin = self.fork()
            twin._table, twin._saved_at = self._table.take(in_order.to_numpy()), None
            return twin
        keys = self.get_sample_logs_column(col_name)
        try:
            order = sorted(range(len(keys)), key=lambda row: (keys[row] is None, 0 if keys[row] is None else keys[row]))
        except TypeError as error:
            raise DataError(f"column {col_name!r} cannot be sorted: {error}") from error
        if drop_duplicates:
            pairs = zip(order, [None, *order], strict=False)
            order = [row for row, last in pairs if last is None or keys[row] is None or keys[row] != keys[last]]
        return self.select_rows(order)

    @classmethod
    def concatenate(cls, recorders: Iterable[EvalRecorder]) -> EvalRecorder:
        """One recorder of all rows, one recorder's after the other's: the shards of several processes.

        The name, base_dir and meta config are the first one's; of stats with the same name the last one's holds.
        """
        parts = list(recorders)
        if not parts:
            raise DataError("there is no recorder to concatenate")
        whole = parts[0].fork()
        whole._table.position = whole._table.rows
        whole._saved_at = None
        for part in parts[1:]:
            whole._table.append(part._table)
            whole._add_stats_of(part)
        return whole

    def merge(self, others: EvalRecorder | Iterable[EvalRecorder]) -> EvalRecorder:
        """Add the columns that this recorder lacks, and the stats, of recorders over the same rows.

        Args:
            others: one recorder or several. One without any sample gives its stats.

        Returns:
            This recorder.

        Raises:
            DataError: one has another number of rows.
        """
        parts = [others] if isinstance(others, EvalRecorder) else list(others)
        for other in parts:
            if len(other) != len(self) and other.column_names:
                raise DataError(
                    f"recorders to be merged must have the same number of rows, but {self.name!r} has {len(self)} "
                    f"and {other.name!r} has {len(other)}"
                )
        for other in parts:
            self._table.adopt(other._table)
            self._add_stats_of(other)
        self._saved_at = None
        return self

    def rename(self, new_name: str | None, new_base_dir: str | Path | None = None) -> None:
        """Change the name, and base_dir if one is given; files that were saved stay where they are."""
        self.name = self.meta_config["name"] = new_name
        if new_base_dir is not None:
            self.base_dir = new_base_dir
        self.meta_config["base_dir"] = None if self.base_dir is None else str(self.base_dir)

    def fork(self) -> EvalRecorder:
        """A copy that goes its own way; it shares with this one what neither will change, so that it costs little."""
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin.meta_config = copy.deepcopy(self.meta_config)
        twin._stats = copy.deepcopy(self._stats)
        twin._intervals, twin._slices = self.get_intervals(), self.get_slices()
        twin._table = self._table.fork()
        return twin

    __copy__ = fork

    def __deepcopy__(self, memo: dict) -> EvalRecorder:
        return self.fork()

    def save_to_disk(self, file_prefix: str = "eval_recorder", file_format: str = "parquet") -> Path:
        """Write the recorder into ``save_dir``, in place of what was saved there under the same prefix and format.

        Args:
            file_prefix: the beginning of the files' names.
            file_format: ``parquet`` (zstd), ``json``, ``csv`` or ``pkl``. Images are written as PNG files beside.

        Returns:
            The path of the samples.

        Raises:
            DataError: an unknown format, no base_dir, a full disk.
        """
        paths = files.Paths(self.save_dir, file_prefix, file_format)
        files.save(paths, self._table, self._header())
        self._saved_at, self._saved_as = paths, (file_prefix, file_format)
        return paths.samples

    def save_changes(self) -> None:
        """Write the recorder again, under the prefix and in the format of the last time, if it has changed since."""
        if not self.is_saved:
            self.save_to_disk(*self._saved_as)

    @classmethod
    def load_from_disk(
        cls,
        name: str,
        base_dir: str | Path,
        file_prefix: str = "eval_recorder",
        file_format: str = "parquet",
    ) -> EvalRecorder:
        """Read what ``save_to_disk`` wrote; it begins a new pass, at row 0.

        Args:
            name: the recorder's folder in ``base_dir``.
            base_dir: where recorders are.
            file_prefix: as it was saved.
            file_format: as it was saved. A pickle is read only where ``pkl`` is asked for, and then only plain
                values are taken from it.

        Raises:
            DataError: it is not there (with those that are), or is damaged.
        """
        recorder = cls(name, base_dir)
        paths = files.Paths(recorder.save_dir, file_prefix, file_format)
        recorder._take(*files.load(paths))
        recorder.rename(name, base_dir)
        recorder.reset_for_new_pass()
        recorder._saved_at, recorder._saved_as = paths, (file_prefix, file_format)
        return recorder

    @classmethod
    def saved_files(cls, name: str, base_dir: str | Path, file_prefix: str, file_format: str) -> list[Path]:
        """The paths that ``load_from_disk`` reads, whether or not they are there."""
        return files.Paths(cls(name, base_dir).save_dir, file_prefix, file_format).all()

    def _header(self) -> dict[str, Any]:
        """All but the samples, plain."""
        return {
            "version": VERSION,
            "name": self.name,
            "base_dir": None if self.base_dir is None else str(self.base_dir),
            "rows": len(self),
            "position": self._table.position,
            "stats": self._stats,
            "meta": plain(hidden(self.meta_config), "meta_config"),
            **({"intervals": self._intervals} if self._intervals else {}),
            **({"slices": self._slices} if self._slices else {}),
        }

    def _take(self, table: SampleTable, header: dict[str, Any]) -> None:
        self._table, self._stats, self.meta_config = table, header["stats"], header["meta"]
        self._intervals, self._slices = header["intervals"], header["slices"]
        table.rows, table.position = header["rows"], header["position"]

    def save_to_dir(self, directory: Path) -> None:
        """Write everything into one file of ``directory``, images included (for the engine's store)."""
        directory.mkdir(parents=True, exist_ok=True)
        write_parquet(directory / "recorder.parquet", self._table, self._header())

    @classmethod
    def load_from_dir(cls, directory: Path) -> EvalRecorder:
        """Read what ``save_to_dir`` wrote.

        Raises:
            DataError: the file is missing or damaged.
        """
        path = directory / "recorder.parquet"
        with damage_told_as(DataError, "the recorder cannot be read", where=str(path)):
            table, header = read_parquet(path, {})
            recorder = cls(header["name"], header["base_dir"])
            recorder._take(table, files.checked_header(header, table))
        return recorder

    def __fingerprint__(self) -> dict[str, Any]:
        """A plain value that is the same for the same content (for the engine's keys)."""
        return {**self._header(), "columns": self.column_names, "samples": self._table.digest()}

    def __getstate__(self) -> dict[str, Any]:  # a recorder crosses process borders with all its rows
        sink = pa.BufferOutputStream()
        write_parquet(sink, self._table, self._header())
        in_file = ("_table", "_stats", "_intervals", "_slices", "meta_config", "_saved_at")
        others = {key: value for key, value in self.__dict__.items() if key not in in_file}
        return {**others, "parquet": sink.getvalue().to_pybytes()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        table, header = read_parquet(pa.BufferReader(state.pop("parquet")), {})
        self._take(table, files.checked_header(header, table))
        self._saved_at = None
        self.__dict__.update(state)

    def upload_to_wandb(
        self,
        wandb_tab_name: str | None = None,
        *,
        log_stats_dict: bool = True,
        prefix_to_log: Sequence[str] = (),
        columns_to_log: Sequence[str] | None = None,
        max_rows: int = 10_000,
    ) -> bool:
        """Log stats and columns to the wandb run that is active in this process.

        Args:
            wandb_tab_name: the section of the run's page; the recorder's name where none is given.
            log_stats_dict: whether to log the stats.
            prefix_to_log: log the columns whose names begin with one of these.
            columns_to_log: log these columns too.
            max_rows: how many rows are uploaded at most.

        Returns:
            Whether there was a run to log to.

        Raises:
            DataError: ``columns_to_log`` names a column that is not there.
        """
        unknown = next((name for name in columns_to_log or () if name not in self), None)
        if unknown is not None:
            raise DataError(
                f"columns_to_log names {unknown!r}, which the recorder does not have",
                hint=did_you_mean(unknown, self.column_names),
            )
        run = active_run()
        if run is None:
            info(f"wandb: no run is active, the recorder {self.name!r} is not uploaded")
            return False
        prefixes = tuple(prefix_to_log or ())
        columns = [name for name in self.column_names if name in (columns_to_log or ()) or name.startswith(prefixes)]
        tab = wandb_tab_name or self.name or "evaluation"
        stats = self._stats if log_stats_dict else {}
        upload(run, self._table, stats, columns=columns, tab=tab, max_rows=max_rows)
        return True


def check_dict(given: object, method: str) -> None:
    """Raise a DataError unless ``given`` is a dict."""
    if not isinstance(given, Mapping):
        raise DataError(f"{method} takes a dict, but is given a {type(given).__name__} instead")
