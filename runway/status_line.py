"""One line at the bottom of the terminal that says how far something is; nothing where nobody looks.

What others print goes above it: while it is there, the standard streams clear it first. It steps aside while a progress
bar or a question stands on the line, and while somebody is in a debugger.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import threading

WAIT = 1.0
"""Seconds before it is drawn first: what is done by then needs no line."""
EVERY = 0.5
"""Seconds from one drawing to the next."""
_CLEAR = "\r\x1b[K"
_shown: list[_Line] = []


@contextmanager
def status_line(text: Callable[[], str]) -> Iterator[None]:
    """Draw what ``text()`` says until the block ends; it is called in a thread of its own."""
    if _shown or not _at_terminal():
        yield
        return
    line = _Line(text)
    _shown.append(line)
    try:
        with line.streams():
            yield
    finally:
        _shown.remove(line)


def _at_terminal() -> bool:
    stream = sys.stderr
    return stream is not None and stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class _Line:
    def __init__(self, text: Callable[[], str]) -> None:
        self.text = text
        self.terminal = sys.stderr
        self.process = os.getpid()
        self.is_drawn = False
        self.is_free = True  # nobody else has begun a line

    @contextmanager
    def streams(self) -> Iterator[None]:
        """The standard streams give way to the line, and the line to them, until the block ends."""
        import threading

        ended = threading.Event()
        before = sys.stdout, sys.stderr
        if sys.stdout is not None and sys.stdout.isatty():
            sys.stdout = _Stream(sys.stdout, self)
        sys.stderr = _Stream(sys.stderr, self)
        mine = sys.stdout, sys.stderr
        thread = threading.Thread(target=self._draw_until, args=(ended,), name="runway-status", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(EVERY)
            self.clear()
            # Others may have put theirs in front meanwhile; those stay.
            sys.stdout = before[0] if sys.stdout is mine[0] else sys.stdout
            sys.stderr = before[1] if sys.stderr is mine[1] else sys.stderr

    def clear(self) -> None:
        """Take the line away: something else is to be printed."""
        if self.is_drawn and os.getpid() == self.process:  # a forked process has no line
            self.is_drawn = False
            self.terminal.write(_CLEAR)
            self.terminal.flush()

    def _draw_until(self, ended: threading.Event) -> None:
        pause = WAIT
        while not ended.wait(pause):
            pause = EVERY
            if self.is_free and not _in_debugger():
                width = shutil.get_terminal_size().columns - 3
                with suppress(OSError, ValueError):  # the terminal is gone
                    self.is_drawn = True
                    self.terminal.write(f"{_CLEAR}{self.text()[:width]}  ")
                    self.terminal.flush()


class _Stream:
    """A standard stream that clears the line before anything is written."""

    def __init__(self, stream: Any, line: _Line) -> None:
        self._stream = stream
        self._line = line

    def write(self, text: str) -> int:
        """As the stream does."""
        self._line.clear()
        if text:
            self._line.is_free = text.endswith(("\n", "\r"))
        return self._stream.write(text)

    def writelines(self, lines: Any) -> None:
        """As the stream does."""
        for text in lines:
            self.write(text)

    def __iter__(self) -> Iterator[str]:
        return iter(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _in_debugger() -> bool:
    """Whether any thread stands in one of Python's debuggers."""
    files = {getattr(module, "__file__", None) for name in ("bdb", "pdb") if (module := sys.modules.get(name))}
    for frame in list(sys._current_frames().values()) if files else ():
        found: Any = frame
        while found is not None:
            if found.f_code.co_filename in files:
                return True
            found = found.f_back
    return False
