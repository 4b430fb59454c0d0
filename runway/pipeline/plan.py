"""What will run, and why: each node's key, looked up in the store.

A node's key is made of its code, its arguments and the content of its inputs. Where an input has yet to run, the
key is not known: the node is *maybe*, because an output that comes out the same leaves it cached (early cut-off).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from runway.errors import ConfigError
from runway.log import at_terminal, info
from runway.masking import for_keys
from runway.pipeline.keys.code import Code, code_of
from runway.pipeline.keys.fingerprint import Unfingerprintable, combine, digest
from runway.pipeline.keys.key import KeyParts
from runway.pipeline.keys.origin import package_versions
from runway.ranks import rank

if TYPE_CHECKING:
    from runway.pipeline.entries import Entries
    from runway.pipeline.graph import Graph, Node
    from runway.pipeline.store.base import Entry

CACHED, RUN, MAYBE, IDLE = "cached", "run", "maybe", "not needed"


ALL, FORCE = "all", "--force"


class Force(NamedTuple):
    """Nodes that are to run whatever the store holds, for once (``--force``).

    Attributes:
        words: names of nodes; ``NODE+``, a node and all below it; ``all``.
        since: when it was asked for, in seconds since 1970: what was made later does not run again, in whatever
            pipeline or process it was made.
    """

    words: tuple[str, ...]
    since: float

    def nodes(self, graph: Graph, order: Iterable[str]) -> set[str]:
        """The nodes of a plan that are meant.

        Args:
            graph: the pipeline.
            order: the nodes of the plan.

        Raises:
            ConfigError: one of the words is no node, or the plan has none of its nodes.
        """
        meant: set[str] = set()
        for word in self.words:
            if word == ALL and word not in graph.nodes:
                named = set(order)
            elif word in graph.nodes or not word.endswith("+"):
                named = set(graph.check_names([word], FORCE))
            else:
                named = set(graph.descendants(graph.check_names([word.removesuffix("+")], FORCE)))
            if named.isdisjoint(order):
                hint = "leave it out, or name the node that is to be prepared (--until, --nodes)"
                raise ConfigError(f"{FORCE} {word}: nothing that is asked for needs it", where=FORCE, hint=hint)
            meant |= named
        return meant


class Step:
    """What is known of one node in one run."""

    __slots__ = ("cached", "content", "entry", "forced", "node", "parts", "reasons", "status", "volatile")

    def __init__(self, node: Node, cached: bool) -> None:
        self.node = node
        self.cached = cached
        """Its output is kept in the store."""
        self.volatile = False
        """It comes from data that was passed in and has no fingerprint: nothing below it can be looked up."""
        self.forced = False
        """It runs whatever the store holds (``regenerate``)."""
        self.parts: KeyParts | None = None
        """What its key is made of; None while an input is unknown."""
        self.entry: Entry | None = None
        self.content: str | None = None
        """What the keys of its consumers are made of: the content of its output, or its own key if uncached."""
        self.status = IDLE
        self.reasons: list[str] = []

    def __repr__(self) -> str:
        return f"Step({self.node.name!r}, {self.status}{': ' if self.reasons else ''}{'; '.join(self.reasons)})"

    def _repr_html_(self) -> str:
        from runway.masking import hidden
        from runway.notebook import html_table
        from runway.pipeline.drawing import LOOKS

        facts: list[tuple[str, object]] = [("status", self.status), ("why", "\n".join(self.reasons))]
        facts += [("transform", self.node.transform_name), ("setup_kwargs", hidden(dict(self.node.setup_kwargs)))]
        facts += [("input_node", ", ".join(self.node.inputs)), ("key", self.entry.key if self.entry else self.base_key)]
        fills = {state: look.fill for state, look in LOOKS.items()}
        return html_table((), [fact for fact in facts if fact[1]], title=self.node.name, fills=fills)

    @property
    def base_key(self) -> str | None:
        """The key without what the node reads on the way; None while an input is unknown."""
        return None if self.parts is None else self.parts.key()


class Plan:
    """The steps of a run towards some targets.

    Args:
        graph: the checked nodes.
        entries: where outputs are looked up.
        given: {node: data fed to it instead of its inputs}.
        versions: the packages whose versions count (``meta.cache_versions``).
        done_before: nodes with `regenerate` that this process has run already; they are not run again.
        force: nodes that run whatever the store holds.
    """

    def __init__(
        self,
        graph: Graph,
        entries: Entries,
        *,
        given: Mapping[str, Any],
        versions: Iterable[str],
        done_before: set[str],
        force: Force | None = None,
    ) -> None:
        self.graph = graph
        self.entries = entries
        self.given = given
        self.versions = frozenset(versions)
        self.steps: dict[str, Step] = {}
        self.order: list[str] = []
        self.done_before = done_before
        self._asked = force
        self._forced: set[str] = set()
        self._codes: dict[type, tuple[Code, dict[str, str]]] = {}

    def inputs(self, step: Step) -> tuple[str, ...]:
        """The nodes that a step takes its data from: none where the data is passed in."""
        return () if step.node.name in self.given else step.node.inputs

    def look_up(self, targets: list[str]) -> None:
        """Work out the step of every node at or above the targets."""
        self.order = self.graph.ancestors(targets)
        self._forced = self._asked.nodes(self.graph, self.order) if self._asked else set()
        fed = self._fed_from_outside()
        # A digest of the data that is passed in costs time, and serves only nodes that ask to be kept.
        self._wants_keys = any(self.graph.nodes[name].cache for name in fed)
        # All code is read now, as it was imported: a node that runs may change what a later one refers to.
        for name in self.order:
            self._code(self.graph.classes[name])
        for name in self.order:
            node = self.graph.nodes[name]
            kept = name not in fed and not self.graph.classes[name].INTERACTIVE  # type: ignore[attr-defined]
            step = Step(node, kept if node.cache is None else bool(node.cache))
            self.steps[name] = step
            above = [self.steps[i] for i in self.inputs(step)]
            # What is not kept runs inside its consumers: to run it again, they run again.
            self._check_unknown(step)
            step.forced = self._must_regenerate(step) or any(i.forced and not i.cached for i in above)
            self.resolve(step)
            step.forced = step.forced or self._is_asked_for(step, is_target=name in targets)
            if step.forced and step.cached:
                step.content = None  # consumers wait for what it gives this time

    def _check_unknown(self, step: Step) -> None:
        """A node whose code holds an object that nobody can look into, and no text that says how it was made."""
        unknown = self._code(self.graph.classes[step.node.name])[0].unknown
        if unknown:
            info(f"{step.node.name}: what {', '.join(sorted(unknown))} holds cannot be told: nothing of it is kept")
            step.volatile, step.cached = True, False

    def _fed_from_outside(self) -> set[str]:
        """The nodes that are fed with data from outside, and all below them: they are kept only if they say so."""
        below = set(self.given)
        if below:
            for name in self.order:
                if below.intersection(self.graph.nodes[name].inputs):
                    below.add(name)
        return below

    # -- keys

    def resolve(self, step: Step) -> bool:
        """Find the key of a step as far as its inputs are known, and its entry; whether there was anything new."""
        contents = self._input_contents(step)
        if contents is None or (step.parts is not None and step.parts.inputs == contents):
            return False
        step.parts = self._parts(step.node, contents)
        base_key = step.parts.key()
        if not step.cached:
            step.content = base_key
            return True
        entry = self.entries.find(base_key)
        # A receipt is of a time when the node was not kept.
        step.entry = None if entry is None or entry.is_receipt else entry
        step.content = step.entry.content if step.entry else None
        return True

    def _parts(self, node: Node, contents: list[tuple[str, Any]]) -> KeyParts:
        code, versions = self._code(self.graph.classes[node.name])
        return KeyParts(
            transform=node.transform_name,
            code=code,
            arguments=for_keys(node.arguments),
            inputs=contents,
            takes_list=node.takes_list,
            input_names=node.input_names,
            versions=versions,
            where=f"{self.graph.where_of(node.name)}.setup_kwargs",
        )

    def _input_contents(self, step: Step) -> list[tuple[str, str]] | None:
        name = step.node.name
        if name in self.given:
            if step.parts is not None:
                return step.parts.inputs
            try:
                if self._wants_keys:
                    return [("data passed in", combine("given", digest(self.given[name])))]
            except Unfingerprintable as error:
                info(f"{name}: {error.message}: what is computed from the data passed in is not kept")
            step.volatile, step.cached = True, False
            return None
        if step.volatile:
            return None
        inputs = [self.steps[name] for name in step.node.inputs]
        if any(above.volatile for above in inputs):
            step.volatile, step.cached = True, False
            return None
        contents = [(above.node.name, above.content) for above in inputs if above.content is not None]
        return contents if len(contents) == len(inputs) else None

    def _code(self, cls: type) -> tuple[Code, dict[str, str]]:
        """A class's code, and the versions that count: of packages named in the config and used in the code."""
        if cls not in self._codes:
            code = code_of(cls)
            named = sorted(self.versions & code.packages)
            self._codes[cls] = code, package_versions(named) if named else {}
        return self._codes[cls]

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
                needed.update(dict.fromkeys(self.inputs(step), True))
        # What stands above a cached node is not touched; that it is cached too is worth showing.
        for step in self.steps.values():
            if step.status == IDLE and step.entry is not None:
                step.status = CACHED

    def _judge(self, step: Step, *, value_wanted: bool) -> tuple[str, list[str]]:
        if step.forced:
            again = [name for name in step.node.inputs if self.steps[name].forced]
            reasons = ["regenerate: true"] if step.node.regenerate else [f"input {name}" for name in again]
            return RUN, reasons or ["--force"]
        if step.volatile:
            unknown = self._code(self.graph.classes[step.node.name])[0].unknown
            return RUN, ["what its code holds cannot be told"] if unknown else ["its data is passed in"]
        if step.parts is None:
            waiting = [name for name in step.node.inputs if self.steps[name].content is None]
            # An uncached target that ran on the same data before is not run again, nor is a cached node.
            return (RUN if value_wanted and not step.cached else MAYBE), [f"input {name}" for name in waiting]
        if not step.cached:
            if value_wanted:
                return RUN, ["not cached"]
            if self.entries.find(step.parts.key()) is not None:
                return CACHED, ["it ran on this data before"]
        if step.entry is None:
            return RUN, self.entries.why_missing(step.node.name, step.parts)
        if not step.entry.has_value:
            return (RUN, ["its value was removed from the cache"]) if value_wanted else (CACHED, [])
        if not self.entries.store.is_whole(step.entry):
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

    def _is_asked_for(self, step: Step, *, is_target: bool) -> bool:
        """Whether ``--force`` means a step, and it has not run since."""
        name = step.node.name
        through = any(above in self._forced and not self.steps[above].cached for above in self.inputs(step))
        if self._asked is None or not (through or name in self._forced):
            return False
        self._forced.add(name)
        if rank() > 0 or not (step.cached or is_target):  # what is not kept runs inside of its consumers
            return False
        entry = step.entry
        if not step.cached and step.parts is not None:
            entry = self.entries.find(step.parts.key())
        return entry is None or float(entry.meta["created"]) < self._asked.since

    def code_in_use(self) -> dict[tuple[str, str], set[str]]:
        """{(module, top-level name): digests of its text as it runs} of all nodes."""
        found: dict[tuple[str, str], set[str]] = {}
        for code, _ in self._codes.values():
            for place, digests in code.used.items():
                found[place] = found.get(place, set()) | digests
        return found

    # -- looking at it

    def __repr__(self) -> str:
        from runway.log import in_columns
        from runway.pipeline import plan_table

        return "\n".join([*in_columns([plan_table.COLUMNS, *plan_table.rows(self)]), plan_table.closing(self)])

    def _repr_html_(self) -> str:
        from runway.notebook import html_table
        from runway.pipeline import drawing, plan_table

        fills = {state: look.fill for state, look in drawing.LOOKS.items()}
        return html_table(plan_table.COLUMNS, plan_table.rows(self), title=plan_table.closing(self), fills=fills)

    def own_code(self, name: str) -> tuple[str, ...]:
        """The functions, classes and values of the project that a node's code refers to: ``module.name``."""
        used = self._code(self.graph.classes[name])[0].used
        return tuple(sorted(f"{module}.{top}" for module, top in used if not module.startswith("runway.")))

    def lineage(self) -> dict[str, dict[str, Any]]:
        """{node: its key, and what that is made of}, as a run keeps it so that differences can be named later.

        The code is that of the project by name, and runway's as one. What is not known yet is None: the key of a node
        whose inputs have yet to run, and their content.
        """
        found = {}
        for name in self.order:
            step = self.steps[name]
            contents = [(above, self.steps[above].content) for above in self.inputs(step)]
            parts = (step.parts or self._parts(step.node, contents)).plain()
            code = self._code(self.graph.classes[name])[0]
            found[name] = {
                "key": step.entry.key if step.entry else step.base_key,
                **parts,
                "code": code.by_owner(),
                "reads": step.entry.meta.get("reads") if step.entry else None,
                "packages": sorted(code.packages),
            }
        return found

    def last_seconds(self, step: Step) -> float | None:
        """How long a node took when it ran last, under whatever key; None where it is not known."""
        entry = step.entry or self.entries.last(step.node.name)
        seconds = None if entry is None else float(entry.meta["seconds"])
        return seconds or None

    def count(self, status: str) -> int:
        """How many steps have a status."""
        return sum(step.status == status for step in self.steps.values())


def lineage_of_code(graph: Graph) -> dict[str, dict[str, Any]]:
    """``Plan.lineage`` of a pipeline whose data is passed in: what its nodes are made of, without keys."""
    found = {}
    for name, node in graph.nodes.items():
        try:
            code = code_of(graph.classes[name])
        except Unfingerprintable:  # in DEPENDS_ON: it is told where a key is made
            continue
        facts: dict[str, Any] = {"key": None, "transform": node.transform_name, "code": code.by_owner()}
        facts |= {"arguments": for_keys(node.arguments), "inputs": [[above, None] for above in node.inputs]}
        found[name] = {**facts, "list": node.takes_list, "versions": {}, "reads": None, "packages": [*code.packages]}
    return found
