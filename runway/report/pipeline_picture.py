"""The DAG of a run's data pipeline as SVG, from its config: nothing is imported or run."""

from __future__ import annotations

import graphlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runway.pipeline.graph import inputs_of
from runway.report.page import own_markup

if TYPE_CHECKING:
    from markupsafe import Markup

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y = 232, 44, 20, 34


def pipeline_picture(transforms: Mapping[str, Any]) -> Markup:
    """Boxes from the inputs down to the outputs.

    Args:
        transforms: the section ``data_pipeline.transforms`` of a resolved config.
    """
    from markupsafe import Markup

    inputs = {name: _inputs(node, transforms) for name, node in transforms.items()}
    try:
        order = list(graphlib.TopologicalSorter(inputs).static_order())
    except graphlib.CycleError:
        return Markup("<p>The pipeline has a cycle.</p>")
    level: dict[str, int] = {}
    for name in order:
        level[name] = max((level[above] + 1 for above in inputs[name]), default=0)
    rows: dict[int, list[str]] = {}
    for name in order:
        rows.setdefault(level[name], []).append(name)
    width = max((len(row) for row in rows.values()), default=1) * (_WIDTH + _GAP_X) + _GAP_X
    place: dict[str, tuple[float, float]] = {}
    for at, row in rows.items():
        start = (width - len(row) * (_WIDTH + _GAP_X) + _GAP_X) / 2
        for number, name in enumerate(row):
            place[name] = start + number * (_WIDTH + _GAP_X), 8 + at * (_HEIGHT + _GAP_Y)
    height = len(rows) * (_HEIGHT + _GAP_Y) - _GAP_Y + 16
    edges = Markup("").join(_edge(place[above], place[name]) for name in order for above in inputs[name])
    boxes = Markup("").join(_box(name, str(transforms[name].get("transform_name", "")), place[name]) for name in order)
    svg = '<svg role="img" aria-label="the data pipeline" width="{}" height="{}" viewBox="0 0 {} {}">{}{}</svg>'
    return own_markup(svg).format(width, height, width, height, edges, boxes)


def _inputs(node: Mapping[str, Any], known: Mapping[str, Any]) -> list[str]:
    return [name for name in inputs_of(node) if name in known]


def _edge(above: tuple[float, float], below: tuple[float, float]) -> Markup:
    from markupsafe import Markup

    x1, y1 = above[0] + _WIDTH / 2, above[1] + _HEIGHT
    x2, y2 = below[0] + _WIDTH / 2, below[1]
    middle = (y1 + y2) / 2
    return Markup('<path d="M{} {}C{} {} {} {} {} {}"/>').format(x1, y1, x1, middle, x2, middle, x2, y2)


def _box(name: str, transform: str, place: tuple[float, float]) -> Markup:

    x, y = place
    markup = (
        '<g><title>{}: {}</title><rect x="{}" y="{}" width="{}" height="{}" rx="6"/>'
        '<text x="{}" y="{}">{}</text><text class="soft" x="{}" y="{}">{}</text></g>'
    )
    return own_markup(markup).format(
        name, transform, x, y, _WIDTH, _HEIGHT, x + 10, y + 19, _cut(name), x + 10, y + 35, _cut(transform)
    )


def _cut(text: str, most: int = 32) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
