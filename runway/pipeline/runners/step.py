"""The unit of work of every runner: compute one node and commit its output.

What is to be done is plain data (``Work``), so that another process or machine can do it: it opens the pipeline from
the same data (``open_bench``), loads the inputs from the store, and computes inside the consumer what is not kept.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from runway.errors import StoreError
from runway.pipeline import debugger
from runway.pipeline.entries import Entries
from runway.pipeline.graph import Graph
from runway.pipeline.isolation import fork
from runway.pipeline.keys.fingerprint import combine
from runway.pipeline.keys.loaded import keep_texts
from runway.pipeline.node import NodeFailure, run_node, stop
from runway.pipeline.store import open_store
from runway.pipeline.store.base import Unsaveable
from runway.user_code import import_project_code

if TYPE_CHECKING:
    from runway.config.reads import Reads
    from runway.pipeline.graph import Spec
    from runway.pipeline.keys.key import KeyParts
    from runway.pipeline.store.base import Entry, Store


IN_WORKER = "RUNWAY_WORKER"
"""Set in the environment of a worker: a pipeline that a node opens there runs in it."""


class Known(NamedTuple):
    """What a runner knows of a node above the one that is to be computed."""

    base_key: str | None
    """What seeds it; None where it comes from data without a fingerprint."""
    entry_key: str | None
    """The key of its entry; None: it is not kept, and is computed inside its consumer."""


class Work(NamedTuple):
    """One node to be computed and kept.

    Attributes:
        node: its name.
        parts: what its key is made of.
        known: {node above it: what is known of it}, of the kept inputs and of all that is not kept up to the kept.
        forced: compute it whatever the store holds.
    """

    node: str
    parts: KeyParts
    known: Mapping[str, Known]
    forced: bool = False


class Done(NamedTuple):
    """What came of it."""

    entry: Entry
    seconds: float | None
    """How long it took; None: another process was faster."""


def compute_and_commit(spec: Spec, work: Work, bench: Bench | None = None) -> Done:
    """Compute one node and commit its output, unless another process does so meanwhile.

    Args:
        spec: what opens the pipeline.
        work: what is to be done.
        bench: the pipeline as this process has it open already.

    Raises:
        NodeFailure: its transform raised, or gave what cannot be saved.
        DamagedEntry: the entry of an input is not what was written.
        StoreError: the store cannot be read or written.
    """
    bench = bench or open_bench(spec, work)
    base_key = work.parts.key()
    with bench.entries.store.claim(base_key, work.node):
        entry = None if work.forced else bench.entries.usable(base_key)
        if entry is not None:
            return Done(entry, None)
        value, reads, seconds = bench.compute(work.node, base_key)
        try:
            done = Done(bench.entries.commit(work.node, work.parts, value, reads, seconds), seconds)
        except Unsaveable as error:
            raise NodeFailure(bench.graph.nodes[work.node], error) from error
    bench.stop(work.node, debugger.AFTER, value)
    return done


class Opened(NamedTuple):
    """A pipeline that is open in a process which computes nodes of it."""

    graph: Graph
    entries: Entries


def open_pipeline(spec: Spec, modules: Iterable[str] = (), store: Store | None = None) -> Opened:
    """Open a pipeline in a process that has nothing of it yet.

    Args:
        spec: the pipeline.
        modules: further modules that register its transforms.
        store: where its entries are, if that is open.
    """
    meta = (spec.config or {}).get("meta") or {}
    import_project_code(spec.project, ("data_ops",), meta.get("user_modules") or (), meta.get("trusted_packages") or ())
    for module in modules:
        importlib.import_module(module)
    keep_texts()
    graph = Graph(spec.section, where=spec.where)
    store = store or open_store(spec.store, project=spec.project, allow_pickle=spec.allow_pickle)
    return Opened(graph, Entries(store, spec))


def open_bench(spec: Spec, work: Work) -> Bench:
    """Open a pipeline to compute one node."""
    return bench_for(open_pipeline(spec), work)


def bench_for(opened: Opened, work: Work) -> Bench:
    """What computes one node of a pipeline that is open."""
    bench = Bench(*opened)
    bench.known.update(work.known)
    inside = [name for name, known in work.known.items() if known.entry_key is None]
    bench.count_consumers([work.node, *inside])
    return bench


class Bench:
    """What one process has open to compute nodes of one pipeline, and the uncached values that live in it.

    An uncached value is computed when its first consumer needs it, and dropped after the last.

    Args:
        graph: the nodes.
        entries: where outputs are looked up and committed.
        given: {node: data fed to it instead of its inputs}.
    """

    def __init__(self, graph: Graph, entries: Entries, given: Mapping[str, Any] | None = None) -> None:
        self.graph = graph
        self.entries = entries
        self.given = given or {}
        self.known: dict[str, Known] = {}
        """What is known of the nodes so far; a runner adds to it in dependency order."""
        self.computed: list[str] = []
        """The nodes that were computed, in order."""
        self.on_uncached: Callable[[str, float], None] = lambda name, seconds: None
        """Told each node that was computed and is not kept, and how long it took."""
        self.on_start: Callable[[str], None] = lambda name: None
        """Told each node before it is computed."""
        self._found: dict[str, Entry] = {}
        self._values: dict[str, Any] = {}
        self._reads: dict[str, Reads] = {}
        self._seconds: dict[str, float] = {}
        self._failures: dict[str, NodeFailure] = {}
        self._consumers_left: dict[str, int] = {}

    # -- what is known, and how long values live

    def learn(self, name: str, base_key: str | None, entry: Entry | None = None) -> None:
        """Take in what a runner knows of a node."""
        self.known[name] = Known(base_key, entry.key if entry else None)
        if entry is not None:
            self._found[entry.key] = entry

    def uncached_reads(self) -> list[Reads]:
        """What was read for the values that are not kept."""
        return list(self._reads.values())

    def count_consumers(self, nodes: Iterable[str], wanted: Iterable[str] = ()) -> None:
        """Count who will take each value: the nodes that may be computed, and who asked for it."""
        for name in (*(above for node in nodes for above in self._inputs(node)), *wanted):
            self._consumers_left[name] = self._consumers_left.get(name, 0) + 1

    def has_consumers(self, name: str) -> bool:
        """Whether anybody will still take a node's value."""
        return self._consumers_left.get(name, 0) > 0

    def release_inputs(self, name: str) -> None:
        """A node does not run after all: it takes no values."""
        for above in self._inputs(name):
            self._release(above)

    def _release(self, name: str) -> None:
        """One consumer less; the last one takes the value with it."""
        self._consumers_left[name] = self._consumers_left.get(name, 0) - 1
        if self._consumers_left[name] <= 0:
            self._values.pop(name, None)

    def take(self, name: str) -> Any:
        """A value for one consumer, its own copy."""
        key = self.known[name].entry_key
        if key is not None:
            entry = self._found.get(key) or self.entries.store.find(key)
            if entry is None:
                raise StoreError(f"the entry of {name} is gone", where=key, hint="run again: it is computed then")
            return self.entries.store.load(entry)
        self.compute_uncached(name)
        value = self._values[name]
        self._release(name)
        return value if name not in self._values else fork(value)

    # -- computing

    def compute(self, name: str, seed_key: str | None) -> tuple[Any, Reads, float]:
        """Compute one node; gives its output, what was read for it, and the seconds it took.

        Raises:
            NodeFailure: its transform raised.
        """
        above = self._inputs(name)
        for uncached in above:
            if self.known[uncached].entry_key is None and uncached not in self._values:
                self.compute_uncached(uncached)
        node, data = self.graph.nodes[name], self._data(name)
        self.on_start(name)
        value, reads, seconds = run_node(
            node, self.graph.classes[name], data, self.entries.spec, seed_key or combine(name)
        )
        for uncached in above:
            if uncached in self._reads:
                reads.merge(self._reads[uncached])
        self.computed.append(name)
        return value, reads, seconds

    def compute_uncached(self, name: str) -> None:
        """Compute a node and the uncached ones above it that are not there yet; a stack, as chains may be long.

        Raises:
            NodeFailure: one of them raised, now or for an earlier consumer: it does not run again.
        """
        waiting = [name]
        while waiting:
            current = waiting[-1]
            missing = [i for i in self._inputs(current) if self.known[i].entry_key is None and i not in self._values]
            if missing and current not in self._values:
                waiting += missing
                continue
            waiting.pop()
            if current in self._failures:
                raise self._failures[current]
            if current not in self._values:  # two consumers may have waited for it
                try:
                    value, reads, seconds = self.compute(current, self.known[current].base_key)
                except NodeFailure as failure:
                    self._failures[current] = failure
                    raise
                self._values[current], self._reads[current], self._seconds[current] = value, reads, seconds
                self.stop(current, debugger.AFTER, value)
                self.on_uncached(current, seconds)

    def stop(self, name: str, side: str, value: Any) -> None:
        """Stop in the debugger before or after a node, where that is asked for."""
        stop(self.graph.nodes[name], self.graph.classes[name], self.entries.spec, side, value)

    def run_for_effect(self, name: str, parts: KeyParts | None) -> None:
        """Run an uncached node for what it does, and leave a receipt, where its data has a key."""
        self.compute_uncached(name)
        if not self.has_consumers(name):
            self._values.pop(name)
        if parts is not None:
            self.entries.commit(name, parts, None, self._reads[name], self._seconds[name], keep_value=False)

    def _inputs(self, name: str) -> tuple[str, ...]:
        return () if name in self.given else self.graph.nodes[name].inputs

    def _data(self, name: str) -> Any:
        if name in self.given:
            return self.given[name]
        node = self.graph.nodes[name]
        return node.arranged([self.take(above) for above in node.inputs])
