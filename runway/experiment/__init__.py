"""Experiments: run folders, provenance, loggers, training, testing and evaluation of one config.

The names load on first use: finding a run should not pay for the pipeline.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOMES = {
    "RunwayExperiment": "runway.experiment.experiment",
    "Result": "runway.experiment.context",
    "ExperimentFolder": "runway.experiment.folders.run_folder",
    "RunFolder": "runway.experiment.folders.run_folder",
    "Interrupted": "runway.errors",
}
__all__ = sorted(_HOMES)

if TYPE_CHECKING:
    from runway.errors import Interrupted
    from runway.experiment.context import Result
    from runway.experiment.experiment import RunwayExperiment
    from runway.experiment.folders.run_folder import ExperimentFolder, RunFolder


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'runway.experiment' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
