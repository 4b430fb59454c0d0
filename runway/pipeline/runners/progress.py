"""How far a run is: which nodes are done, running and waiting, and how long that will take by the last times."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from runway.log import human_seconds

if TYPE_CHECKING:
    from runway.pipeline.plan import Plan

SHOWN = 3
"""Nodes that run are named up to so many."""


class Progress:
    """What is known of the nodes of one run.

    Args:
        plan: the steps.
        nodes: those that run, or may.
        at_once: how many run at once.
    """

    def __init__(self, plan: Plan, nodes: list[str], at_once: int = 1) -> None:
        self._plan = plan
        self._waiting = dict.fromkeys(nodes)
        self._of = len(nodes)
        self._at_once = at_once
        self._running: dict[str, float] = {}
        self._expected: dict[str, float | None] = {}

    def start(self, node: str) -> None:
        """A node begins to run."""
        self._running[node] = time.monotonic()

    def finish(self, node: str) -> None:
        """A node has run, or need not run."""
        self._running.pop(node, None)
        self._waiting.pop(node, None)

    def text(self) -> str:
        """It all in a line."""
        running, waiting = dict(self._running), [name for name in list(self._waiting) if name not in self._running]
        left = len(waiting) + sum(name in self._waiting for name in running)
        parts = [f"{self._of - left}/{self._of} nodes"]
        for name, started in list(running.items())[:SHOWN]:
            passed, expected = time.monotonic() - started, self._seconds(name)
            of = f" of about {human_seconds(expected)}" if expected is not None and expected > passed else ""
            parts.append(f"{name} {passed:.0f} s{of}")
        if len(running) > SHOWN:
            parts.append(f"and {len(running) - SHOWN} more")
        if waiting:
            parts.append(f"{len(waiting)} waiting")
        seconds = self._seconds_left(running, waiting)
        return " · ".join(parts + ([f"about {human_seconds(seconds)} left"] if seconds else []))

    def _seconds_left(self, running: dict[str, float], waiting: list[str]) -> float | None:
        """None where a node never ran before."""
        now = time.monotonic()
        left = []
        for name in (*running, *waiting):
            expected = self._seconds(name)
            if expected is None:
                return None
            left.append(max(0.0, expected - (now - running[name] if name in running else 0.0)))
        return max(sum(left) / self._at_once, max(left, default=0.0))

    def _seconds(self, name: str) -> float | None:
        if name not in self._expected:
            self._expected[name] = self._plan.last_seconds(self._plan.steps[name])
        return self._expected[name]
