"""Seed 004's composite sine, by the command that its config names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Project

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
def test_composite_sine(project: Project) -> None:
    for path in ("configs/multi_task/composite_sine.jsonnet", "src/data_ops/composite_sine.py"):
        project.write(path, (ROOT / path).read_text(encoding="utf-8"))
    project.run("run", "configs/multi_task/composite_sine.jsonnet", timeout=400)
    test = project.path / "experiments/multi_task/composite_sine_V0/test/default_test"
    metrics = json.loads((test / "metrics.json").read_text())
    assert metrics["test_slow_r_squared"] > 0.9
    assert metrics["test_fast_r_squared"] > 0.8
    evaluated = project.run("eval", "configs/multi_task/composite_sine.jsonnet", "tasks.slow.metrics=[mae]")
    assert "test_slow_mae" in evaluated.output
