"""runway: a config-driven research framework with a cached data DAG.

The public names load on first use, so that ``import runway`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "BaseTransform": "runway.transforms.base",
    "RowWiseTransform": "runway.transforms.base",
    "HFDatasetTransform": "runway.transforms.base",
    "register_transform_functor": "runway.registry",
    "transform": "runway.registry",
    "register_executor": "runway.registry",
    "load_config": "runway.config",
    "Config": "runway.config",
    "EvalRecorder": "runway.recorder",
    "load_metric": "runway.metrics",
    "DataPipeline": "runway.pipeline",
    "BaseExecutor": "runway.executors",
    "RunwayExperiment": "runway.experiment",
    "last_run_path": "runway.experiment.folders.runs",
    "load_run": "runway.experiment.loading_runs",
    "RunwayError": "runway.errors",
}
__all__ = sorted([*_HOMES, "__version__"])

if TYPE_CHECKING:
    from runway.config import Config, load_config
    from runway.errors import RunwayError
    from runway.executors import BaseExecutor
    from runway.experiment import RunwayExperiment
    from runway.experiment.folders.runs import last_run_path
    from runway.experiment.loading_runs import load_run
    from runway.metrics import load_metric
    from runway.pipeline import DataPipeline
    from runway.recorder import EvalRecorder
    from runway.registry import register_executor, register_transform_functor, transform
    from runway.transforms.base import BaseTransform, HFDatasetTransform, RowWiseTransform


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'runway' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
