"""The serial runner: one node after the other, in this process."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from runway.errors import RunFailed
from runway.log import is_quiet
from runway.pipeline import debugger
from runway.pipeline.node import NodeFailure, random_state_kept
from runway.pipeline.plan import MAYBE, RUN, Step
from runway.pipeline.runners.base import Runner
from runway.pipeline.runners.progress import Progress
from runway.pipeline.runners.resources import check_gpus
from runway.pipeline.runners.step import IN_WORKER, Work, compute_and_commit
from runway.ranks import rank
from runway.status_line import status_line

if TYPE_CHECKING:
    from runway.pipeline.graph import Node, Spec
    from runway.pipeline.plan import Plan
    from runway.pipeline.runners.step import Bench


class SerialRunner(Runner):
    """Runs what a plan says in dependency order.

    A cached node's value goes through the store to each of its consumers, so that a fresh value and a cached one
    are the same thing.
    """

    def __init__(
        self, plan: Plan, bench: Bench, spec: Spec, options: Mapping[str, Any] | None = None, *, quiet: bool = False
    ) -> None:
        super().__init__(plan, bench, spec, options, quiet=quiet)
        self._failures: dict[str, NodeFailure] = {}
        self._lost: set[str] = set()  # failed nodes, and all that needs them
        self._asked: str | None = None
        self._settled: set[str] = set()  # what needs no visit any more
        self.progress = Progress(plan, [])
        bench.on_uncached = self._uncached_ran

    def run(self, targets: list[str], *, values: bool, run_uncached: bool = True) -> dict[str, Any]:
        """As Runner says."""
        active = [name for name in self.plan.order if self.plan.steps[name].status in (RUN, MAYBE)]
        self.bench.count_consumers(active, targets if values else ())
        for_effect = set(targets if run_uncached else ())
        results = {}
        self.check_resources([self.plan.steps[name].node for name in active])
        shown = [name for name in active if self.plan.steps[name].cached or name in for_effect]
        self.progress = Progress(self.plan, shown, self.at_once())
        self.bench.on_start = self.progress.start
        with random_state_kept(), self._shown_progress():
            self.run_elsewhere(active, for_effect)
            for name in self.plan.order:
                step = self.plan.steps[name]
                if step.status in (RUN, MAYBE) and name not in self._settled:
                    self._visit(step, for_effect=name in for_effect)
                self.bench.learn(name, step.base_key, step.entry if step.cached else None)
                self.progress.finish(name)
            for name in targets if values else ():
                if name not in self._lost:
                    with self._keeping_failures(name):
                        results[name] = self.bench.take(name)
        if self._failures:
            raise RunFailed(list(self._failures.values()))
        return results

    def at_once(self) -> int:
        """How many nodes run at once at most."""
        return 1

    def _shown_progress(self) -> contextlib.AbstractContextManager[None]:
        """How far it is, in a line at the terminal, while it runs."""
        hidden = self.quiet or is_quiet() or rank() > 0 or debugger.is_on() or os.environ.get(IN_WORKER)
        return contextlib.nullcontext() if hidden else status_line(self.progress.text)

    def check_resources(self, nodes: list[Node]) -> None:
        """Raise a ConfigError where one of the nodes that may run asks for what there is not."""
        check_gpus(nodes)

    def run_elsewhere(self, active: list[str], for_effect: set[str]) -> None:
        """Bring up to date what other processes can; what is left runs here. This runner has none."""

    def _visit(self, step: Step, *, for_effect: bool) -> None:
        """Run a step if it is one that is run for its own sake."""
        name = step.node.name
        if self._lost.intersection(self.plan.inputs(step)):
            self._lost.add(name)
            return
        if not step.cached and not for_effect:  # it runs inside its consumers; its inputs are known by now
            self.plan.resolve(step)
            return
        with self._keeping_failures(name):
            # Its inputs are known by now, or came out otherwise than they were.
            if self.plan.resolve(step) and self._is_up_to_date(step):
                self._settle(step)
            elif step.cached:
                self._bring_up_to_date(step)
            else:
                self._run_for_effect(step)

    @contextlib.contextmanager
    def _keeping_failures(self, name: str) -> Iterator[None]:
        """A failure, of this node or of one above it that is not kept, is told once and ends what depends on it."""
        try:
            yield
        except NodeFailure as failure:
            self._lost |= {failure.node, name}
            self.progress.finish(failure.node)
            if failure.node not in self._failures:
                self._failures[failure.node] = failure
                self.say(f"failed  {failure.node}")

    def _is_up_to_date(self, step: Step) -> bool:
        """Whether an entry saves the run: an evicted one does where nobody takes the value."""
        if not step.cached or step.entry is None or step.forced:
            return False
        if not step.entry.has_value:
            return not self.bench.has_consumers(step.node.name)
        return self.plan.entries.store.is_whole(step.entry)

    def _bring_up_to_date(self, step: Step) -> None:
        assert step.parts is not None
        work = Work(step.node.name, step.parts, self.bench.known, step.forced)
        done = compute_and_commit(self.spec, work, self.bench)
        step.entry, step.content = done.entry, done.entry.content
        if done.seconds is None:
            self.bench.release_inputs(step.node.name)
            return
        self.plan.done_before.add(step.node.name)
        self.say_ran(step, done.seconds, done.entry.bytes)

    def _settle(self, step: Step) -> None:
        """It does not run after all."""
        self.say(f"cached  {step.node.name}  (its input came out the same)")
        self.bench.release_inputs(step.node.name)

    def _run_for_effect(self, step: Step) -> None:
        """An uncached node that was asked for: run it, and leave a receipt."""
        name = step.node.name
        if step.status == MAYBE and step.parts is not None and self.plan.entries.find(step.parts.key()) is not None:
            self._settle(step)
            return
        self.bench.learn(name, step.base_key)
        self._asked = name
        self.bench.run_for_effect(name, None if step.volatile else step.parts)

    def _uncached_ran(self, name: str, seconds: float) -> None:
        self.progress.finish(name)
        self.plan.done_before.add(name)
        if name == self._asked or seconds > 1:
            self.say_ran(self.plan.steps[name], seconds)
