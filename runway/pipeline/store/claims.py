"""Claims among machines: an object that one process creates, renews while it works, and deletes.

Who finds one waits. A claim whose holder gives no sign of life for as long as the claim says is taken over. Its age is
told by the server's clock once, and from then on by this machine's own steady clock and by whether the object has
changed: no two clocks are compared. Each write is conditional, so of several who try, one succeeds.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from runway.errors import ConfigError, StoreError
from runway.log import info, warning

if TYPE_CHECKING:
    from runway.pipeline.store.objects import Objects

SECONDS = "RUNWAY_CLAIM_SECONDS"
"""The environment variable that says for how long a claim of this process holds without a sign of life."""
DEFAULT_SECONDS = 120.0
LEAST_SECONDS, MOST_SECONDS = 1.0, 3600.0
RENEWALS = 6
"""How often a claim is renewed in that time: some may fail, or come late, before anybody takes it over."""
LONGEST_PAUSE = 2.0
"""Seconds between two looks of one who waits."""


def claim_seconds() -> float:
    """For how long a claim of this process holds without a sign of life."""
    text = os.environ.get(SECONDS, "")
    try:
        seconds = float(text or DEFAULT_SECONDS)
    except ValueError:
        seconds = 0.0
    if not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        must = f"must be a number of seconds from {LEAST_SECONDS:.0f} to {MOST_SECONDS:.0f}"
        raise ConfigError(f"`{SECONDS}` {must}, but is {text!r} instead", where="the environment")
    return seconds


@contextlib.contextmanager
def claimed(objects: Objects, name: str, what: str, *, folder: str, left_here: bool) -> Iterator[None]:
    """Hold the claim of this name among all machines that write to these objects.

    Args:
        objects: where claims are kept.
        name: of the claim's object.
        what: what is to be computed; for who waits.
        folder: the folder of this machine in which the same claim is held by a lock meanwhile.
        left_here: whether that lock was left by a process that was killed: its claim is nobody's any more.

    Raises:
        StoreError: the objects cannot be reached.
    """
    owner = os.getpid()
    claim = Claim(objects, name, what, folder)
    claim.take(left_here)
    stop = threading.Event()
    beat = threading.Thread(target=claim.keep_alive, args=(stop,), daemon=True)
    beat.start()
    try:
        yield
    finally:
        if os.getpid() == owner:  # a process that was forked meanwhile has nothing to let go
            stop.set()
            beat.join()
            claim.release()


class Holder(NamedTuple):
    """What a claim's object says. Others may have written it."""

    claim: str
    host: str
    process: str
    folder: str
    seconds: float

    @classmethod
    def of(cls, data: bytes) -> Holder:
        """Read one; where it is no claim, one that says nothing and holds for the usual time."""
        try:
            said = json.loads(data)
            claim, host, process, folder = (
                "".join(filter(str.isprintable, str(said[name])))[:200] for name in cls._fields[:4]
            )
            seconds = min(max(LEAST_SECONDS, float(said["seconds"])), MOST_SECONDS)
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
            return cls("", "another machine", "?", "", DEFAULT_SECONDS)
        return cls(claim, host, process, folder, seconds)


class Claim:
    """One process's hold of one name.

    Args:
        objects: where claims are kept.
        name: of the claim's object.
        what: what is to be computed.
        folder: see ``claimed``.
    """

    def __init__(self, objects: Objects, name: str, what: str, folder: str) -> None:
        self.objects = objects
        self.name = name
        self.what = what
        self.own = Holder(uuid.uuid4().hex, socket.gethostname(), str(os.getpid()), folder, claim_seconds())
        self.lost = False
        self._version: Any = None
        self._renewals = 0

    def take(self, left_here: bool) -> None:
        """Create the object, or wait for it: until it is gone, or until its holder has given no sign of life."""
        if self._wrote(self.objects.create(self.name, self._body())):
            return
        pause, seen, since, age = 0.1, None, 0.0, 0.0
        while True:
            found = self.objects.read(self.name)
            if found is None:
                if self._wrote(self.objects.create(self.name, self._body())):
                    return
                continue
            holder = Holder.of(found.data)
            if holder.claim == self.own.claim:  # it was written, and the answer was lost on the way
                self._version = found.version
                return
            if found.version != seen:
                age = self._age() if seen is None else 0.0
                if seen is None and not left_here:
                    info(f"{self.what}: process {holder.process} on {holder.host} is computing it, waiting")
                seen, since = found.version, time.monotonic()
            is_left = left_here and (holder.host, holder.folder) == (self.own.host, self.own.folder)
            if is_left or age + time.monotonic() - since > holder.seconds:
                if self._wrote(self.objects.replace(self.name, self._body(), found.version)):
                    info(f"{self.what}: process {holder.process} on {holder.host} is not there any more, not waiting")
                    return
                continue  # another was faster, or the holder lives
            left = holder.seconds - age - (time.monotonic() - since)
            time.sleep(max(min(pause, holder.seconds / 4, left), 0.05))
            pause = min(pause * 1.5, LONGEST_PAUSE)

    def _age(self) -> float:
        """How long ago the object was written, by the server's clock."""
        modified = self.objects.modified(self.name)
        return 0.0 if modified is None else max(self.objects.now() - modified - 1, 0.0)  # it tells whole seconds

    def keep_alive(self, stop: threading.Event) -> None:
        """Renew the claim until told to stop, or until it is lost."""
        while not self.lost and not stop.wait(self.own.seconds / RENEWALS):
            with contextlib.suppress(StoreError):  # the next renewal may come through in time
                self._renew()

    def _renew(self) -> None:
        self._renewals += 1
        if self._wrote(self.objects.replace(self.name, self._body(), self._version)):
            return
        found = self.objects.read(self.name)
        if found is None and self._wrote(self.objects.create(self.name, self._body())):  # swept away by somebody
            return
        if found is not None and Holder.of(found.data).claim == self.own.claim:
            self._version = found.version
            return
        self.lost = True
        why = f"this process gave no sign of life for {self.own.seconds:.0f} s"
        warning(f"{self.what}: {why} and lost its claim: another may be computing it too")

    def release(self) -> None:
        """Delete the object, if it is still this claim's."""
        try:
            if not self.lost:
                self._renew()  # from here to the deletion nobody takes it over
            if not self.lost:
                self.objects.delete([self.name])
        except StoreError as error:
            warning(f"{self.what}: its claim cannot be released, others wait {self.own.seconds:.0f} s: {error.message}")

    def _body(self) -> bytes:
        return json.dumps({**self.own._asdict(), "renewals": self._renewals, "what": self.what}).encode()

    def _wrote(self, version: Any) -> bool:
        if version is not None:
            self._version = version
        return version is not None
