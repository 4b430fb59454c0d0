"""A drawing of a pipeline as SVG or PNG, by matplotlib: no program need be installed."""

from __future__ import annotations

import io
import itertools
from typing import TYPE_CHECKING, Any

from runway.pipeline.drawing import CODE_LOOK, LOOKS, Look

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runway.pipeline.drawing import Drawing

_FONT = 10.0
_ROW, _GAP, _MARGIN = 0.62, 0.25, 0.12
"""Inches: from one layer to the next, between boxes beside each other, within a box."""
_ROUNDS = 4


def picture(drawing: Drawing, form: str) -> bytes:
    """Draw it.

    Args:
        drawing: what.
        form: ``svg`` (text stays text) or ``png``.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    looks = {name: LOOKS[state] for name, state in drawing.states.items()}
    labels = {name: name for name in looks}
    edges = [(start, end, False) for start, end in drawing.edges]
    for node, names in drawing.code.items():
        for name in names:
            looks[f"code {name}"], labels[f"code {name}"] = CODE_LOOK, name
            edges.append((f"code {name}", node, True))
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "runway"}):
        widths = {name: _width(label) + 2 * _MARGIN for name, label in labels.items()}
        layers, routes = _layers(list(looks), [(start, end) for start, end, _ in edges])
        places, width = _places(layers, widths)
        height = _ROW * len(layers)
        figure = Figure(figsize=(width + 0.2, height + 0.5))
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(-0.1, width + 0.1)
        axes.set_ylim(-height - 0.1, 0.4)
        axes.axis("off")
        for start, end, dashed in edges:
            _draw_edge(axes, [places[name] for name in routes[start, end]], dashed=dashed)
        for name, look in looks.items():
            _draw_box(axes, places[name], widths[name], labels[name], look)
        _draw_legend(axes, dict.fromkeys(drawing.states.values()), code=any(drawing.code.values()))
        file = io.BytesIO()
        figure.savefig(file, format=form, dpi=150, facecolor="white", metadata={"Date": None} if form == "svg" else {})
    return file.getvalue()


def _width(text: str) -> float:
    """Inches."""
    from matplotlib.textpath import TextPath

    return TextPath((0, 0), text, size=_FONT).get_extents().width / 72 if text.strip() else 0.2


def _layers(names: list[str], edges: list[tuple[str, str]]) -> tuple[list[list[str]], dict[tuple[str, str], list[str]]]:
    """The names by layer, each below all that leads to it, in an order with few crossings (Sugiyama's barycentres).

    Gives also the way of each edge: through a place of its own in each layer between its ends, so that it crosses no
    box.
    """
    above: dict[str, list[str]] = {name: [] for name in names}
    below: dict[str, list[str]] = {name: [] for name in names}
    for start, end in edges:
        above[end].append(start)
        below[start].append(end)
    depth = dict.fromkeys(names, 0)
    missing = {name: len(above[name]) for name in names}
    ready = [name for name in names if not missing[name]]
    for name in ready:  # which grows
        for child in below[name]:
            depth[child] = max(depth[child], depth[name] + 1)
            missing[child] -= 1
            if not missing[child]:
                ready.append(child)
    for name in names:  # a root stands right above what it leads to
        if not above[name] and below[name]:
            depth[name] = min(depth[child] for child in below[name]) - 1
    layers: list[list[str]] = [[] for _ in range(max(depth.values(), default=0) + 1)]
    for name in names:
        layers[depth[name]].append(name)
    routes = {}
    above, below = {}, {}
    for start, end in dict.fromkeys(edges):
        route = [start, *(f"{start} {end} {number}" for number in range(depth[start] + 1, depth[end])), end]
        for number, name in enumerate(route[1:-1], depth[start] + 1):
            layers[number].append(name)
        for one, other in itertools.pairwise(route):
            below.setdefault(one, []).append(other)
            above.setdefault(other, []).append(one)
        routes[start, end] = route
    for _ in range(_ROUNDS):
        for neighbours, chosen in ((above, layers), (below, layers[::-1])):
            rank = {name: place / max(1, len(layer)) for layer in layers for place, name in enumerate(layer)}
            for layer in chosen:
                layer.sort(key=lambda name: _mean([rank[other] for other in neighbours.get(name, ())], rank[name]))
                rank |= {name: place / max(1, len(layer)) for place, name in enumerate(layer)}
    return layers, routes


def _mean(numbers: list[float], otherwise: float) -> float:
    return sum(numbers) / len(numbers) if numbers else otherwise


def _places(layers: list[list[str]], widths: Mapping[str, float]) -> tuple[dict[str, tuple[float, float]], float]:
    """The middle of each box, and the width of all; inches."""
    sizes = [sum(widths.get(name, 0.0) for name in layer) + _GAP * (len(layer) - 1) for layer in layers]
    whole = max(sizes, default=1.0)
    places = {}
    for number, (layer, size) in enumerate(zip(layers, sizes, strict=True)):
        left = (whole - size) / 2
        for name in layer:
            size = widths.get(name, 0.0)
            places[name] = (left + size / 2, -_ROW * number - 0.15)
            left += size + _GAP
    return places, max(whole, 3.5)


def _draw_box(axes: Any, place: tuple[float, float], width: float, label: str, look: Look) -> None:
    from matplotlib.patches import FancyBboxPatch

    x, y = place
    corner = (x - width / 2, y - 0.14)
    style = "round,pad=0,rounding_size=0.06"
    axes.add_patch(FancyBboxPatch(corner, width, 0.28, style, facecolor=look.fill, edgecolor=look.edge, linewidth=1.2))
    axes.text(x, y, label.replace("$", r"\$"), fontsize=_FONT, ha="center", va="center", color="black")


def _draw_edge(axes: Any, route: list[tuple[float, float]], *, dashed: bool) -> None:
    line: dict[str, Any] = {"color": "#777777", "linewidth": 1.0}
    line |= {"linestyle": (0, (3, 2))} if dashed else {}
    points = [(route[0][0], route[0][1] - 0.14)]
    points += [(x, y + side) for x, y in route[1:-1] for side in (0.14, -0.14)]
    end = (route[-1][0], route[-1][1] + 0.14)
    if len(points) > 1:
        axes.plot(*zip(*points, strict=True), **line, solid_capstyle="round")
    axes.annotate("", end, points[-1], arrowprops={"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, **line})


def _draw_legend(axes: Any, states: Mapping[str, Any], *, code: bool) -> None:
    shown = [(state, LOOKS[state]) for state in states] + ([("code", CODE_LOOK)] if code else [])
    left = 0.0
    for name, look in shown:
        axes.text(left, 0.28, "■", fontsize=_FONT, color=look.edge, va="center")
        axes.text(left + 0.16, 0.28, name, fontsize=_FONT - 1, color="#444444", va="center")
        left += _width(name) + 0.4
