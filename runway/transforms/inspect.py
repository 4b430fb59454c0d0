"""Looks at data on its way: a breakpoint, a printed summary, and the summary itself."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping
from typing import Any

from runway.log import at_terminal, human_bytes, info
from runway.registry import register_transform_functor
from runway.transforms.base import BaseTransform

_WIDTH = 100


@register_transform_functor
class InsertBreakpoint(BaseTransform):
    """Shows the data and stops in the debugger, with the data as ``data``; then passes it on.

    Where there is no terminal it only shows the data.
    """

    INTERACTIVE = True

    def _call(self, data: Any) -> Any:
        sys.stdout.write(f"Data under inspection: {data}\n")
        sys.stdout.flush()
        if at_terminal():
            breakpoint()  # `data` is yours to look at; `c` goes on
        return data


@register_transform_functor
class InspectData(BaseTransform):
    """Logs a summary of the data (type, splits, columns, sizes, sample rows) and passes it on."""

    def setup(self, num_rows: int = 3, **kwargs: Any) -> None:
        """Say how much to show.

        Args:
            num_rows: rows of each split.
            **kwargs: ``input_mapping`` and ``output_mapping``, see BaseTransform.
        """
        super().setup(**kwargs)
        self.num_rows = num_rows

    def _call(self, data: Any) -> Any:
        for line in describe_lines(data, self.num_rows):
            info(line)
        return data


def describe(data: Any, num_rows: int = 1) -> dict[str, Any]:
    """What a value is, in plain words and numbers.

    Args:
        data: any node's output.
        num_rows: how many sample rows to take.

    Returns:
        ``type``; ``rows``, ``columns`` ``{name: type}`` and ``bytes`` where it has them; ``sample`` (a list of rows,
        or what the value looks like); and ``parts`` ``{name: the same for each split, key or item}``.
    """
    summary: dict[str, Any] = {"type": type(data).__name__}
    if hasattr(data, "column_names") and hasattr(data, "features"):  # an HF Dataset
        summary["columns"] = {name: _kind(feature) for name, feature in (data.features or {}).items()}
        if hasattr(data, "__len__"):
            summary["rows"] = len(data)
            summary["bytes"] = _dataset_bytes(data)
            summary["sample"] = [data[row] for row in range(min(num_rows, len(data)))]
    elif isinstance(data, Mapping):
        summary["parts"] = {str(name): describe(part, num_rows) for name, part in itertools.islice(data.items(), 20)}
        summary["rows"] = len(data)
    elif hasattr(data, "iloc") and hasattr(data, "columns"):  # a pandas DataFrame
        summary["rows"] = len(data)
        summary["columns"] = {str(name): str(kind) for name, kind in data.dtypes.items()}
        summary["bytes"] = int(data.memory_usage(deep=True).sum())
        summary["sample"] = data.head(num_rows).to_dict("records")
    elif hasattr(data, "shape") and hasattr(data, "dtype"):  # an array or a tensor
        summary["shape"] = list(data.shape)
        summary["dtype"] = str(data.dtype)
        summary["bytes"] = int(getattr(data, "nbytes", 0))
        summary["sample"] = (
            [_short(data[row]) for row in range(min(num_rows, len(data)))] if data.shape else _short(data)
        )
    elif isinstance(data, list | tuple):
        summary["rows"] = len(data)
        if not data or isinstance(data[0], str | int | float) or type(data[0]) is dict:
            summary["sample"] = list(data[:num_rows])
        else:
            summary["parts"] = {str(index): describe(part, num_rows) for index, part in enumerate(data[:20])}
    else:
        if hasattr(data, "__len__") and not isinstance(data, str | bytes):
            summary["rows"] = len(data)
        summary["sample"] = _short(data)
    return summary


def describe_lines(data: Any, num_rows: int = 1) -> list[str]:
    """``describe`` as lines to print."""
    return _lines(describe(data, num_rows), "")


def _lines(summary: Mapping[str, Any], indent: str) -> list[str]:
    facts = [str(summary["type"])]
    if "rows" in summary:
        facts.append(f"{summary['rows']} {'parts' if 'parts' in summary else 'rows'}")
    if "shape" in summary:
        facts.append(f"shape {summary['shape']}, {summary['dtype']}")
    if "bytes" in summary:
        facts.append(human_bytes(summary["bytes"]))
    lines = [indent + ", ".join(facts)]
    if "columns" in summary:
        lines.append(
            f"{indent}  columns: " + ", ".join(f"{name} ({kind})" for name, kind in summary["columns"].items())
        )
    sample = summary.get("sample")
    if isinstance(sample, list):
        lines += [f"{indent}  [{number}] {_row(row)}" for number, row in enumerate(sample)]
    elif sample is not None:
        lines.append(f"{indent}  {sample}")
    for name, part in summary.get("parts", {}).items():
        first, *rest = _lines(part, indent + "  ")
        lines += [f"{indent}  {name}: {first.strip()}", *rest]
    return lines


def _row(row: Any) -> str:
    if isinstance(row, Mapping):
        return ", ".join(f"{name}={_short(value, 60)}" for name, value in row.items())
    return _short(row)


def _short(value: Any, width: int = _WIDTH) -> str:
    import reprlib

    brief = reprlib.Repr()
    brief.maxstring = brief.maxother = width
    text = " ".join(brief.repr(value).split())
    return text if len(text) <= width else text[: width - 1] + "…"


def _kind(feature: Any) -> str:
    """A column's type in a word: ``string``, ``int64``, ``ClassLabel(2)``, ``list of int32``."""
    if hasattr(feature, "num_classes"):
        return f"ClassLabel({feature.num_classes})"
    if isinstance(feature, list) and feature:
        return f"list of {_kind(feature[0])}"
    if hasattr(feature, "feature"):
        return f"list of {_kind(feature.feature)}"
    return str(getattr(feature, "dtype", None) or type(feature).__name__)


def _dataset_bytes(dataset: Any) -> int:
    """The size of the rows: of the stored table, scaled to the rows that are chosen from it."""
    table = dataset.data
    stored = table.num_rows
    return int(table.nbytes * len(dataset) / stored) if stored else 0
