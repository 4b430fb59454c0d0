"""What runners have in common that compute in other processes: which node can go where, and when its turn comes.

A node is given away as soon as its inputs are known; what is not kept runs inside of its consumers there. What cannot
go elsewhere (an uncached node that was asked for, and what takes from it) runs here in the end, as the serial runner
does it.
"""

from __future__ import annotations

import os
import pickle
import sys
from abc import ABC, abstractmethod
from collections import deque
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from runway.log import at_terminal, info
from runway.pipeline import debugger
from runway.pipeline.keys.code import latest_code_of
from runway.pipeline.node import NodeFailure
from runway.pipeline.plan import MAYBE, RUN
from runway.pipeline.runners.resources import share_of_cpus, wish
from runway.pipeline.runners.serial import SerialRunner
from runway.pipeline.runners.step import Known, Work
from runway.pipeline.runners.worker import IN_WORKER, Opening, Outcome, Task
from runway.ranks import rank

if TYPE_CHECKING:
    from runway.pipeline.plan import Step


class Workers(ABC):
    """The processes of one run."""

    @abstractmethod
    def submit(self, step: Step, task: Task) -> bool:
        """Give a node away; False where there is no place for it now."""

    @abstractmethod
    def wait(self) -> list[Outcome]:
        """What has come back, one outcome at least. Only asked while something is out."""


class ParallelRunner(SerialRunner):
    """Runs nodes in other processes; where is the subclass's."""

    @abstractmethod
    def open_workers(self, opening: Opening, most: int) -> AbstractContextManager[Workers]:
        """The workers of this run, ended with the block, whatever ends it.

        Args:
            opening: what opens the pipeline there.
            most: how many nodes may run.
        """

    @abstractmethod
    def at_once(self) -> int:
        """How many nodes run at once at most."""

    def threads(self, running: int) -> int:
        """How many threads a node gets that does not say it.

        Args:
            running: how many nodes run or could run now, with this one.
        """
        return share_of_cpus(min(self.at_once(), running))

    def why_here(self, active: list[str]) -> str | None:
        """Why this run cannot go elsewhere; None where it can."""
        if self.plan.given:
            return "data was passed in"
        classes = {name: self.plan.graph.classes[name] for name in active}
        for name, cls in classes.items():
            if cls.INTERACTIVE and at_terminal():  # type: ignore[attr-defined]
                return f"{name} stops for a person to look"
        if debugger.is_on():
            return "--break-at or --pdb is asked for"
        if _debugger_is_on():
            return "a debugger is on"
        for cls in self.plan.graph.classes.values():
            if cls.__module__ == "__main__" or "<locals>" in cls.__qualname__ or not _has_file(cls.__module__):
                return f"{cls.__module__}.{cls.__qualname__} is only in this process; move it into a module"
        try:
            pickle.dumps(self._opening(active))
        except Exception as error:  # pickle raises what it likes
            return f"the config cannot be sent to another process: {error}"
        return None

    def accept(self, step: Step, outcome: Outcome) -> None:
        """Look at what came back from another machine; a NodeFailure refuses it."""

    def run_elsewhere(self, active: list[str], for_effect: set[str]) -> None:
        """Run there what can run there."""
        if os.environ.get(IN_WORKER) or rank() > 0:  # the first process of a distributed run prepares for all
            return
        here = self._what_stays(active, for_effect)
        going = [name for name in active if name not in here]
        if not any(self.plan.steps[name].cached for name in going):
            return
        reason = self.why_here(active)
        if reason is not None:
            if not self.quiet:
                info(f"all nodes run in this process: {reason}")
            return
        for name in self.plan.order:  # what is up to date already
            step = self.plan.steps[name]
            if step.status not in (RUN, MAYBE):
                self.bench.learn(name, step.base_key, step.entry if step.cached else None)
        kept = sum(self.plan.steps[name].cached for name in going)
        with self.open_workers(self._opening(going), kept) as workers:
            _Schedule(self, going).go_on(workers)

    def _what_stays(self, active: list[str], for_effect: set[str]) -> set[str]:
        here: set[str] = set()
        for name in active:  # in dependency order
            step = self.plan.steps[name]
            asked = name in for_effect and not step.cached
            interactive = self.plan.graph.classes[name].INTERACTIVE  # type: ignore[attr-defined]
            if asked or interactive or step.volatile or here.intersection(self.plan.inputs(step)):
                here.add(name)
        return here

    def _opening(self, nodes: list[str]) -> Opening:
        classes = self.plan.graph.classes
        modules = sorted({cls.__module__ for cls in classes.values() if not cls.__module__.startswith("runway.")})
        codes = {name: latest_code_of(classes[name]).digest for name in nodes}
        return Opening(self.spec._replace(store=self.plan.entries.store.url), tuple(modules), codes)


def _has_file(module: str) -> bool:
    """Whether another process can import it."""
    spec = getattr(sys.modules.get(module), "__spec__", None)
    return spec is not None and spec.origin is not None


def _debugger_is_on() -> bool:
    trace = sys.gettrace()
    bdb = sys.modules.get("bdb")
    return bdb is not None and isinstance(getattr(trace, "__self__", None), bdb.Bdb)


class _Schedule:
    """Which nodes wait for which, and what is done with those whose turn has come."""

    def __init__(self, runner: ParallelRunner, going: list[str]) -> None:
        self.runner = runner
        self.plan = runner.plan
        self.bench = runner.bench
        self.going = set(going)
        self.unknown: dict[str, int] = {}
        self.consumers: dict[str, list[str]] = {name: [] for name in going}
        for name in going:
            above = self.going.intersection(self.plan.inputs(self.plan.steps[name]))
            self.unknown[name] = len(above)
            for other in above:
                self.consumers[other].append(name)
        self.ready = deque(name for name in going if not self.unknown[name])
        self.queue: deque[str] = deque()  # nodes that wait for a worker
        self.out: set[str] = set()
        self.stop: Exception | None = None

    def go_on(self, workers: Workers) -> None:
        """Run all that can run.

        Raises:
            RunwayError: what ends the run: the store, a damaged entry; what was out has come back by then.
        """
        while True:
            while self.ready:
                self._look_at(self.ready.popleft())
            while self.queue and self.stop is None and self._submit(workers, self.queue[0]):
                self.runner.progress.start(self.queue[0])
                self.out.add(self.queue.popleft())
            if not self.out:
                break
            for outcome in workers.wait():
                self.out.discard(outcome.node)
                self._take(outcome)
        if self.stop is not None:
            raise self.stop

    def _finish(self, name: str) -> None:
        """All is known of a node: those below it may go on."""
        step = self.plan.steps[name]
        self.runner._settled.add(name)
        self.runner.progress.finish(name)
        self.bench.learn(name, step.base_key, step.entry if step.cached else None)
        for below in self.consumers[name]:
            self.unknown[below] -= 1
            if not self.unknown[below]:
                self.ready.append(below)

    def _look_at(self, name: str) -> None:
        """The inputs of a node are known: it may be up to date after all."""
        runner, step = self.runner, self.plan.steps[name]
        if runner._lost.intersection(self.plan.inputs(step)) or runner._lost.intersection(self._inside(name)):
            runner._lost.add(name)
            self._finish(name)
        elif not step.cached:
            self.plan.resolve(step)
            self._finish(name)
        elif self.plan.resolve(step) and runner._is_up_to_date(step):
            runner._settle(step)
            self._finish(name)
        else:
            self.queue.append(name)

    def _inside(self, name: str) -> dict[str, Known]:
        """What is known of the nodes above one, up to those that are kept: what is not kept runs inside of it."""
        found: dict[str, Known] = {}
        waiting = [*self.plan.inputs(self.plan.steps[name])]
        while waiting:
            above = waiting.pop()
            if above not in found:
                found[above] = self.bench.known[above]
                if found[above].entry_key is None:
                    waiting += self.plan.inputs(self.plan.steps[above])
        return found

    def _submit(self, workers: Workers, name: str) -> bool:
        step = self.plan.steps[name]
        assert step.parts is not None
        work = Work(name, step.parts, self._inside(name), step.forced)
        return workers.submit(step, Task(work, self._threads(step)))

    def _threads(self, step: Step) -> int:
        """How many threads a node gets: what it asks for, or its share of the cores among all that could run now."""
        asked = wish(step.node.resources, "num_cpus")
        if asked is not None:
            return max(1, int(asked))
        chosen = os.environ.get("OMP_NUM_THREADS", "")
        return int(chosen) if chosen.isdigit() else self.runner.threads(len(self.out) + len(self.queue))

    def _take(self, outcome: Outcome) -> None:
        runner, name = self.runner, outcome.node
        step = self.plan.steps[name]
        if outcome.other_code:
            info(
                f"{name} runs in this process: the code of {', '.join(outcome.other_code)} is another one there "
                "(changed in memory here, or edited since this run began)"
            )
            return
        self._note_computed(outcome)
        try:
            if outcome.error is not None:
                raise outcome.error
            runner.accept(step, outcome)
        except NodeFailure:
            with runner._keeping_failures(name):
                raise
        except Exception as error:
            self.stop = self.stop or error
            return
        else:
            assert outcome.done is not None
            step.entry, step.content = outcome.done.entry, outcome.done.entry.content
            if outcome.done.seconds is not None:
                self.plan.done_before.add(name)
                runner.say_ran(step, outcome.done.seconds, outcome.done.entry.bytes, outcome.place)
        self.bench.release_inputs(name)
        self._finish(name)

    def _note_computed(self, outcome: Outcome) -> None:
        known = set(self.bench.computed)
        self.bench.computed += [name for name in outcome.computed if name not in known]
        for name, seconds in outcome.uncached.items():
            self.plan.done_before.add(name)
            if seconds > 1:
                self.runner.say_ran(self.plan.steps[name], seconds)
