"""EvalRecorder with the original's views: an ``index`` column, and ``csv`` as a data frame."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import runway.recorder.recorder as of_runway

__all__ = ["EvalRecorder", "as_old_recorder"]


class EvalRecorder(of_runway.EvalRecorder):
    """runway's recorder; what its methods give is as the original gave it."""

    def get_sample_logs(self, data_format: str = "dict") -> Any:
        """All samples, with their numbers as the column ``index``; ``csv`` is a data frame."""
        if data_format not in ("dict", "csv", "pandas"):
            return super().get_sample_logs(data_format)
        if data_format == "dict":
            return {"index": list(range(len(self))), **super().get_sample_logs()}
        frame = super().get_sample_logs("pandas")
        if "index" not in frame:
            frame.insert(0, "index", range(len(self)))
        return frame

    def get_sample_logs_column(self, col_name: str, data_format: str = "list") -> Any:
        """One column's values; ``index`` is each sample's number."""
        if col_name == "index" and col_name not in self and data_format == "list":
            return list(range(len(self)))
        return super().get_sample_logs_column(col_name, data_format)

    get_sample_dict_column = get_sample_logs_column

    @property
    def index(self) -> list[int]:
        """The samples' numbers."""
        return self.get_sample_logs_column("index")

    def get_stats_logs(self, data_format: str = "dict") -> Any:
        """The stats; ``csv`` is a data frame of one row."""
        return super().get_stats_logs("pandas" if data_format == "csv" else data_format)

    def keep_top_n(self, n: int) -> None:
        """Leave the first samples only."""
        kept = self.select_rows(range(min(n, len(self))))
        self._table, self._saved_at = kept._table, None
        self._table.position = len(self)

    def copy_data_from(self, other: of_runway.EvalRecorder) -> None:
        """Take another recorder's samples, stats and meta config; the name stays."""
        twin = other.fork()
        self._table, self._stats, self._saved_at = twin._table, twin._stats, None
        self.meta_config = copy.copy(twin.meta_config)

    @classmethod
    def load_from_disk(
        cls,
        name: str,
        base_dir: str | Path,
        file_prefix: str = "eval_recorder",
        file_format: str | None = None,
    ) -> EvalRecorder:
        """As runway's; where no format is given, what is there: parquet, else the json that the original wrote."""
        if file_format is None:
            is_there = cls.saved_files(name, base_dir, file_prefix, "parquet")[0].is_file()
            file_format = "parquet" if is_there else "json"
        return super().load_from_disk(name, base_dir, file_prefix, file_format)  # type: ignore[return-value]


def as_old_recorder(data: Any) -> Any:
    """A recorder of runway's, or those in a list, with the original's views; anything else as it is."""
    if isinstance(data, list):
        return [as_old_recorder(item) for item in data]
    if type(data) is of_runway.EvalRecorder:
        twin = data.fork()
        twin.__class__ = EvalRecorder
        return twin
    return data
