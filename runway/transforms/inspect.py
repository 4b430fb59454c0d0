"""Looks at data on its way: a breakpoint, a printed summary, and the summary itself."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from runway.errors import must_be_whole
from runway.log import at_terminal, human_bytes, info
from runway.registry import register_transform_functor
from runway.transforms.arrow_tables import RowTable, row_tables
from runway.transforms.base import BaseTransform

_WIDTH = 100
_BRIEF = 300
MOST_ROWS = 100_000
"""Rows that are looked at closely."""


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
    """Logs a summary of the data and passes it on: type, splits, columns, sizes, sample rows; how long texts and lists
    are, how often each class comes, how numbers lie."""

    def setup(self, num_rows: int = 3, **kwargs: Any) -> None:
        """Say how much to show.

        Args:
            num_rows: rows of each split.
            **kwargs: ``input_mapping`` and ``output_mapping``, see BaseTransform.
        """
        super().setup(**kwargs)
        must_be_whole("num_rows", num_rows, least=0, where=self.where)
        self.num_rows = num_rows

    def _call(self, data: Any) -> Any:
        for line in describe_lines(data, self.num_rows, closely=True):
            info(line)
        return data


def describe(data: Any, num_rows: int = 1, *, closely: bool = False) -> dict[str, Any]:
    """What a value is, in plain words and numbers.

    Args:
        data: any node's output.
        num_rows: how many sample rows to take.
        closely: look at all values of each column; take the first batch of a loader.

    Returns:
        ``type``; ``rows``, ``columns`` ``{name: type}`` and ``bytes`` where it has them; ``sample`` (a list of rows,
        or what the value looks like); ``parts`` ``{name: the same for each split, key or item}``; closely, ``facts``
        of the columns (of the first MOST_ROWS rows), see ``column_facts``, and ``batch`` {name: type and shape}.
    """
    summary: dict[str, Any] = {"type": "Dataset" if isinstance(data, RowTable) else type(data).__name__}
    if closely and not isinstance(data, Mapping):
        summary |= _closely(data)
    if hasattr(data, "column_names") and hasattr(data, "features"):  # an HF Dataset
        summary["columns"] = {name: _kind(feature) for name, feature in (data.features or {}).items()}
        if hasattr(data, "__len__"):
            summary["rows"] = len(data)
            summary["bytes"] = _dataset_bytes(data)
            summary["sample"] = [data[row] for row in range(min(num_rows, len(data)))]
    elif isinstance(data, Mapping):
        summary["parts"] = {
            str(name): describe(part, num_rows, closely=closely) for name, part in itertools.islice(data.items(), 20)
        }
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
            summary["parts"] = {
                str(index): describe(part, num_rows, closely=closely) for index, part in enumerate(data[:20])
            }
    elif hasattr(data, "collate_fn") and hasattr(data, "dataset"):  # a torch DataLoader
        with contextlib.suppress(TypeError):  # of an iterable dataset
            summary["batches"] = len(data)
        if closely:
            summary["batch"] = _shapes(next(iter(data), None))
    else:
        if hasattr(data, "__len__") and not isinstance(data, str | bytes):
            summary["rows"] = len(data)
        summary["sample"] = _short(data)
    return summary


class Summary:
    """What ``describe`` gives, as a person reads it.

    Args:
        name: what it is a summary of.
        facts: what ``describe`` gives.
    """

    def __init__(self, name: str, facts: dict[str, Any]) -> None:
        self.name = name
        self.facts = facts

    def __repr__(self) -> str:
        return "\n".join([f"{self.name}:", *summary_lines(self.facts)])

    def _repr_html_(self) -> str:
        return "".join(_html_parts(self.name, self.facts))


def _html_parts(name: str, summary: Mapping[str, Any]) -> Iterator[str]:
    from runway.notebook import html_table
    from runway.transforms.column_facts import facts_line

    columns, sample = summary.get("columns", {}), summary.get("sample")
    facts = [(column, kind, facts_line(summary.get("facts", {}).get(column, {}))) for column, kind in columns.items()]
    yield html_table((), facts, title=f"{name}: {_heading(summary)}")
    if isinstance(sample, list) and sample and isinstance(sample[0], Mapping):
        yield html_table(list(sample[0]), [[row.get(column, "") for column in sample[0]] for row in sample])
    elif sample:
        yield html_table((), [[_short(sample)]])
    if "batch" in summary:
        yield html_table(("first batch", ""), summary["batch"].items())
    for part, inner in summary.get("parts", {}).items():
        yield from _html_parts(f"{name} / {part}", inner)


def describe_briefly(data: Any) -> str:
    """What a value is, in one line: its type, and of each part its rows and columns."""
    return _brief(describe(data, 0))


def _brief(summary: Mapping[str, Any]) -> str:
    facts = [str(summary["type"])]
    if "shape" in summary:
        facts.append(f"shape {summary['shape']}, {summary['dtype']}")
    if "rows" in summary and "parts" not in summary:
        facts.append(f"{summary['rows']} rows")
    text = ", ".join(facts)
    if summary.get("columns"):
        text += f" ({', '.join(summary['columns'])})"
    if isinstance(summary.get("sample"), str):
        text += f": {summary['sample']}"
    parts = [f"{name}: {_brief(part)}" for name, part in summary.get("parts", {}).items()]
    text = f"{text} {{{'; '.join(parts)}}}" if parts else text
    return text if len(text) <= _BRIEF else text[: _BRIEF - 1] + "…"


def _closely(data: Any) -> dict[str, Any]:
    """The facts of the columns, and of how many rows, where these are not all: memory need not hold them."""
    from runway.transforms.column_facts import column_facts

    is_longer = hasattr(data, "__len__") and len(data) > MOST_ROWS
    if is_longer and isinstance(data, RowTable):
        data = RowTable(data.table.slice(0, MOST_ROWS))
    elif is_longer and hasattr(data, "select") and hasattr(data, "features"):
        data = data.select(range(MOST_ROWS))
    elif is_longer and (isinstance(data, list) or hasattr(data, "iloc")):
        data = data[:MOST_ROWS]
    tables = row_tables(data)
    if not tables:
        return {}
    return {"facts": column_facts(tables[""]), **({"looked_at": MOST_ROWS} if is_longer else {})}


def describe_lines(data: Any, num_rows: int = 1, *, closely: bool = False) -> list[str]:
    """``describe`` as lines to print."""
    return summary_lines(describe(data, num_rows, closely=closely))


def summary_lines(summary: Mapping[str, Any]) -> list[str]:
    """What ``describe`` gives, as lines to print."""
    return _lines(summary, "")


def _heading(summary: Mapping[str, Any]) -> str:
    """Its type and sizes."""
    words = [str(summary["type"])]
    if "rows" in summary:
        words.append(f"{summary['rows']} {'parts' if 'parts' in summary else 'rows'}")
    if "batches" in summary:
        words.append(f"{summary['batches']:,} batches")
    if "shape" in summary:
        words.append(f"shape {summary['shape']}, {summary['dtype']}")
    if "bytes" in summary:
        words.append(human_bytes(summary["bytes"]))
    if "looked_at" in summary:
        words.append(f"the first {summary['looked_at']:,} looked at")
    return ", ".join(words)


def _lines(summary: Mapping[str, Any], indent: str) -> list[str]:
    lines = [indent + _heading(summary)]
    facts = summary.get("facts")
    if facts:
        from runway.transforms.column_facts import facts_line

        columns = summary.get("columns") or dict.fromkeys(facts, "")
        titles = {name: f"{name} ({kind})" if kind else name for name, kind in columns.items()}
        width = max(map(len, titles.values()))
        lines += [f"{indent}  {titles[name]:<{width}}  {facts_line(facts.get(name, {}))}".rstrip() for name in titles]
    elif "columns" in summary:
        lines.append(
            f"{indent}  columns: " + ", ".join(f"{name} ({kind})" for name, kind in summary["columns"].items())
        )
    if "batch" in summary:
        lines.append(
            f"{indent}  first batch: " + ", ".join(f"{name} {kind}" for name, kind in summary["batch"].items())
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


def _shapes(batch: Any) -> dict[str, str]:
    """{name: type and shape} of what is in a batch."""
    if isinstance(batch, Mapping):
        items = {str(name): part for name, part in batch.items()}
    elif isinstance(batch, list | tuple):
        items = {str(index): part for index, part in enumerate(batch)}
    else:
        items = {"": batch}
    return {
        name: f"{str(part.dtype).removeprefix('torch.')} {list(part.shape)}"
        if hasattr(part, "shape") and hasattr(part, "dtype")
        else describe_briefly(part)
        for name, part in items.items()
    }


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
    table = dataset.table if isinstance(dataset, RowTable) else dataset.data
    stored = table.num_rows
    return int(table.nbytes * len(dataset) / stored) if stored else 0
