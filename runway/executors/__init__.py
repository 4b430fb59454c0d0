"""The executors: LightningModules that train, validate and test, fed by a pipeline. Names load on first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOMES = {
    "BaseExecutor": "runway.executors.base_executor",
    "MultiTaskExecutor": "runway.executors.multi_task.executor",
    "Seq2SeqExecutor": "runway.executors.seq2seq.executor",
    "TextClassificationExecutor": "runway.executors.text_classification",
    "OnNaN": "runway.executors.callbacks.on_nan",
    "best_precision": "runway.executors.precision",
    "run_eval_pipeline": "runway.executors.eval_pipeline",
    "register_executor": "runway.registry",
}
__all__ = sorted(_HOMES)

if TYPE_CHECKING:
    from runway.executors.base_executor import BaseExecutor
    from runway.executors.callbacks.on_nan import OnNaN
    from runway.executors.eval_pipeline import run_eval_pipeline
    from runway.executors.multi_task.executor import MultiTaskExecutor
    from runway.executors.precision import best_precision
    from runway.executors.seq2seq.executor import Seq2SeqExecutor
    from runway.executors.text_classification import TextClassificationExecutor
    from runway.registry import register_executor


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'runway.executors' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
