"""Where nodes run. The serial runner works through a plan in this process."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.errors import RunFailed
from runway.log import human_bytes, human_seconds, info, warning
from runway.pipeline.explain import parts_of
from runway.pipeline.isolation import fork
from runway.pipeline.keys.code import code_of
from runway.pipeline.keys.fingerprint import combine
from runway.pipeline.keys.tracked import read_set
from runway.pipeline.node import NodeFailure, random_state_kept, run_node
from runway.pipeline.plan import CACHED, MAYBE, RUN, Plan, Step, final_key
from runway.pipeline.store.formats_hf import Unsaveable

if TYPE_CHECKING:
    from runway.config.reads import Reads
    from runway.pipeline.store.local import Entry


class SerialRunner:
    """Runs what a plan says, one node after the other, in dependency order.

    A cached node's value goes through the store to each of its consumers, so that a fresh value and a cached one
    are the same thing. An uncached one is computed when its first consumer needs it, and dropped after the last.
    """

    def __init__(self, plan: Plan, *, use_dummy_data: bool, project: Path, quiet: bool = False) -> None:
        self.plan = plan
        self.quiet = quiet
        self.use_dummy_data = use_dummy_data
        self.project = project
        self.ran: list[str] = []
        """The nodes that were computed, in order."""
        self._failures: list[NodeFailure] = []
        self._lost: set[str] = set()  # failed nodes, and all that needs them
        self._values: dict[str, Any] = {}
        self._reads: dict[str, Reads] = {}
        self._consumers_left: dict[str, int] = {}

    def run(self, targets: list[str], *, values: bool, run_uncached: bool = True) -> dict[str, Any]:
        """Bring the targets up to date.

        Args:
            targets: the nodes asked for.
            values: whether their values are wanted.
            run_uncached: whether uncached targets are run for what they do.

        Returns:
            {target: value}; empty where values are not wanted.

        Raises:
            RunFailed: nodes failed; all others that could run have run.
            DamagedEntry: an entry broke under way: plan again.
        """
        self._count_consumers(targets if values else [])
        wanted = set(targets if run_uncached else ())
        results = {}
        with random_state_kept():
            for name in self.plan.order:
                step = self.plan.steps[name]
                if step.status in (RUN, MAYBE):
                    self._visit(step, is_target=name in wanted)
            for name in targets if values else ():
                if name not in self._lost:
                    results[name] = self._take(name)
        if self._failures:
            raise RunFailed(list(self._failures))
        return results

    def _say(self, line: str) -> None:
        if not self.quiet:
            info(line)

    def _count_consumers(self, wanted: list[str]) -> None:
        for name in self.plan.order:
            step = self.plan.steps[name]
            if step.status in (RUN, MAYBE):
                for above in self._inputs(step):
                    self._consumers_left[above] = self._consumers_left.get(above, 0) + 1
        for name in wanted:
            self._consumers_left[name] = self._consumers_left.get(name, 0) + 1

    def _inputs(self, step: Step) -> tuple[str, ...]:
        return () if step.node.name in self.plan.given else step.node.inputs

    def _visit(self, step: Step, *, is_target: bool) -> None:
        """Run a step if it is one that is run for its own sake; failures are kept, and cost what depends on them."""
        name = step.node.name
        if self._lost.intersection(self._inputs(step)):
            self._lost.add(name)
            return
        try:
            if not step.cached and step.base_key is None:  # its inputs are known by now
                self.plan.resolve(step)
            if step.cached:
                self._bring_up_to_date(step)
            elif is_target:
                self._run_for_effect(step)
        except NodeFailure as failure:
            self._failures.append(failure)
            self._lost |= {failure.node, name}
            self._say(f"failed  {failure.node}")

    # -- cached nodes

    def _bring_up_to_date(self, step: Step) -> None:
        if step.base_key is None:  # the inputs have run by now
            self.plan.resolve(step)
            if step.entry is not None and not step.forced and self._is_enough(step, step.entry):
                self._say(f"cached  {step.node.name}  (its input came out the same)")
                self._settle(step, step.entry)
                return
        base_key = step.base_key
        assert base_key is not None
        with self.plan.store.lock(base_key, step.node.name) as held_before:
            entry = self.plan.find(base_key) if held_before and not step.forced else None
            if entry is not None and self._is_usable(entry):  # another process was faster
                self._settle(step, entry)
                return
            value, reads, seconds = self._compute(step)
            entry = self._commit(step, value, reads, seconds)
        step.entry, step.content = entry, entry.content
        self._say(_line(step, seconds, entry.bytes))

    def _is_enough(self, step: Step, entry: Entry) -> bool:
        """Whether an entry saves the run: an evicted one does where nobody takes the value."""
        if not entry.has_value and not self._consumers_left.get(step.node.name, 0):
            return True
        return self._is_usable(entry)

    def _is_usable(self, entry: Entry) -> bool:
        return entry.has_value and self.plan.store.is_whole(entry)

    def _settle(self, step: Step, entry: Entry) -> None:
        step.entry, step.content, step.status = entry, entry.content, CACHED
        for above in self._inputs(step):
            self._release(above)

    def _commit(self, step: Step, value: Any, reads: Reads, seconds: float, *, keep_value: bool = True) -> Entry:
        plan, store = self.plan, self.plan.store
        assert step.base_key is not None
        names = read_set(reads, plan.project)
        sets, known = store.read_index(step.base_key) if any(names.values()) else ([], {})
        found = plan.read_states(names, known)
        for kind, file in reads.changed_since():
            warning(f"{step.node.name}: {file} was changed while it was read; the next run reads it again")
            found[f"{kind} {file}"] = combine("changed while it was read", str(time.time_ns()))  # never found again
        meta = {
            "node": step.node.name,
            "base_key": step.base_key,
            "seconds": seconds,
            "parts": parts_of(plan, step),
            "reads": {"set": names, "states": found} if found else None,
            **({"notes": reads.notes} if reads.notes else {}),
            "packages": sorted(code_of(plan.graph.classes[step.node.name]).packages),
        }
        try:
            entry = store.commit(final_key(step.base_key, found), value, meta, keep_value=keep_value)
        except Unsaveable as error:
            raise NodeFailure(step.node, error) from error
        if found:
            store.write_read_index(step.base_key, [names, *(other for other in sets if other != names)], known)
        store.note(step.node.name, entry.key)
        return entry

    # -- uncached nodes

    def _run_for_effect(self, step: Step) -> None:
        """An uncached node that was asked for: run it, and leave a receipt."""
        name = step.node.name
        if step.status == MAYBE:  # the inputs have run by now
            self.plan.resolve(step)
            if step.base_key is not None and self.plan.find(step.base_key) is not None:
                self._say(f"cached  {name}  (its input came out the same)")
                step.status = CACHED
                for above in self._inputs(step):
                    self._release(above)
                return
        if name not in self._values:
            self._compute_uncached(name)
        if self._consumers_left.get(name, 0) == 0:
            self._values.pop(name)
        if step.base_key is None:
            self.plan.resolve(step)
        if step.base_key is not None and not step.volatile:
            self._commit(step, None, self._reads[name], 0.0, keep_value=False)

    def _compute_uncached(self, name: str) -> None:
        """Compute a node and the uncached ones above it that are not there yet; a stack, as chains may be long."""
        waiting = [name]
        while waiting:
            step = self.plan.steps[waiting[-1]]
            missing = [i for i in self._inputs(step) if not self.plan.steps[i].cached and i not in self._values]
            if missing:
                waiting += missing
                continue
            current = waiting.pop()
            if current in self._values:  # two consumers waited for it
                continue
            if step.base_key is None:
                self.plan.resolve(step)
            value, reads, seconds = self._compute(step)
            self._values[current], self._reads[current] = value, reads
            if current == name or seconds > 1:
                self._say(_line(step, seconds, None))

    # -- both

    def _compute(self, step: Step) -> tuple[Any, Reads, float]:
        name = step.node.name
        for above in self._inputs(step):
            if not self.plan.steps[above].cached and above not in self._values:
                self._compute_uncached(above)
        inherited = [self._reads[above] for above in self._inputs(step) if above in self._reads]
        value, reads, seconds = run_node(
            step.node,
            self.plan.graph.classes[name],
            self._data_for(step),
            global_config=self.plan.global_config,
            use_dummy_data=self.use_dummy_data,
            project=self.project,
            seed_key=step.base_key or combine(name),
        )
        for other in inherited:
            reads.merge(other)
        self.ran.append(name)
        self.plan.done_before.add(name)
        return value, reads, seconds

    def _data_for(self, step: Step) -> Any:
        if step.node.name in self.plan.given:
            return self.plan.given[step.node.name]
        data = [self._take(above) for above in step.node.inputs]
        if step.node.takes_list:
            return data
        return data[0] if data else None

    def _take(self, name: str) -> Any:
        """A value for one consumer, its own copy."""
        step = self.plan.steps[name]
        if step.cached:
            assert step.entry is not None
            return self.plan.store.load(step.entry)
        if name not in self._values:
            self._compute_uncached(name)
        value = self._values[name]
        self._release(name)
        return value if name not in self._values else fork(value)

    def _release(self, name: str) -> None:
        """One consumer less; the last one takes the value with it."""
        self._consumers_left[name] = self._consumers_left.get(name, 0) - 1
        if self._consumers_left[name] <= 0:
            self._values.pop(name, None)


def _line(step: Step, seconds: float, size: int | None) -> str:
    facts = [human_seconds(seconds)] + ([human_bytes(size)] if size is not None else [])
    reasons = f"  ({'; '.join(step.reasons[:3])})" if step.reasons else ""
    return f"ran     {step.node.name}  {', '.join(facts)}{reasons}"
