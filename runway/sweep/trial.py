"""What a training does that a sweep has started: it holds the trial's lock while it lives, and ends with the sweep.

A trial is an ordinary ``runway train`` in a process of its own. The sweep tells it through the environment which trial
it is; its provenance keeps that, so that the run is found whatever becomes of the sweep.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from runway.disk import hold
from runway.errors import Interrupted
from runway.experiment.provenance import TRIAL
from runway.log import warning
from runway.ranks import rank

_PR_SET_PDEATHSIG = 1


def told(sweep: str, key: str, parameters: Mapping[str, Any], lock: str) -> dict[str, str]:
    """The environment variable for the process of a trial.

    Args:
        sweep: the sweep's name.
        key: the trial's.
        parameters: its point.
        lock: a file that it holds while it lives.
    """
    facts = {"sweep": sweep, "key": key, "parameters": dict(parameters), "lock": lock, "parent": os.getpid()}
    return {TRIAL: json.dumps(facts, ensure_ascii=False)}


@contextlib.contextmanager
def as_trial() -> Iterator[None]:
    """In the block the process is the trial that its environment says; nothing where a person has started it.

    Raises:
        Interrupted: the sweep is gone already.
    """
    text = os.environ.get(TRIAL)
    if not text or rank() != 0:  # the other ranks end with the first
        yield
        return
    facts = json.loads(text)
    _end_with(facts["parent"])
    with hold(facts["lock"], lambda: warning("waiting for an earlier process of the same trial")):
        yield


def _end_with(parent: int) -> None:
    """Be asked to stop (SIGTERM: save, and end) when the sweep is killed; where the system cannot, the lock tells."""
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        raise Interrupted("the sweep that has started this trial is gone", hint="run the sweep again: it goes on")
