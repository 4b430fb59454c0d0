"""The charts of a report, from arrays: axes with units, one colour and one dash for each series, for all eyes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

# Okabe and Ito's, of which these can be told apart by all and are seen on white and on black.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#7f7f7f")
DASHES = ("solid", "dashed", "dotdash", "dotted", "dashdot", "solid")
WIDTH, HEIGHT = 500, 300
_MOST_POINTS = 2000


def curves(series: Mapping[str, tuple[Sequence[float], Sequence[float]]], y_label: str, x_label: str = "step") -> Any:
    """Lines over steps.

    Args:
        series: ``{name: (steps, values)}``.
        y_label: what the values are, with their unit.
        x_label: what the steps are.
    """
    figure = _figure(x_label, y_label)
    for at, (name, (steps, values)) in enumerate(series.items()):
        xs, ys = np.asarray(steps), np.asarray(values, dtype=float)
        if len(xs) > _MOST_POINTS:
            kept = np.unique(np.linspace(0, len(xs) - 1, _MOST_POINTS).astype(int))
            xs, ys = xs[kept], ys[kept]
        source = _source(x=xs, y=ys, name=[name] * len(xs))
        colour, dash = COLOURS[at % len(COLOURS)], DASHES[at % len(DASHES)]
        figure.line("x", "y", source=source, color=colour, line_dash=dash, line_width=2, legend_label=name)
        if len(xs) <= 60:
            figure.scatter("x", "y", source=source, color=colour, size=6, legend_label=name)
    _hover(figure, [("", "@name"), (x_label, "@x"), (y_label, "@y{0.0000}")])
    _legend(figure, len(series))
    return figure


def confusion(matrix: np.ndarray, names: Sequence[str]) -> Any:
    """A confusion matrix: rows are what is true, columns what was predicted; the colour is the share of the row.

    Args:
        matrix: counts, ``[classes, classes]``.
        names: of the classes.
    """
    size = min(max(120 + 42 * len(names), 360), 760)
    figure = _figure(
        "predicted", "true", x_range=list(names), y_range=list(reversed(names)), width=size + 40, height=size - 20
    )
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    rows, columns = (one.ravel().tolist() for one in np.indices(matrix.shape))
    values = share.ravel()
    source = _source(
        true=[names[at] for at in rows],
        predicted=[names[at] for at in columns],
        count=matrix.ravel(),
        told=[f"{count:,}" for count in matrix.ravel()],
        share=values,
        # Blue where it is right, orange where it is wrong; the share is the strength.
        colour=[COLOURS[0] if row == column else COLOURS[1] for row, column in zip(rows, columns, strict=True)],
        alpha=0.06 + 0.74 * values,
    )
    figure.rect("predicted", "true", 1, 1, source=source, fill_color="colour", fill_alpha="alpha", line_color=None)
    if len(names) <= 20:
        figure.add_layout(_numbers(source))
    _hover(
        figure, [("true", "@true"), ("predicted", "@predicted"), ("rows", "@count"), ("of the class", "@share{0.0%}")]
    )
    if len(names) > 6 or max(map(len, names)) > 9:
        figure.xaxis.major_label_orientation = 0.9
    figure.grid.visible = False
    return figure


def _numbers(source: Any) -> Any:
    from bokeh.models.annotations import LabelSet

    return LabelSet(
        x="predicted",
        y="true",
        text="told",
        source=source,
        text_align="center",
        text_baseline="middle",
        text_font_size="13px",
    )


def calibration(confidence: np.ndarray, right: np.ndarray, bins: int = 10) -> Any:
    """How often the model is right when it is so sure; on the line it is as often right as it says.

    Args:
        confidence: the probability of the predicted class, ``[rows]``.
        right: whether that was the true one, ``[rows]``.
        bins: of equal width.
    """
    at = np.clip((confidence * bins).astype(int), 0, bins - 1)
    counts = np.bincount(at, minlength=bins)
    there = counts > 0
    mean = np.bincount(at, confidence, bins)[there] / counts[there]
    rate = np.bincount(at, right, bins)[there] / counts[there]
    from runway.uncertainty.intervals import wilson

    found = [wilson(round(r * n), int(n)) for r, n in zip(rate, counts[there], strict=True)]
    low, high = [one.low for one in found if one], [one.high for one in found if one]
    figure = _figure("probability of the predicted class", "share that is right", x_range=(0, 1), y_range=(0, 1.02))
    figure.line([0, 1], [0, 1], color=COLOURS[5], line_dash="dotted", legend_label="as sure as right")
    source = _source(x=mean, y=rate, n=counts[there], low=low, high=high)
    figure.segment("x", "low", "x", "high", source=source, color=COLOURS[0], line_width=2)
    figure.scatter("x", "y", source=source, color=COLOURS[0], size=8, legend_label="rows, with 95% interval")
    _hover(
        figure, [("sure", "@x{0.00}"), ("right", "@y{0.000}"), ("95%", "@low{0.000} to @high{0.000}"), ("rows", "@n")]
    )
    _legend(figure, 2)
    return figure


def histogram(groups: Mapping[str, np.ndarray], x_label: str, bins: int = 30) -> Any:
    """How many rows have which value, for each group; the highest thousandth is in the last bin.

    Args:
        groups: ``{name: values}``; what is no finite number is left out.
        x_label: what the values are, with their unit.
        bins: of equal width.
    """
    finite = {name: values[np.isfinite(values)] for name, values in groups.items()}
    whole = np.concatenate(list(finite.values()))
    low, high = (float(whole.min()), float(np.quantile(whole, 0.999))) if len(whole) else (0.0, 1.0)
    edges = np.linspace(low, high if high > low else low + 1, bins + 1)
    figure = _figure(x_label, "rows")
    for at, (name, values) in enumerate(finite.items()):
        counts, _ = np.histogram(np.minimum(values, edges[-1]), edges)
        colour = COLOURS[at % len(COLOURS)]
        source = _source(left=edges[:-1], right=edges[1:], top=counts, name=[name] * bins)
        figure.quad(
            left="left",
            right="right",
            top="top",
            bottom=0,
            source=source,
            color=colour,
            fill_alpha=0.35,
            line_color=colour,
            legend_label=name,
        )
    _hover(figure, [("", "@name"), (x_label, "@left{0.000} to @right{0.000}"), ("rows", "@top")])
    _legend(figure, len(groups))
    return figure


def by_group(
    names: Sequence[str],
    values: Sequence[float],
    lows: Sequence[float],
    highs: Sequence[float],
    counts: Sequence[int],
    *,
    whole: float | None,
    x_label: str,
    y_label: str,
) -> Any:
    """A value for each of some groups of rows, with its interval, and a line for the whole.

    Args:
        names: of the groups.
        values: one for each.
        lows: the intervals' lower ends; NaN where there is none.
        highs: their upper ends.
        counts: rows of each.
        whole: the value over all rows.
        x_label: what the groups are.
        y_label: what the value is, with its unit.
    """
    figure = _figure(x_label, y_label, x_range=list(names))
    source = _source(x=list(names), y=values, low=lows, high=highs, n=counts)
    figure.segment("x", "low", "x", "high", source=source, color=COLOURS[0], line_width=2)
    figure.scatter("x", "y", source=source, color=COLOURS[0], size=9, legend_label="group, with 95% interval")
    if whole is not None:
        figure.line(list(names), [whole] * len(names), color=COLOURS[1], line_dash="dashed", legend_label="all rows")
    figure.y_range.start = 0 if min(values, default=0) >= 0 else None
    _hover(figure, [(x_label, "@x"), (y_label, "@y{0.00}"), ("95%", "@low{0.00} to @high{0.00}"), ("rows", "@n")])
    _legend(figure, 2)
    return figure


def _figure(x_label: str, y_label: str, **settings: Any) -> Any:
    from bokeh.plotting import figure

    made = figure(
        **{
            "width": WIDTH,
            "height": HEIGHT,
            "tools": "pan,box_zoom,wheel_zoom,reset",
            "toolbar_location": None,
            **settings,
        }
    )
    made.background_fill_color = made.border_fill_color = None  # the page's own is seen, light or dark
    made.xaxis.axis_label, made.yaxis.axis_label = x_label, y_label
    for axis in made.axis:
        axis.axis_label_text_font_style = "normal"
        axis.minor_tick_line_color = None
    made.grid.grid_line_alpha = 0.5
    made.toolbar.active_drag = None
    return made


def _source(**columns: Any) -> Any:
    from bokeh.models import ColumnDataSource

    return ColumnDataSource({name: list(map(_plain, values)) for name, values in columns.items()})


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _hover(figure: Any, tooltips: list[tuple[str, str]]) -> None:
    from bokeh.models import HoverTool

    figure.add_tools(HoverTool(tooltips=tooltips))


def _legend(figure: Any, series: int) -> None:
    """Above the chart, where it hides nothing; a click on a series hides that."""
    legend = figure.legend[0]
    legend.visible = series > 1
    legend.click_policy = "hide"
    legend.orientation, legend.ncols = "horizontal", 4
    legend.border_line_color = legend.background_fill_color = None
    legend.label_text_font_size = "11px"
    legend.padding = legend.margin = 0
    figure.add_layout(legend, "above")
