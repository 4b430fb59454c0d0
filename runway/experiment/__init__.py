"""Experiments: run folders, provenance, loggers, training, testing and evaluation of one config.

The names load on first use: preparing data should not pay for lightning.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOMES = {
    "RunwayExperiment": "runway.experiment.experiment",
    "TrainResult": "runway.experiment.results",
    "TestResult": "runway.experiment.results",
    "EvalResult": "runway.experiment.results",
    "ExperimentFolder": "runway.experiment.folders.run_folder",
    "RunFolder": "runway.experiment.folders.run_folder",
    "Interrupted": "runway.experiment.callbacks.interruption",
}
__all__ = sorted(_HOMES)

if TYPE_CHECKING:
    from runway.experiment.callbacks.interruption import Interrupted
    from runway.experiment.experiment import RunwayExperiment
    from runway.experiment.folders.run_folder import ExperimentFolder, RunFolder
    from runway.experiment.results import EvalResult, TestResult, TrainResult


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'runway.experiment' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
