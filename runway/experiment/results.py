"""What the modes of an experiment give back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class TrainResult:
    """Where a training stands and how it ended.

    Args:
        path: the run's ``train`` folder.
        metrics: the last value of every logged metric.
        checkpoint: the best checkpoint; None where none was saved.
    """

    path: Path
    metrics: dict[str, float] = field(default_factory=dict)
    checkpoint: Path | None = None


@dataclass(frozen=True)
class TestResult:
    """What a test found.

    Args:
        path: the ``test/<suffix>`` folder.
        metrics: what the test and the evaluation pipeline computed.
        checkpoint: the checkpoint that was tested.
    """

    path: Path
    metrics: dict[str, Any] = field(default_factory=dict)
    checkpoint: Path | None = None


@dataclass(frozen=True)
class EvalResult(TestResult):
    """What an evaluation of a saved recorder found; ``checkpoint`` is None."""
