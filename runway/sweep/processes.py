"""Trials in processes of this machine: each a `runway train` of its own, with its share of GPUs and threads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

STOP_SECONDS = 120.0
"""How long a trial that was asked to stop may take to save its state."""


class Job(NamedTuple):
    """One command of a trial.

    Attributes:
        command: ``train`` or ``test``.
        config: the config's file.
        project: its project's folder, where it runs.
        words: overrides and options.
        log: the file that it writes to.
        variables: of its environment, beside the sweep's own.
    """

    command: str
    config: Path
    project: Path
    words: Sequence[str]
    log: Path
    variables: Mapping[str, str]

    @property
    def arguments(self) -> list[str]:
        """Of ``runway``."""
        return [self.command, str(self.config), *self.words, "--project", str(self.project)]


class Process:
    """A job that runs here."""

    machine: str | None = None

    def __init__(self, job: Job) -> None:
        self.job = job
        self.started = time.monotonic()
        job.log.parent.mkdir(parents=True, exist_ok=True)
        self._log: IO[bytes] = job.log.open("ab")
        self._asked_at: float | None = None
        self._process = subprocess.Popen(
            [sys.executable, "-m", "runway", *job.arguments],
            cwd=job.project,
            env={**os.environ, **job.variables},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the sweep, which asks its trials to stop
        )

    @property
    def seconds(self) -> float:
        """Since it was started."""
        return time.monotonic() - self.started

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        code = self._process.poll()
        if code is None and self._asked_at is not None and time.monotonic() - self._asked_at > STOP_SECONDS:
            self.kill()
        if code is not None:
            self._log.close()
        return code

    def stop(self) -> None:
        """Ask it to save its state and end."""
        if self._asked_at is None:
            self._asked_at = time.monotonic()
            self._signal(signal.SIGTERM, group=False)

    def kill(self) -> None:
        """End it, and the workers that it has started, at once."""
        self._signal(signal.SIGKILL, group=True)

    def _signal(self, number: int, *, group: bool) -> None:
        try:
            if group:
                os.killpg(self._process.pid, number)
            else:
                self._process.send_signal(number)
        except ProcessLookupError:
            pass
