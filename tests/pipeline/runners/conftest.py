"""One Ray for all tests of a test process: starting it takes longer than they do."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """A Ray of two workers on this machine."""
    ray = pytest.importorskip("ray")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(address="local", num_cpus=2, include_dashboard=False, logging_level=logging.ERROR)
    os.environ.pop("PYTHONBREAKPOINT", None)  # Ray's own, which no other test expects
    yield
    ray.shutdown()
