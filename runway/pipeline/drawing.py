"""A graph as text: a tree for the terminal, Mermaid, Graphviz; and as it is to be drawn, with its states."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from runway.pipeline.graph import inputs_of
from runway.pipeline.plan import CACHED, IDLE, MAYBE, RUN

if TYPE_CHECKING:
    from runway.pipeline.plan import Plan


class Look(NamedTuple):
    """How a state is shown.

    Attributes:
        fill: colour of a box, light enough for black text.
        edge: colour of its edge.
        style: at the terminal, as rich names it.
    """

    fill: str
    edge: str
    style: str


LOOKS = {
    CACHED: Look("#d9f2e3", "#2f8f5b", "green"),
    RUN: Look("#fde2cf", "#c8621b", "bold yellow"),
    MAYBE: Look("#fdf3c8", "#a68a16", "yellow"),
    IDLE: Look("#eeeeee", "#8a8a8a", "dim"),
}
NO_STATE, NO_LOOK = "", Look("#f6f8fa", "#8a8a8a", "")
CODE_LOOK = Look("#e6e9fb", "#5562b8", "blue")


class Drawing(NamedTuple):
    """What is drawn.

    Attributes:
        states: {node: its state}, in dependency order.
        edges: (from, to) of nodes.
        code: {node: functions and classes of the project that its code refers to}; empty where they are not asked for.
        details: {node: what stands below its name in a picture}.
    """

    states: Mapping[str, str]
    edges: tuple[tuple[str, str], ...]
    code: Mapping[str, tuple[str, ...]]
    details: Mapping[str, str] = {}


def drawing_of_config(transforms: Mapping[str, Any]) -> Drawing:
    """The pipeline of a run, by its resolved config: nothing is imported, and its nodes have no state.

    Args:
        transforms: the section ``data_pipeline.transforms``.

    Raises:
        graphlib.CycleError: it has a cycle.
    """
    inputs = {name: [above for above in inputs_of(node) if above in transforms] for name, node in transforms.items()}
    order = graphlib.TopologicalSorter(inputs).static_order()
    edges = tuple((above, name) for name, names in inputs.items() for above in names)
    details = {name: str(node.get("transform_name", "")) for name, node in transforms.items()}
    return Drawing(dict.fromkeys(order, NO_STATE), edges, {}, details)


def drawing_of(plan: Plan, *, code: bool = False) -> Drawing:
    """What a plan looks like.

    Args:
        plan: the steps.
        code: whether with the functions and classes that each node's code refers to.
    """
    states = {name: plan.steps[name].status for name in plan.order}
    edges = tuple((above, name) for name in plan.order for above in plan.steps[name].node.inputs if above in states)
    return Drawing(states, edges, {name: plan.own_code(name) for name in plan.order} if code else {})


class Line(NamedTuple):
    """A node in a tree.

    Attributes:
        rails: what stands before its name.
        node: its name.
        further: inputs besides the node above it.
    """

    rails: str
    node: str
    further: tuple[str, ...]

    @property
    def also(self) -> str:
        """The further inputs, to stand behind the name."""
        return f"  (and {', '.join(self.further)})" if self.further else ""


def tree(order: Iterable[str], edges: Iterable[tuple[str, str]]) -> list[Line]:
    """The nodes as a tree, each once: below the last of its inputs; what follows one after the other is not indented.

    Args:
        order: the nodes in dependency order.
        edges: (from, to).
    """
    order = list(order)
    above: dict[str, list[str]] = {name: [] for name in order}
    below: dict[str, list[str]] = {name: [] for name in order}
    for start, end in dict.fromkeys(edges):
        above[end].append(start)
        below[start].append(end)
    missing = {name: len(above[name]) for name in order}
    lines: list[Line] = []
    # (node, the node above it, rails before its name, rails before what follows it); a stack, for graphs may be deep
    waiting = [(name, "", "", "") for name in reversed(order) if not above[name]]
    while waiting:
        name, parent, first, rest = waiting.pop()
        lines.append(Line(first, name, tuple(other for other in above[name] if other != parent)))
        for child in below[name]:
            missing[child] -= 1
        ready = [child for child in below[name] if not missing[child]]
        if len(ready) == 1:
            waiting.append((ready[0], name, rest, rest))
            continue
        for place, child in reversed(list(enumerate(ready))):
            is_last = place == len(ready) - 1
            waiting.append((child, name, rest + ("└─ " if is_last else "├─ "), rest + ("   " if is_last else "│  ")))
    return lines


def mermaid(drawing: Drawing) -> str:
    """As a Mermaid flow chart, which GitHub and many notebooks show."""
    ids = _ids(drawing)
    lines = ["flowchart TD"]
    for name, state in drawing.states.items():
        lines.append(f'  {ids[name]}["{_escaped(name)}"]:::{state.replace(" ", "_")}')
    lines += [f"  {ids[start]} --> {ids[end]}" for start, end in drawing.edges]
    for code in dict.fromkeys(name for names in drawing.code.values() for name in names):
        lines.append(f'  {ids["code " + code]}(["{_escaped(code)}"]):::code')
    lines += [f"  {ids['code ' + code]} -.-> {ids[node]}" for node, names in drawing.code.items() for code in names]
    looks = {state: LOOKS[state] for state in dict.fromkeys(drawing.states.values())}
    looks |= {"code": CODE_LOOK} if any(drawing.code.values()) else {}
    for state, look in looks.items():
        lines.append(f"  classDef {state.replace(' ', '_')} fill:{look.fill},stroke:{look.edge},color:#000")
    return "\n".join(lines) + "\n"


def _escaped(name: str) -> str:
    """Text in a Mermaid label: what has a meaning there as an entity."""
    return "".join(f"#{ord(letter)};" if letter in '"#&<>\\`' else letter for letter in name)


def dot(drawing: Drawing) -> str:
    """In Graphviz's language."""
    lines = ["digraph pipeline {", '  node [shape=box, style="rounded,filled", fontname="Helvetica"];']
    for name, state in drawing.states.items():
        look = LOOKS[state]
        lines.append(f'  {_quoted(name)} [fillcolor="{look.fill}", color="{look.edge}", tooltip={_quoted(state)}];')
    lines += [f"  {_quoted(start)} -> {_quoted(end)};" for start, end in drawing.edges]
    for code in dict.fromkeys(name for names in drawing.code.values() for name in names):
        colours = f'fillcolor="{CODE_LOOK.fill}", color="{CODE_LOOK.edge}"'
        lines.append(f"  {_quoted('code ' + code)} [label={_quoted(code)}, shape=ellipse, {colours}];")
    for node, names in drawing.code.items():
        lines += [f"  {_quoted('code ' + code)} -> {_quoted(node)} [style=dashed];" for code in names]
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _ids(drawing: Drawing) -> dict[str, str]:
    names = [*drawing.states, *(f"code {name}" for names in drawing.code.values() for name in names)]
    return {name: f"n{number}" for number, name in enumerate(dict.fromkeys(names))}
