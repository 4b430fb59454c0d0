"""Ctrl-C and SIGTERM during training: finish the step, save, say how to go on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from runway.errors import RunwayError
from runway.log import warning


class Interrupted(RunwayError):
    """Training was stopped from outside; the hint says how to resume it."""

    title = "Interrupted"
    exit_code = 130


class StopRequest:
    """Becomes true at the first Ctrl-C or SIGTERM; a second Ctrl-C stops at once."""

    def __init__(self) -> None:
        self.made = False

    def __bool__(self) -> bool:
        return self.made

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.made and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not self.made:
            again = " (Ctrl-C again stops at once, without saving)" if number == signal.SIGINT else ""
            warning(f"{signal.Signals(number).name}: finishing the step, then saving last.ckpt{again}")
        self.made = True

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM inside the block; a thread other than the main one cannot, and does not."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in before:
            signal.signal(number, self._on_signal)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)
