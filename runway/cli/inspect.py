"""``runway inspect``: look at what a node gives; a node that is in the cache runs nothing."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sys
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from runway.cli.open_config import open_data_pipeline
from runway.errors import ConfigError, DataError, did_you_mean
from runway.log import at_terminal, human_bytes, human_seconds, table
from runway.masking import hidden, hide
from runway.pipeline.plan import CACHED
from runway.pipeline.store.base import DamagedEntry
from runway.transforms.arrow_tables import RowTable, row_tables
from runway.transforms.datasets.conditions import Condition, meets, parse_conditions
from runway.transforms.inspect import describe, describe_lines, summary_lines

if TYPE_CHECKING:
    from runway.pipeline import DataPipeline

HEAD = 5
_WIDTH = 200


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    pipeline, _, config = open_data_pipeline(arguments)
    asked = arguments.json or arguments.head is not None or arguments.where or arguments.split
    if asked or not at_terminal():
        _print(_look_up(pipeline, arguments.node), arguments)
    else:
        _prompt(pipeline.get_data([arguments.node], explode=True), arguments.node, pipeline, config)
    return 0


class Found(NamedTuple):
    """What a node gives.

    Attributes:
        data: the value; of a kept dataset or frame its rows as Arrow tables, because to import `datasets` or pandas
            takes longer than all the rest.
        type: of the value, where ``data`` stands for it.
        state: where it comes from, for people.
    """

    data: Any
    type: str | None
    state: str


_TYPES = {"dataset": "Dataset", "dataset_dict": "DatasetDict", "pandas": "DataFrame"}


def _look_up(pipeline: DataPipeline, node: str) -> Found:
    step = pipeline.plan([node], values=True).steps[node]
    if step.status != CACHED and step.cached:
        pipeline.prepare([node])
        step = pipeline.plan([node], values=True).steps[node]
    if step.status != CACHED or step.entry is None:
        started = time.perf_counter()
        data = pipeline.get_data([node], explode=True)
        return Found(data, None, f"computed in {human_seconds(time.perf_counter() - started)}, not kept")
    age = human_seconds(max(0.0, time.time() - step.entry.meta["created"]))
    state = f"cached, {human_bytes(step.entry.bytes)}, made {age} ago in {human_seconds(step.entry.meta['seconds'])}"
    try:
        data = pipeline.store.load(step.entry, as_arrow=True)
    except DamagedEntry:  # it is computed again
        return _look_up(pipeline, node)
    kind = _TYPES.get(step.entry.meta["format"])
    if kind is not None:
        tables = row_tables(data)
        data = tables[""] if list(tables) == [""] else tables
    return Found(data, kind, state)


def _prompt(data: Any, node: str, pipeline: Any, config: Any) -> None:
    """A Python prompt with the data in scope; IPython's where it is installed."""
    names = {"data": data, "node": node, "pipeline": pipeline, "config": config}
    banner = "\n".join(
        [f"`data` is what {node} gives, beside it are `pipeline` and `config`:", *describe_lines(data, 1)]
    )
    try:
        from IPython import start_ipython
    except ImportError:
        import code

        with contextlib.suppress(SystemExit):  # `exit()`
            code.interact(banner, local=names, exitmsg="")
        return
    sys.stdout.write(banner + "\n")
    start_ipython(argv=["--no-banner", "--no-confirm-exit"], user_ns=names)


# -- printed


class Part(NamedTuple):
    """The rows of one split that are shown.

    Attributes:
        name: of the split; empty where the data has none.
        rows: how many there are.
        matching: how many meet the conditions.
        head: the first of these.
    """

    name: str
    rows: int
    matching: int
    head: list[dict[str, Any]]


def _print(found: Found, arguments: argparse.Namespace) -> None:
    conditions = parse_conditions(arguments.where, "--where") if arguments.where else []
    is_table = isinstance(found.data, RowTable)
    tables = {"": found.data} if is_table else found.data if found.type else row_tables(found.data)
    summary = describe(found.data, 0, closely=True)
    summary["type"] = found.type or summary["type"]
    if arguments.split:
        if arguments.split not in tables:
            listed = [name for name in tables if name]
            raise ConfigError(f"there is no split {arguments.split!r}", hint=did_you_mean(arguments.split, listed))
        tables = {arguments.split: tables[arguments.split]}
        summary["parts"] = {arguments.split: summary["parts"][arguments.split]}
    count = HEAD if arguments.head is None else arguments.head
    parts = list(_parts(tables, conditions, count))
    if not parts and (conditions or arguments.split):
        raise DataError(f"the output of {arguments.node} has no rows with columns: it is a {summary['type']}")
    if arguments.json:
        told: dict[str, Any] = {"node": arguments.node, "state": found.state, **_plain(summary)}
        told["splits"] = {part.name: _plain(part._asdict()) for part in parts}
        told = hidden(told, by_name=False)  # of data: a column that is called `token` holds no secret
        sys.stdout.write(json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        return
    if not parts:
        summary = describe(found.data, count, closely=True)
    sys.stdout.write(hide("\n".join([f"{arguments.node}: {found.state}", *summary_lines(summary)])) + "\n")
    for part in parts:
        met = f", {part.matching:,} of them meet --where" if conditions else ""
        columns = list(dict.fromkeys(name for row in part.head for name in row))
        title = f"{part.name + ': ' if part.name else ''}{part.rows:,} rows{met}"
        table(title, columns, [[_shown(row.get(name)) for name in columns] for row in part.head])


def _parts(tables: Mapping[str, RowTable], conditions: list[Condition], count: int) -> Iterator[Part]:
    for one in conditions:
        columns = {name for part in tables.values() for name in part.column_names}
        if tables and one.column not in columns:
            message = f"there is no column {one.column!r}"
            raise ConfigError(message, where="--where", hint=did_you_mean(one.column, columns))
    for name, part in tables.items():
        if any(one.column not in part.column_names for one in conditions):
            continue
        chosen = None
        for one in conditions:
            try:
                mask = meets(part, *one)
            except (ValueError, TypeError, NotImplementedError) as error:
                message = f"{one.column} {one.operator} {one.operand!r} does not go with the column's type"
                raise ConfigError(message, where="--where", hint=" ".join(str(error).split())[:200]) from error
            chosen = mask if chosen is None else chosen & mask
        rows = range(len(part)) if chosen is None else chosen.nonzero()[0]
        yield Part(name, len(part), len(rows), [part[int(row)] for row in rows[:count]])


def _plain(value: Any) -> Any:
    """What JSON can hold; the rest as text, and what is no finite number as null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _shown(value: Any) -> str:
    text = " ".join((value if isinstance(value, str) else repr(value)).split())
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
