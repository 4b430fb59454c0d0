"""What the modes of an experiment give back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Result:
    """Where a training, a test or an evaluation stands, and what it found.

    Args:
        path: the run's ``train`` or ``test/<suffix>`` folder.
        metrics: of a training, the last value of every logged metric; else what the test and the evaluation
            pipeline computed.
        checkpoint: of a training, the best checkpoint, None where none was saved; of a test, the one that was
            tested; of an evaluation, None.
    """

    path: Path
    metrics: dict[str, Any] = field(default_factory=dict)
    checkpoint: Path | None = None
