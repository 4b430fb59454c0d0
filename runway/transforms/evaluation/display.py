"""A DataOp that shows what an evaluation has come to: the recorder's stats and some of its samples."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runway.errors import did_you_mean, must_be_whole
from runway.log import info, table, warning
from runway.registry import register_transform_functor
from runway.transforms.evaluation.recorders import RecorderTransform

if TYPE_CHECKING:
    from runway.recorder import EvalRecorder


@register_transform_functor
class DisplayEvalResults(RecorderTransform):
    """Print the recorder's stats and some of its samples; the recorder passes through."""

    def setup(
        self,
        columns: Sequence[str] | None = None,
        num_rows: int = 5,
        sort_by: str | None = None,
        lowest_first: bool = False,
        spread: bool = False,
        title: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Take what to show.

        Args:
            columns: the columns of the samples to show; by default all.
            num_rows: how many samples to show.
            sort_by: show the samples with the highest values of this column (such as ``loss``: where the model is
                most wrong); by default the first.
            lowest_first: show those with its lowest values instead (such as ``sentence_bleu``).
            spread: show samples from all over that order, its first to its last, for a fair picture of the whole.
            title: stands over the stats; by default the recorder's name.
            **kwargs: ``input_mapping`` and ``output_mapping``, see BaseTransform.
        """
        super().setup(**kwargs)
        self.columns = columns
        must_be_whole("num_rows", num_rows, least=0, where=self.where)
        self.num_rows = num_rows
        self.sort_by = sort_by
        self.lowest_first = lowest_first
        self.spread = spread
        self.title = title

    def _call(self, data: EvalRecorder) -> EvalRecorder:
        wanted = list(self.columns) if self.columns is not None else data.column_names
        columns = [name for name in wanted if self._is_there(data, name, "columns")]
        title = self.title or f"Evaluation of {data.name}"
        intervals = data.get_intervals()
        stats = [[name, _cell(value), bounds(intervals.get(name))] for name, value in data.get_stats_logs().items()]
        if intervals:
            table(title, ["stat", "value", "95% interval"], stats)
        elif stats:
            table(title, ["stat", "value"], [row[:2] for row in stats])
        else:
            info(f"{title}: there are no stats")
        show_slices(data.get_slices())
        rows = self._rows(data)
        if columns and rows:
            samples = [data[row] for row in rows]
            shown = [
                [row, *(_cell(sample[name]) for name in columns)] for row, sample in zip(rows, samples, strict=True)
            ]
            table(f"{len(rows)} of {len(data)} samples{self._order()}", ["row", *columns], shown)
        return data

    def _is_there(self, data: EvalRecorder, name: str, setting: str) -> bool:
        """Whether there is such a column; a table that lacks one is no reason to lose a test."""
        if name not in data:
            hint = did_you_mean(name, data.column_names)
            warning(f"{self.where}: {setting} names {name!r}, which the recorder does not have ({hint})")
        return name in data

    def _rows(self, data: EvalRecorder) -> list[int]:
        if self.sort_by is None or not self._is_there(data, self.sort_by, "sort_by"):
            return list(range(len(data))[: self.num_rows])
        values = data.get_sample_logs_column(self.sort_by)
        rows = [row for row, value in enumerate(values) if value is not None]
        if not self.spread:
            choose = heapq.nsmallest if self.lowest_first else heapq.nlargest
            return choose(self.num_rows, rows, key=values.__getitem__)
        rows.sort(key=values.__getitem__, reverse=not self.lowest_first)
        count = min(self.num_rows, len(rows))
        return [rows[round(place * (len(rows) - 1) / max(count - 1, 1))] for place in range(count)]

    def _order(self) -> str:
        """How the title says which samples are shown."""
        if not self.sort_by:
            return ""
        first, last = ("lowest", "highest") if self.lowest_first else ("highest", "lowest")
        return f", from the {first} {self.sort_by} to the {last}" if self.spread else f", {first} {self.sort_by} first"


def bounds(interval: Mapping[str, Any] | None) -> str:
    """An interval in words; nothing where there is none."""
    if not interval or interval.get("low") is None:
        return ""
    return f"[{interval['low']:.4g}, {interval['high']:.4g}]"


def show_slices(slices: Mapping[str, Mapping[str, Any]]) -> None:
    """Print what slices of the rows come to, and which are worse than the rest."""
    rows = [
        [name, stat, _cell(one["value"]), bounds(one), one["n"], "worse" if one.get("is_worse") else ""]
        for name, found in slices.items()
        for stat, one in found.items()
    ]
    if not rows:
        return
    table("Slices", ["slice", "stat", "value", "95% interval", "n", ""], rows)
    for line in worse_slices(slices):
        info(line)


def worse_slices(slices: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """In words: the slices that are worse than the other rows, by more than chance."""
    found: dict[str, list[str]] = {}
    for name, scores in slices.items():
        for stat, one in scores.items():
            if one.get("is_worse"):
                found.setdefault(stat, []).append(f"{name} ({one['value']:.4g} {bounds(one)}, n = {one['n']})")
    tested = {stat: sum("p" in scores.get(stat, {}) for scores in slices.values()) for stat in found}
    return [
        f"{stat} is worse than on the other rows in: {'; '.join(names)} (p < 0.05, Holm over {tested[stat]} slices)"
        for stat, names in found.items()
    ]


def _cell(value: Any, most: int = 80) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    text = "" if value is None else str(value)
    return text if len(text) <= most else text[: most - 1] + "…"
