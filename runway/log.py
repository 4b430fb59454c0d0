"""What the person at the terminal sees: lines, warnings, tables; and the run's log file.

Plain writes on the common path, because a cached run should end before ``rich`` is imported.
Everything goes to stderr, so that stdout holds only what a command was asked to print.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from runway.masking import hide

_quiet = False
_files: list[TextIO] = []
_said: set[str] = set()
_elsewhere: Callable[[str, str, bool], None] | None = None


def set_quiet(quiet: bool) -> None:
    """Show only warnings on the terminal; the log files keep everything."""
    global _quiet
    _quiet = quiet


def is_quiet() -> bool:
    """Whether only warnings are shown."""
    return _quiet


def info(message: str) -> None:
    """One line about what happens."""
    say(INFO, message)


def warning(message: str, *, once: bool = False) -> None:
    """One line about what is probably not meant; ``once``: at most one time in this process."""
    say(WARNING, message, once)


def to_files(message: str) -> None:
    """One line for the log files alone: the terminal shows it in another way."""
    say(FILES, message)


INFO, WARNING, FILES = "info", "warning", "files"


def say(kind: str, message: str, once: bool = False) -> None:
    """A line of one of these kinds; of this process, or one that another has handed over."""
    if _elsewhere is not None:
        _elsewhere(kind, message, once)
        return
    if kind == WARNING:
        if once and message in _said:
            return
        _said.add(message)
        message = f"warning: {message}"
    _write(message, show=kind == WARNING or (kind == INFO and not _quiet))


def hand_over(take: Callable[[str, str, bool], None] | None) -> None:
    """Give each later line to ``take(kind, message, once)`` instead: who started this process says it."""
    global _elsewhere
    _elsewhere = take


def add_file(path: Path) -> None:
    """Write every later line into ``path`` too, with the time before it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    close_files()
    _files.append(path.open("a", encoding="utf-8"))


def close_files() -> None:
    """Stop writing log files."""
    while _files:
        _files.pop().close()


def _write(message: str, *, show: bool) -> None:
    message = hide(message)
    if show:
        print(message, file=sys.stderr, flush=True)
    stamp = time.strftime("%Y-%m-%d %H:%M:%S")
    for file in _files:
        print(stamp, message, file=file, flush=True)


MOST_ROWS = 300
"""That are drawn as a table."""


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, stdout: bool = True) -> None:
    """Print a table; numbers are aligned to the right. Many rows stand in plain columns: to draw them takes seconds."""
    rows = [list(row) for row in rows]
    target = sys.stdout if stdout else sys.stderr
    if len(rows) > MOST_ROWS:
        lines = in_columns([list(columns), *([str(_cell(value)) for value in row] for row in rows)])
        target.write("\n".join([*([title] if title else []), *lines, ""]))
        return
    from rich.console import Console
    from rich.table import Table

    drawn = Table()
    for index, column in enumerate(columns):
        numbers = all(isinstance(row[index], int | float) for row in rows)
        drawn.add_column(column, justify="right" if numbers and rows else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(_cell(value) for value in row))
    width = None if target.isatty() else 120
    console = Console(file=target, width=width, markup=False, highlight=False)
    if title:  # rich would wrap a title to the width of the table
        console.print(title)
    console.print(drawn)


def _cell(value: object) -> Any:
    if type(value).__module__.startswith("rich."):
        return value
    return f"{value:.4f}" if isinstance(value, float) else hide(str(value))


def plain_columns(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of text to stdout below each other."""
    sys.stdout.write("\n".join([*in_columns(rows), ""]))


def in_columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of rows of text below each other; of a cell with several lines they go on below."""
    widths = [
        max(len(line) for row in rows for line in row[place].splitlines() or [""]) for place in range(len(rows[0]))
    ]
    for row in rows:
        cells = [hide(cell).splitlines() for cell in row]
        for number in range(max(1, *map(len, cells))):
            line = [cell[number] if number < len(cell) else "" for cell in cells]
            yield "  ".join(f"{text:<{width}}" for text, width in zip(line, widths, strict=True)).rstrip()


def shown(path: str | Path) -> str:
    """A path as people read it: relative where it is below the current folder."""
    try:
        return Path(path).relative_to(Path.cwd()).as_posix() or "."
    except ValueError:
        return str(path)


def human_bytes(count: float) -> str:
    """``1536`` as ``1.5 kB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable")


def human_seconds(seconds: float) -> str:
    """``75.2`` as ``1 min 15 s``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def at_terminal() -> bool:
    """Whether a person can answer."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
