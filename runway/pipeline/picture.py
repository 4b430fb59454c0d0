"""A drawing of a pipeline as SVG, or as PNG by matplotlib: no program need be installed."""

from __future__ import annotations

import html
import io
import itertools
from typing import TYPE_CHECKING, Any

from runway.pipeline.drawing import CODE_LOOK, LOOKS, NO_LOOK, Look

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runway.pipeline.drawing import Drawing

_FONT = 10.0
_ROW, _GAP, _MARGIN = 0.62, 0.25, 0.12
"""Inches: from one layer to the next, between boxes beside each other, within a box."""
_ROUNDS = 4
_PIXELS, _LETTER = 96, 7.2
"""Of an SVG: of an inch, and how wide a letter is at most, of most words."""


def picture(drawing: Drawing, form: str) -> bytes:
    """Draw it.

    Args:
        drawing: what.
        form: ``svg`` (text stays text) or ``png``.
    """
    if form == "svg":
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{svg(drawing)}\n'.encode()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    looks, labels, edges = _boxes(drawing)
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
    figure.savefig(file, format=form, dpi=150, facecolor="white")
    return file.getvalue()


def svg(drawing: Drawing) -> str:
    """Draw it as SVG, by hand: its colours are attributes, which a page's own style sheet goes over (in the dark)."""
    looks, labels, edges = _boxes(drawing)
    longest = {name: max(len(label), len(drawing.details.get(name, ""))) for name, label in labels.items()}
    widths = {name: (_LETTER * count + 20) / _PIXELS for name, count in longest.items()}
    layers, routes = _layers(list(looks), [(start, end) for start, end, _ in edges])
    inches, whole = _places(layers, widths)
    tall = 44 if drawing.details else 28
    row = tall + 34
    legend = [state for state in dict.fromkeys(drawing.states.values()) if state]
    top = (26 if legend else 6) + tall / 2
    places = {name: (x * _PIXELS + 8, top + row * round((-y - 0.15) / _ROW)) for name, (x, y) in inches.items()}
    width, height = whole * _PIXELS + 16, max(top + row * (len(layers) - 1) + tall / 2 + 6, 26)
    parts = [_svg_edge([places[name] for name in routes[start, end]], tall, dashed=dash) for start, end, dash in edges]
    for name, look in looks.items():
        detail = drawing.details.get(name, "")
        parts.append(_svg_box(places[name], (widths[name] * _PIXELS, tall), labels[name], detail, look))
    left = 8.0
    for state, look in [*((state, LOOKS[state]) for state in legend), *([("code", CODE_LOOK)] * bool(drawing.code))]:
        parts.append(f'<rect x="{left:g}" y="5" width="10" height="10" fill="{look.fill}" stroke="{look.edge}"/>')
        parts.append(f'<text x="{left + 15:g}" y="14" fill="#666666">{html.escape(state)}</text>')
        left += 34 + _LETTER * len(state)
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="the pipeline" {size}'
    return "".join([f'{head} font-family="system-ui, sans-serif" font-size="12">', *parts, "</svg>"])


def _boxes(drawing: Drawing) -> tuple[dict[str, Look], dict[str, str], list[tuple[str, str, bool]]]:
    """What is drawn: {box: its look}, {box: what stands in it}, and edges (from, to, whether dashed)."""
    looks = {name: LOOKS.get(state, NO_LOOK) for name, state in drawing.states.items()}
    labels = {name: name for name in looks}
    edges = [(start, end, False) for start, end in drawing.edges]
    for node, names in drawing.code.items():
        for name in names:
            looks[f"code {name}"], labels[f"code {name}"] = CODE_LOOK, name
            edges.append((f"code {name}", node, True))
    return looks, labels, edges


def _svg_box(place: tuple[float, float], size: tuple[float, float], label: str, detail: str, look: Look) -> str:
    (x, y), (width, height) = place, size
    named = html.escape(f"{label}: {detail}" if detail else label)
    corner = f'x="{x - width / 2:g}" y="{y - height / 2:g}" width="{width:g}" height="{height:g}" rx="6"'
    text = f'<text x="{x:g}" y="{y - 3 if detail else y + 4:g}" text-anchor="middle">{html.escape(label)}</text>'
    if detail:
        soft = f'class="soft" fill="#59636e" x="{x:g}" y="{y + 13:g}" text-anchor="middle"'
        text += f"<text {soft}>{html.escape(detail)}</text>"
    return f'<g><title>{named}</title><rect {corner} fill="{look.fill}" stroke="{look.edge}"/>{text}</g>'


def _svg_edge(route: list[tuple[float, float]], tall: float, *, dashed: bool) -> str:
    """A line through the middles of a route, upright at each of them, with a head at its end."""
    half = tall / 2
    (x, y), (end, below) = route[0], route[-1]
    drawn = f"M{x:g} {y + half:g}"
    y += half
    for number, (to, level) in enumerate(route[1:], 2):
        high, low = level - half, level + half
        middle = (y + high) / 2
        drawn += f"C{x:g} {middle:g} {to:g} {middle:g} {to:g} {high:g}"
        drawn += f"V{low:g}" if number < len(route) else ""
        x, y = to, low
    dash = ' stroke-dasharray="3 2"' if dashed else ""
    tip = below - half
    head = f"{end:g},{tip:g} {end - 4:g},{tip - 7:g} {end + 4:g},{tip - 7:g}"
    return f'<path d="{drawn}" fill="none" stroke="#777777"{dash}/><polygon points="{head}" fill="#777777"/>'


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
    shown = [(state, LOOKS[state]) for state in states if state] + ([("code", CODE_LOOK)] if code else [])
    left = 0.0
    for name, look in shown:
        axes.text(left, 0.28, "■", fontsize=_FONT, color=look.edge, va="center")
        axes.text(left + 0.16, 0.28, name, fontsize=_FONT - 1, color="#444444", va="center")
        left += _width(name) + 0.4
