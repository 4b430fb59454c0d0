"""What a notebook shows of runway's objects: small tables, in the page's own colours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from runway.masking import hide

_CELL = "text-align:left;vertical-align:top;padding:2px 10px 2px 0"
_LONGEST = 200


def html_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "", fills: Mapping[str, str] | None = None
) -> str:
    """A table; what stands in a cell is text, never markup.

    Args:
        columns: their names; none leaves the header out.
        rows: the cells.
        title: said above it.
        fills: {text of a cell: its background}, light enough for black letters.
    """
    head = "".join(f'<th style="{_CELL}">{escape(name)}</th>' for name in columns)
    body = "".join(f"<tr>{''.join(_cell(value, fills or {}) for value in row)}</tr>" for row in rows)
    above = f"<div><b>{escape(title)}</b></div>" if title else ""
    header = f"<thead><tr>{head}</tr></thead>" if columns else ""
    return f'{above}<table style="border-collapse:collapse">{header}<tbody>{body}</tbody></table>'


def _cell(value: object, fills: Mapping[str, str]) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else hide(str(value))
    fill = f";background:{fills[text]};color:#000" if text in fills else ""
    text = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return f'<td style="{_CELL}{fill};white-space:pre-wrap">{escape(text)}</td>'
