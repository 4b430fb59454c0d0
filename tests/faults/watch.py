"""Kills a process at a chosen place. In a project it lies in ``site-packages``: it is part of no node's code."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import select
import signal
import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple

EVENTS = {"os.rename": "rename", "os.remove": "remove", "os.mkdir": "mkdir", "os.rmdir": "rmdir"}
PLACES = ("open", *EVENTS.values(), "fsync", "moment")
"""Before the n-th opening for writing, renaming …; or so many seconds after the pipeline is read."""
RUN, KILL, MARK = "KILLED_RUN", "KILL_AT", "KILL_MARK"
IN_WORKER = "RUNWAY_WORKER"


class KillAt(NamedTuple):
    """Where a run is killed.

    Attributes:
        place: one of ``PLACES``.
        number: which of them, from 1.
        seconds: how much later.
        who: ``driver``, ``worker`` (the one that comes there), or ``all`` processes of the run.
    """

    place: str
    number: int
    seconds: float
    who: str


class _Watch:
    """Counts the places, and kills at one.

    Args:
        root: the folder that is watched.
        at: where to kill; None only counts.
    """

    def __init__(self, root: str, at: KillAt | None) -> None:
        self.root, self.at = root, at
        self.counts: collections.Counter[str] = collections.Counter()

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        """Of ``sys.addaudithook``; it comes before what it tells of."""
        place = EVENTS.get(event)
        is_inside = bool(args) and isinstance(args[0], str) and args[0].startswith(self.root)
        if event == "open" and is_inside and args[2] & (os.O_WRONLY | os.O_RDWR):
            place = "open"
        elif not is_inside:
            return
        if place is not None:
            self.reached(place)

    def reached(self, place: str) -> None:
        """Count, and kill."""
        self.counts[place] += 1
        if self.at is not None and (place, self.counts[place]) == self.at[:2]:
            if self.at.seconds:
                threading.Timer(self.at.seconds, self.kill).start()
            else:
                self.kill()

    def kill(self) -> None:
        """SIGKILL, to this process or to all of the run."""
        try:
            Path(self.root, os.environ.get(MARK, "killed")).touch(exist_ok=False)
        except FileExistsError:  # one worker is killed, and not each that comes in its place
            return
        if self.at is not None and self.at.who == "all":
            for process in living(os.environ[RUN]):
                kill(process)
            if IN_WORKER in os.environ:
                kill(os.getppid())
        kill(os.getpid())


_armed: list[_Watch] = []


def arm() -> None:
    """Kill this process as the environment says; the pipeline's module calls it, in the driver and in each worker."""
    text, root = os.environ.get(KILL), os.environ.get(RUN)
    if root is None or _armed:
        return
    at = KillAt(*json.loads(text)) if text else None
    if at is not None and at.who not in ("all", "worker" if IN_WORKER in os.environ else "driver"):
        return
    watch = _Watch(root, at)
    _armed.append(watch)
    if at is not None and at.place == "moment":
        timer = threading.Timer(at.seconds, watch.kill)
        timer.daemon = True
        timer.start()
        return
    sys.addaudithook(watch.hook)
    sync = os.fsync

    def synced(descriptor: int) -> None:
        watch.reached("fsync")
        sync(descriptor)

    os.fsync = synced  # type: ignore[assignment]


def counts() -> dict[str, int]:
    """How often each place was reached in this process."""
    return dict(_armed[0].counts) if _armed else {}


def living(run: str) -> list[int]:
    """The processes that were started with this run's mark in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            marks = (path / "environ").read_bytes().split(b"\0")
            if f"{RUN}={run}".encode() in marks and int(path.name) != os.getpid():
                found.append(int(path.name))
    return found


def exit_code(child: int, seconds: float) -> int:
    """How a child of this process ended; raise, and kill it, where it has not after so many seconds."""
    watched = os.pidfd_open(child)
    in_time = select.select([watched], [], [], seconds)[0]
    os.close(watched)
    if not in_time:
        kill(child)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert in_time, f"process {child} was still at work after {seconds:.0f} seconds"
    return code


def kill(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
