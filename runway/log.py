"""What the person at the terminal sees: lines, warnings, tables; and the run's log file.

Plain writes on the common path, because a cached run should end before ``rich`` is imported.
Everything goes to stderr, so that stdout holds only what a command was asked to print.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

_quiet = False
_files: list[TextIO] = []
_said: set[str] = set()


def set_quiet(quiet: bool) -> None:
    """Show only warnings on the terminal; the log files keep everything."""
    global _quiet
    _quiet = quiet


def info(message: str) -> None:
    """One line about what happens."""
    _write(message, show=not _quiet)


def warning(message: str, *, once: bool = False) -> None:
    """One line about what is probably not meant; ``once``: at most one time in this process."""
    if once and message in _said:
        return
    _said.add(message)
    _write(f"warning: {message}", show=True)


def to_files(message: str) -> None:
    """One line for the log files alone: the terminal shows it in another way."""
    _write(message, show=False)


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
    if show:
        print(message, file=sys.stderr, flush=True)
    stamp = time.strftime("%Y-%m-%d %H:%M:%S")
    for file in _files:
        print(stamp, message, file=file, flush=True)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, stdout: bool = True) -> None:
    """Print a table; numbers are aligned to the right."""
    from rich.console import Console
    from rich.table import Table

    rows = [list(row) for row in rows]
    drawn = Table()
    for index, column in enumerate(columns):
        numbers = all(isinstance(row[index], int | float) for row in rows)
        drawn.add_column(column, justify="right" if numbers and rows else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(_cell(value) for value in row))
    target = sys.stdout if stdout else sys.stderr
    width = None if target.isatty() else 120
    console = Console(file=target, width=width, markup=False, highlight=False)
    if title:  # rich would wrap a title to the width of the table
        console.print(title)
    console.print(drawn)


def _cell(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


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
