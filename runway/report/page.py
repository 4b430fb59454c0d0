"""One HTML page that needs no network: charts by bokeh, tables by DataTables, all text escaped.

The browser is told to run nothing but the scripts that are in the page when it is written, each by its digest
(Content-Security-Policy): a sample's text that is a script is text, even if it were not escaped.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.disk import replace_text
from runway.errors import RunwayError

if TYPE_CHECKING:
    from markupsafe import Markup

_WEB = Path(__file__).parent / "web"
_EXPORTS = re.compile(r"export\{([^{}]*)\}")


class Page:
    """Sections of text, tables and charts, in the order in which they are added.

    Args:
        title: stands over it.
        subtitle: stands under that.
    """

    def __init__(self, title: str, subtitle: str = "") -> None:
        check_libraries()
        self.title, self.subtitle = title, subtitle
        self._blocks: list[Markup] = []
        self._charts: list[dict[str, Any]] = []
        self._tables: list[dict[str, Any]] = []
        self._places: list[tuple[str, str]] = []

    def section(self, title: str) -> None:
        """Begin a section."""
        place = f"section-{len(self._places)}"
        self._places.append((place, title))
        self._add('<h2 id="{}">{}</h2>', place, title)

    def heading(self, title: str) -> None:
        """A heading inside a section."""
        self._add("<h3>{}</h3>", title)

    def note(self, text: str) -> None:
        """A paragraph."""
        self._add("<p>{}</p>", text)

    def cards(self, values: Iterable[tuple[str, str, str]]) -> None:
        """Large numbers: name, value, what is to be said of it."""
        card = '<div class="card"><div class="name">{}</div><div class="value">{}</div><div class="more">{}</div></div>'
        self._add('<div class="cards">{}</div>', _joined(card, values))

    def facts(self, pairs: Iterable[tuple[str, Any]]) -> None:
        """Names with their values, the empty ones left out."""
        shown = [(name, told(value)) for name, value in pairs if value not in (None, "", [], {})]
        self._add('<table class="facts">{}</table>', _joined("<tr><th>{}</th><td>{}</td></tr>", shown))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """A small table as it is; numbers are aligned to the right."""
        head = _joined("<th>{}</th>", [(name,) for name in columns])
        body = [(_joined('<td class="{}">{}</td>', [(_kind(value), told(value)) for value in row]),) for row in rows]
        markup = '<div class="wide"><table class="plain"><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>'
        self._add(markup, head, _joined("<tr>{}</tr>", body))

    def link(self, text: str, address: str) -> None:
        """A link to an address of ours."""
        self._add('<p><a href="{}">{}</a></p>', address, text)

    def samples(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[Any]],
        *,
        caption: str,
        links: Sequence[str] | None = None,
    ) -> None:
        """A table to sort, filter and page through; a row's whole text opens on a click.

        Args:
            columns: their names.
            rows: the values, in the order in which they are first shown.
            caption: says which rows these are.
            links: an address of ours for each row, which its first value leads to.
        """
        place = f"table-{len(self._tables)}"
        kinds = [
            "num" if all(row[at] is None or _kind(row[at]) == "num" for row in rows) else "text"
            for at in range(len(columns))
        ]
        values = [[_plain(value) for value in row] for row in rows]
        table = {"target": place, "columns": list(columns), "kinds": kinds, "rows": values, "links": links}
        self._tables.append(table)
        self._add(
            '<p class="caption">{}</p><div class="wide"><table id="{}" class="samples"></table></div>', caption, place
        )

    def chart(self, figure: Any, caption: str = "") -> None:
        """A figure of bokeh's."""
        from bokeh.embed import json_item

        place = f"chart-{len(self._charts)}"
        self._charts.append({"target": place, "item": json_item(figure)})
        self._add('<figure><div id="{}" class="chart"></div><figcaption>{}</figcaption></figure>', place, caption)

    def pre(self, text: str, summary: str | None = None) -> None:
        """Text as it is; behind a heading that opens it, where one is given."""
        if summary is None:
            self._add("<pre>{}</pre>", text)
        else:
            self._add("<details><summary>{}</summary><pre>{}</pre></details>", summary, text)

    def lines(self, lines: Iterable[tuple[str, str]]) -> None:
        """Text line by line, each with a class of the style sheet: ``plain``, ``changed``, ``added``, ``removed``."""
        self._add("<pre>{}</pre>", _joined('<span class="line {}">{}\n</span>', lines))

    def picture(self, svg: Markup) -> None:
        """An SVG that was made with escaped text."""
        self._add('<div class="wide picture">{}</div>', svg)

    def html(self) -> str:
        """The whole page."""
        from jinja2 import Environment
        from markupsafe import Markup

        scripts = [*_libraries(bool(self._charts), bool(self._tables)), _script(_WEB / "page.js")]
        digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for _, script in scripts]
        styles = [_tables_style()] if self._tables else []
        data = json.dumps({"charts": self._charts, "tables": self._tables}, ensure_ascii=False, allow_nan=False)
        shell = Environment(autoescape=True).from_string((_WEB / "page.html").read_text(encoding="utf-8"))
        return shell.render(
            title=self.title,
            subtitle=self.subtitle,
            places=self._places,
            body=Markup("\n").join(self._blocks),
            scripts=[(kind, own_markup(script)) for kind, script in scripts],
            digests=digests,
            style=own_markup("\n".join([*styles, (_WEB / "page.css").read_text(encoding="utf-8")])),
            data=own_markup(data.replace("<", "\\u003c")),
        )

    def write(self, path: Path) -> None:
        """Write it, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        # A lone surrogate, which a model's output may have, is no UTF-8.
        replace_text(path, self.html().encode("utf-8", "replace").decode())

    def _add(self, markup: str, *values: Any) -> None:

        self._blocks.append(own_markup(markup).format(*values))


def check_libraries() -> None:
    """Raise where a library of the pages is not installed.

    Raises:
        RunwayError: with the command that installs it.
    """
    missing = [name for name in ("bokeh", "itables") if importlib.util.find_spec(name) is None]
    if missing:
        raise RunwayError(
            f"a report needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed",
            hint="pip install 'runway-for-ml[report]'",
        )


@cache
def _libraries(charts: bool, tables: bool) -> list[tuple[str, str]]:
    """The scripts that the page's parts need, each with its kind."""
    found = []
    if charts:
        kind, text = _script(_package("bokeh") / "server" / "static" / "js" / "bokeh.min.js")
        found.append(("text/javascript", text))  # it gives its name to `this`, which a module does not have
    if tables:
        kind, bundle = _script(_package("itables") / "html" / "dt_bundle.js")
        exports = dict(reversed(part.split(" as ")) for part in _EXPORTS.findall(bundle)[-1].split(","))
        found.append((kind, f"{bundle}\nwindow.DataTable = {exports['default']};\n"))
    return found


def _script(path: Path) -> tuple[str, str]:
    """A script as it can stand in a page: a comment's beginning there would hide its end (HTML, 13.2.5.20)."""
    return "module", path.read_text(encoding="utf-8").replace("\r\n", "\n").replace("<!--", "\\x3C!--")


def _tables_style() -> str:
    return (_package("itables") / "html" / "dt_bundle.css").read_text(encoding="utf-8")


def _package(name: str) -> Path:
    """The folder of an installed package, which is not imported: that would take a second."""
    spec = importlib.util.find_spec(name)
    assert spec is not None  # check_libraries has looked
    assert spec.origin is not None
    return Path(spec.origin).parent


def told(value: Any) -> str:
    """A value as a person reads it."""
    if value is None:
        return "-"
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return number(value)
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def number(value: float) -> str:
    """Four significant digits; many more say nothing."""
    if not math.isfinite(value):
        return str(value)
    if value and (abs(value) < 1e-3 or abs(value) >= 1e6):
        return f"{value:.3g}"
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.1f}"


def _kind(value: Any) -> str:
    return "num" if isinstance(value, int | float) and not isinstance(value, bool) else "text"


def _plain(value: Any) -> Any:
    """A value that JSON has."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return told(value)


def own_markup(text: str) -> Markup:
    """Text of this package as markup; what is put into it by ``format`` is escaped."""
    from markupsafe import Markup

    return Markup(text)  # noqa: S704 (no text of a run)


def _joined(markup: str, rows: Iterable[Sequence[Any]]) -> Markup:
    from markupsafe import Markup

    return Markup("").join(own_markup(markup).format(*row) for row in rows)
