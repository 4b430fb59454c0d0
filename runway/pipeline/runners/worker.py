"""What a process does that computes nodes for another one: open the pipeline once, then node after node.

All that comes and goes is plain data. The process that asks holds the plan, and decides; this one loads the inputs from
the store, computes, commits, and says what came of it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from runway.errors import RunwayError, leaves_debugger
from runway.pipeline.keys.code import code_of
from runway.pipeline.node import NodeFailure
from runway.pipeline.runners.resources import set_threads
from runway.pipeline.runners.step import IN_WORKER, Done, bench_for, compute_and_commit, open_pipeline

if TYPE_CHECKING:
    from runway.pipeline.graph import Spec
    from runway.pipeline.runners.step import Work
    from runway.pipeline.store.base import Store


class Opening(NamedTuple):
    """What opens a pipeline in a worker.

    Attributes:
        spec: the pipeline.
        modules: the modules of its transforms, which the project's own code may not import.
        codes: {node: digest of its transform's code where the plan was made}.
    """

    spec: Spec
    modules: tuple[str, ...]
    codes: Mapping[str, str]


class Task(NamedTuple):
    """One node for a worker."""

    work: Work
    threads: int
    """How many threads it gets."""


class Outcome(NamedTuple):
    """What came of a task.

    Attributes:
        node: the node that was asked for.
        done: its entry, where there is one.
        error: what was raised.
        other_code: nodes whose code is another here than where the plan was made: nothing was computed.
        computed: the nodes that were computed here, in order.
        uncached: {node that was computed and is not kept: seconds}.
        place: which machine of several it was.
    """

    node: str
    done: Done | None = None
    error: Exception | None = None
    other_code: tuple[str, ...] = ()
    computed: tuple[str, ...] = ()
    uncached: Mapping[str, float] = {}
    place: str = ""


class Worker:
    """A pipeline that is open in this process.

    Args:
        opening: what opens it.
        store: where its entries are, if that is open.

    Raises:
        RunwayError: it cannot be opened here.
    """

    def __init__(self, opening: Opening, store: Store | None = None) -> None:
        os.environ[IN_WORKER] = "1"
        sys.breakpointhook = _no_breakpoint
        self.spec = opening.spec
        self.opened = open_pipeline(opening.spec, opening.modules, store)
        # Read before any node runs: a node may change what a later one refers to.
        classes = self.opened.graph.classes
        codes = {cls: code_of(cls).digest for cls in {classes[name] for name in opening.codes}}
        self.other_code = {name for name, digest in opening.codes.items() if codes[classes[name]] != digest}

    def do(self, task: Task) -> Outcome:
        """Compute one node."""
        work = task.work
        inside = [name for name, known in work.known.items() if known.entry_key is None]
        other = sorted(self.other_code.intersection((work.node, *inside)))
        if other:
            return Outcome(work.node, other_code=tuple(other))
        set_threads(task.threads)
        bench = bench_for(self.opened, work)
        uncached: dict[str, float] = {}
        bench.on_uncached = uncached.__setitem__
        done, error = None, None
        try:
            done = compute_and_commit(self.spec, work, bench)
        except Exception as raised:
            error = raised
            if leaves_debugger(raised):
                error = NodeFailure(self.opened.graph.nodes[work.node], _breakpoint_error())
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        return Outcome(work.node, done, error, (), tuple(bench.computed), uncached)


def _breakpoint_error() -> RunwayError:
    return RunwayError(
        "a breakpoint was reached in a worker process, where nobody can answer",
        hint="run it with `--runner serial`",
    )


def _no_breakpoint(*args: Any, **kwargs: Any) -> None:
    raise _breakpoint_error()
