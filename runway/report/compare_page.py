"""A comparison of runs as a table on the terminal, and as a page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from runway.log import info, table
from runway.report.page import Page, told
from runway.report.pairing import given_columns

if TYPE_CHECKING:
    from runway.report.compare import Against, Comparison
    from runway.report.samples import Samples

MOST_CHANGED = 500
"""Rows of each kind in a page."""
_SHOWN, _WIDTH, _DIFF_SHOWN = 5, 60, 60  # on the terminal
_PREDICTED = ("predicted_class_label", "predicted_class_id", "prediction", "predictions", "hypothesis")
_SECTIONS = (("settings", "Settings"), ("code", "Code"), ("data", "Data"), ("facts", "Surroundings"))
_SAME = {
    "settings": "The settings are the same.",
    "code": "The code is the same.",
    "data": "The data is the same.",
}


def print_comparison(found: Comparison) -> None:
    """Print what differs."""
    names = [run.name for run in found.runs]
    for part, title in _SECTIONS:
        heads, rows = _differing(found, part)
        if rows:
            table(title, heads, [[name, *map(_cut, row)] for name, *row in rows])
        elif part in _SAME:
            info(_SAME[part])
        if part == "code" and found.diff:
            _print_diff(found.diff.splitlines())
    if found.values:
        heads = [f"{one.run.name} to {names[0]}" for one in found.against]
        rows = [[name, *(told(value) for value in row), *_verdicts(found, name)] for name, row in found.values]
        table("Metrics", ["", *names, *heads], rows)
    for at, one in enumerate(found.against, 1):
        if one.unpaired:
            info(f"the rows of {names[0]} and {one.run.name} do not pair: {one.unpaired}")
        if one.fixed or one.broken:
            info(_told_changed(names[0], one))
            columns, rows = changed_rows(found, at, _SHOWN)
            table("", columns, [[_cut(told(value)) for value in row] for row in rows])


def _print_diff(lines: Sequence[str]) -> None:
    import sys

    sys.stdout.write("\n".join([*lines[:_DIFF_SHOWN], ""]))
    if len(lines) > _DIFF_SHOWN:
        info(f"{len(lines) - _DIFF_SHOWN:,} more lines of the code's difference: --html shows all")


def comparison_page(found: Comparison) -> Page:
    """The same as a page, with all rows that changed."""
    names = [run.name for run in found.runs]
    page = Page(" · ".join(names), f"differences from {names[0]}")
    page.section("Metrics")
    page.table(
        ["metric", *names, *(f"{one.run.name} to {names[0]}" for one in found.against)],
        [[name, *row, *_verdicts(found, name)] for name, row in found.values],
    )
    page.note(
        "In brackets: the 95% interval of the difference, from rows paired by their index (bootstrap over pairs). "
        "Tied: the difference may be chance, by that interval or by the test (Holm's correction over the metrics)."
    )
    for one in found.against:
        if one.unpaired:
            page.note(f"The rows of {names[0]} and {one.run.name} do not pair: {one.unpaired}.")
    for part, title in _SECTIONS:
        heads, rows = _differing(found, part)
        if rows or part in _SAME:
            page.section(title)
        if rows:
            page.table(heads, rows)
        elif part in _SAME:
            page.note(_SAME[part])
        if part == "code" and found.diff:
            page.lines((_diff_class(line), line) for line in found.diff.splitlines())
    for at, one in enumerate(found.against, 1):
        if one.pairs is None:
            continue
        columns, rows = changed_rows(found, at, MOST_CHANGED)
        if rows:
            page.section(f"Samples: {names[0]} and {one.run.name}")
            page.samples(columns, rows, caption=_told_changed(names[0], one))
    return page


def _differing(found: Comparison, part: str) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of what differs in one part; of data also by what."""
    names = [run.name for run in found.runs]
    rows = [[name, *(_exact(part, value) for value in row)] for name, row in getattr(found, part)]
    if part != "data":
        return ["", *names], rows
    heads = ["why"] if len(names) == 2 else [f"why {name}" for name in names[1:]]
    return ["", *names, *heads], [[*row, *(one.get(row[0], "") for one in found.reasons)] for row in rows]


def _verdicts(found: Comparison, name: str) -> list[str]:
    return [one.metrics[name].told() if name in one.metrics else "" for one in found.against]


def _told_changed(first: str, one: Against) -> str:
    if not one.fixed and not one.broken:
        return f"The rows whose score has changed most from {first} to {one.run.name}. A click shows the whole text."
    return (
        f"From {first} to {one.run.name}, {len(one.fixed):,} rows went from wrong to right, "
        f"and {len(one.broken):,} from right to wrong."
    )


def changed_rows(found: Comparison, at: int, most: int) -> tuple[list[str], list[list[Any]]]:
    """The rows that changed between the first run and another.

    Args:
        found: the comparison.
        at: which of its runs.
        most: rows of each kind.

    Returns:
        Names of columns, and rows: from right to wrong first, then from wrong to right; where rows are not right or
        wrong, those whose score has changed most, the worst first.
    """
    one, first, second = found.against[at - 1], found.samples[0], found.samples[at]
    if one.pairs is None or first is None or second is None:
        return [], []
    if one.fixed or one.broken:
        places = [*one.broken[:most], *one.fixed[:most]]
        words: list[Any] = ["right to wrong"] * len(one.broken[:most]) + ["wrong to right"] * len(one.fixed[:most])
        return _beside(found, at, places, "change", words)
    if first.classes is not None or first.score is None or first.score != second.score:
        return [], []
    name, highest = first.score
    change = second.array(name)[one.pairs.second] - first.array(name)[one.pairs.first]
    order = np.argsort(-change if highest else change, kind="stable")
    order = order[np.abs(change[order]) > 0]
    places = order.tolist() if len(order) <= 2 * most else [*order[:most].tolist(), *order[-most:].tolist()]
    return _beside(found, at, places, f"change of {name}", change[places].tolist())


def _beside(
    found: Comparison, at: int, places: Sequence[int], title: str, words: Sequence[Any]
) -> tuple[list[str], list[list[Any]]]:
    """Rows with what is given of them, and what each run has said."""
    pairs, first, second = found.against[at - 1].pairs, found.samples[0], found.samples[at]
    assert pairs is not None
    assert first is not None
    assert second is not None
    given = given_columns(first)
    if "ground_truth_class_label" in given:
        given.remove("ground_truth_class_id")
    said = next((name for name in _PREDICTED if name in first and name in second), None)
    parts: list[tuple[str, Samples, np.ndarray, list[str]]] = [
        (found.runs[0].name, first, pairs.first, [said] if said else []),
        (found.runs[at].name, second, pairs.second, [said] if said else []),
    ]
    columns = [title, "row"]
    values: list[Sequence[Any]] = [list(words), [int(pairs.first[place]) for place in places]]
    for run, samples, rows, names in parts:
        taken = samples.rows([int(rows[place]) for place in places], names)[1]
        columns += [f"{run} says" for _ in names]
        values += [[row[1 + number] for row in taken] for number in range(len(names))]
    taken = first.rows([int(pairs.first[place]) for place in places], given)[1]
    columns += ["true" if name == "ground_truth_class_label" else name for name in given]
    values += [[row[1 + number] for row in taken] for number in range(len(given))]
    return columns, [list(row) for row in zip(*values, strict=False)]


def _exact(part: str, value: Any) -> str:
    """A value as it stands in a file; of a digest its beginning."""
    if isinstance(value, str):
        return value[:8] if part in ("code", "data") else value
    return json.dumps(value, ensure_ascii=False, default=str)


def _cut(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"


def _diff_class(line: str) -> str:
    return {"+": "added", "-": "removed"}.get(line[:1], "plain")
