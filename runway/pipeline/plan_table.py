"""A plan as a table: the nodes as a tree, the state of each and why, its entry, and how long it took the last time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from runway.log import human_bytes, human_seconds
from runway.pipeline import drawing
from runway.pipeline.plan import CACHED, IDLE, MAYBE, RUN

if TYPE_CHECKING:
    from runway.pipeline.plan import Plan

COLUMNS = ("node", "status", "why", "size", "age", "expected")
STATUS = COLUMNS.index("status")
_MOST_REASONS = 3


def rows(plan: Plan) -> list[list[str]]:
    """The cells of each node's row."""
    return [_row(plan, line) for line in drawing.tree(plan.order, drawing.drawing_of(plan).edges)]


def _row(plan: Plan, line: drawing.Line) -> list[str]:
    step = plan.steps[line.node]
    size = age = expected = ""
    if step.entry is not None:
        size = human_bytes(step.entry.bytes)
        age = human_seconds(max(0.0, time.time() - step.entry.meta["created"]))
    if step.status in (RUN, MAYBE):
        seconds = plan.last_seconds(step)
        expected = "?" if seconds is None else human_seconds(seconds)
    rest = [f"and {len(step.reasons) - _MOST_REASONS} more"] if len(step.reasons) > _MOST_REASONS else []
    why = "\n".join([*step.reasons[:_MOST_REASONS], *rest])
    return [f"{line.rails}{line.node}{line.also}", step.status, why, size, age, expected]


def closing(plan: Plan) -> str:
    """How many nodes are in which state, and what the last times of those that run add up to."""
    told = ", ".join(f"{count} {state}" for state in (CACHED, RUN, MAYBE, IDLE) if (count := plan.count(state)))
    sums = {}
    for state in (RUN, MAYBE):
        found = [plan.last_seconds(plan.steps[name]) for name in plan.order if plan.steps[name].status == state]
        sums[state] = sum(seconds for seconds in found if seconds is not None)
    least, most = sums[RUN], sums[RUN] + sums[MAYBE]
    if not most:
        return told
    span = dict.fromkeys((human_seconds(least), human_seconds(most)))
    return f"{told}; {' to '.join(span) if least else f'up to {human_seconds(most)}'} by the last times"
