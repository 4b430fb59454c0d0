"""What will run, and why: each node's key, looked up in the store.

A node's key is made of its code, its arguments and the content of its inputs. Where an input has yet to run, the
key is not known: the node is *maybe*, because an output that comes out the same leaves it cached (early cut-off).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.log import info
from runway.pipeline.explain import explain
from runway.pipeline.keys.code import code_of
from runway.pipeline.keys.fingerprint import Unfingerprintable, combine, digest
from runway.pipeline.keys.origin import package_versions
from runway.pipeline.keys.tracked import KnownFiles, ReadSet, states
from runway.ranks import rank

if TYPE_CHECKING:
    from runway.pipeline.graph import Graph, Node
    from runway.pipeline.store.local import Entry, Store

ENCODING = "1"
"""Part of every key: raise it when keys are made differently, and nothing old is taken for new."""

CACHED, RUN, MAYBE, IDLE = "cached", "run", "maybe", "not needed"


class Step:
    """What is known of one node in one run."""

    __slots__ = ("base_key", "cached", "content", "entry", "forced", "node", "reasons", "status", "volatile")

    def __init__(self, node: Node, cached: bool) -> None:
        self.node = node
        self.cached = cached
        """Its output is kept in the store."""
        self.volatile = False
        """It comes from data that was passed in and has no fingerprint: nothing below it can be looked up."""
        self.forced = False
        """It runs whatever the store holds (``regenerate``)."""
        self.base_key: str | None = None
        """The key without what the node reads on the way; None while an input is unknown."""
        self.entry: Entry | None = None
        self.content: str | None = None
        """What the keys of its consumers are made of: the content of its output, or its own key if uncached."""
        self.status = IDLE
        self.reasons: list[str] = []


class Plan:
    """The steps of a run towards some targets.

    Args:
        graph: the checked nodes.
        store: where entries are.
        project: what relative paths are relative to.
        global_config: the experiment's config, against which recorded reads are compared.
        flags: the run's flags (``use_dummy_data``).
        given: {node: data fed to it instead of its inputs}.
        versions: the packages whose versions count (``meta.cache_versions``).
    """

    def __init__(
        self,
        graph: Graph,
        store: Store,
        *,
        project: Path,
        global_config: Any,
        flags: Mapping[str, Any],
        given: Mapping[str, Any] | None = None,
        versions: Iterable[str] = (),
    ) -> None:
        self.graph = graph
        self.store = store
        self.project = project
        self.global_config = global_config
        self.flags = flags
        self.given = given or {}
        self.versions = frozenset(versions)
        self.steps: dict[str, Step] = {}
        self.order: list[str] = []
        self.done_before: set[str] = set()
        """Nodes with `regenerate` that this process has run already."""
        self._code_digests: dict[type, str] = {}
        self._last_keys: dict[str, str] | None = None

    @property
    def last_keys(self) -> dict[str, str]:
        """{node: the key it had last}, read when a reason is asked for."""
        if self._last_keys is None:
            self._last_keys = self.store.last_keys()
        return self._last_keys

    def look_up(self, targets: list[str]) -> None:
        """Work out the step of every node at or above the targets."""
        self.order = self.graph.ancestors(targets)
        keeps = self._keepers()
        # All code is read now, as it was imported: a node that runs may change what a later one refers to.
        for name in self.order:
            self._code_digest(self.graph.classes[name])
        for name in self.order:
            node = self.graph.nodes[name]
            cls = self.graph.classes[name]
            fallback = name not in keeps and not cls.INTERACTIVE  # type: ignore[attr-defined]
            step = Step(node, fallback if node.cache is None else bool(node.cache))
            self.steps[name] = step
            above = [self.steps[i] for i in node.inputs if name not in self.given]
            # What is not kept runs inside its consumers: to run it again, they run again.
            step.forced = self._must_regenerate(step) or any(i.forced and not i.cached for i in above)
            self.resolve(step)
            if step.forced and step.cached:
                step.content = None  # consumers wait for what it gives this time

    def _keepers(self) -> set[str]:
        """Nodes that are not kept unless they say so: those fed with data from outside, and all below them."""
        below = set(self.given)
        if below:
            for name in self.order:
                if below.intersection(self.graph.nodes[name].inputs):
                    below.add(name)
        return below

    # -- keys

    def resolve(self, step: Step) -> None:
        """Find the key of a step as far as its inputs are known, and its entry."""
        inputs = self._input_contents(step)
        if step.volatile or inputs is None:
            return
        step.base_key = self._base_key(step.node, inputs)
        if not step.cached:
            step.content = step.base_key
            return
        entry = self.find(step.base_key)
        # A receipt is of a time when the node was not kept.
        step.entry = None if entry is None or entry.is_receipt else entry
        step.content = step.entry.content if step.entry else None

    def _input_contents(self, step: Step) -> list[str] | None:
        if step.node.name in self.given:
            try:
                if self._wants_keys():
                    return [combine("given", digest(self.given[step.node.name]))]
            except Unfingerprintable as error:
                info(f"{step.node.name}: {error.message}: what is computed from the data passed in is not kept")
            step.volatile, step.cached = True, False
            return None
        inputs = [self.steps[name] for name in step.node.inputs]
        if any(above.volatile for above in inputs):
            step.volatile, step.cached = True, False
            return None
        contents = [above.content for above in inputs]
        return None if None in contents else contents  # type: ignore[return-value]

    def _wants_keys(self) -> bool:
        """Whether any node that is fed from outside asks to be kept; a digest of the data costs time otherwise."""
        return any(self.graph.nodes[name].cache for name in self._keepers())

    def _base_key(self, node: Node, inputs: list[str]) -> str:
        cls = self.graph.classes[node.name]
        shape = "list" if node.takes_list else "one" if inputs else "none"
        arguments = digest(node.arguments, f"{self.graph.where(node.name)}.setup_kwargs")
        return combine(ENCODING, self._code_digest(cls), arguments, shape, *inputs)

    def _code_digest(self, cls: type) -> str:
        if cls not in self._code_digests:
            code = code_of(cls)
            self._code_digests[cls] = digest([code.parts, self.counted_versions(cls)])
        return self._code_digests[cls]

    def counted_versions(self, cls: type) -> dict[str, str]:
        """The versions that are part of the key: of packages that are named in the config and used in the code."""
        named = sorted(self.versions & code_of(cls).packages)
        return package_versions(named) if named else {}

    # -- entries

    def find(self, base_key: str) -> Entry | None:
        """The entry with this base key whose recorded reads are as they are now."""
        entry = self.store.find(base_key)
        if entry is not None:
            return entry
        sets, known = self.store.read_index(base_key)
        if not sets:
            return None
        before = {name: list(facts) for name, facts in known.items()}
        found = next((entry for names in sets if (entry := self._find_with(base_key, names, known))), None)
        if found and known != before and os.access(self.store.root, os.W_OK):
            self.store.write_read_index(base_key, sets, known)
        return found

    def _find_with(self, base_key: str, names: ReadSet, known: KnownFiles) -> Entry | None:
        return self.store.find(final_key(base_key, self.read_states(names, known)))

    def read_states(self, names: ReadSet, known: KnownFiles) -> dict[str, str]:
        """The present state of what a node has read, by a name that people can read."""
        return states(names, self.global_config, self.flags, known, self.project)

    # -- what has to run

    def settle(self, targets: list[str], *, values: bool) -> None:
        """Give every step its status.

        Args:
            targets: the nodes that are asked for.
            values: whether their values are wanted, or only that they are prepared.
        """
        needed = dict.fromkeys(targets, values)
        for name in reversed(self.order):
            if name not in needed:
                continue
            step = self.steps[name]
            step.status, step.reasons = self._judge(step, value_wanted=needed[name])
            if step.status in (RUN, MAYBE):
                for above in step.node.inputs if name not in self.given else ():
                    needed[above] = True
        # What stands above a cached node is not touched; that it is cached too is worth showing.
        for step in self.steps.values():
            if step.status == IDLE and step.entry is not None:
                step.status = CACHED

    def _judge(self, step: Step, *, value_wanted: bool) -> tuple[str, list[str]]:
        if step.forced:
            again = [name for name in step.node.inputs if self.steps[name].forced]
            return RUN, ["regenerate: true"] if step.node.regenerate else [f"input {name}" for name in again]
        if step.volatile:
            return RUN, ["its data is passed in"]
        if step.base_key is None:
            waiting = [name for name in step.node.inputs if self.steps[name].content is None]
            # An uncached target that ran on the same data before is not run again, nor is a cached node.
            return (RUN if value_wanted and not step.cached else MAYBE), [f"input {name}" for name in waiting]
        if not step.cached:
            if not value_wanted and self.find(step.base_key) is not None:
                return CACHED, ["it ran on this data before"]
            return RUN, ["not cached"] if value_wanted else explain(self, step)
        if step.entry is None:
            return RUN, explain(self, step)
        if not step.entry.has_value:
            return (RUN, ["its value was removed from the cache"]) if value_wanted else (CACHED, [])
        if not self.store.is_whole(step.entry):
            step.entry, step.content = None, None
            return RUN, ["its entry was damaged"]
        return CACHED, []

    def _must_regenerate(self, step: Step) -> bool:
        if not step.node.regenerate or step.node.name in self.done_before:
            return False
        # Under DDP the first process prepares the data; the others take what it made.
        if rank() > 0:
            return False
        cls = self.graph.classes[step.node.name]
        return not cls.INTERACTIVE or at_terminal()  # type: ignore[attr-defined]

    # -- looking at it

    def count(self, status: str) -> int:
        """How many steps have a status."""
        return sum(step.status == status for step in self.steps.values())


def final_key(base_key: str, read_states: Mapping[str, str]) -> str:
    """The key of an entry: the base key, and the state of what was read."""
    if not read_states:
        return base_key
    return combine(base_key, *(part for item in sorted(read_states.items()) for part in item))


def at_terminal() -> bool:
    """Whether a person can answer."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
