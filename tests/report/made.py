"""Runs as they stand on disk, written by hand: what reports and comparisons read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from runway.recorder import EvalRecorder

NAMES = ("NEGATIVE", "POSITIVE")
HOSTILE = "<script>window.hit = 1</script><img src=x onerror='window.hit = 2'></script>"


def made_run(
    root: Path,
    name: str = "made_V0",
    *,
    rows: int = 200,
    seed: int = 0,
    config: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
    **columns: Any,
) -> Path:
    """A finished and tested classification run; ``columns`` go over those that are recorded."""
    rng = np.random.default_rng(0)
    true = rng.integers(0, 2, rows)
    is_right = np.random.default_rng(seed + 1).random(rows) < 0.85
    predicted = np.where(is_right, true, 1 - true)
    recorded = {
        "predicted_class_id": predicted,
        "predicted_class_label": [NAMES[one] for one in predicted],
        "ground_truth_class_id": true,
        "ground_truth_class_label": [NAMES[one] for one in true],
        "probability": np.where(is_right, 0.9, 0.6),
        "loss": np.where(is_right, 0.1, 1.0) + np.arange(rows) / 1e4,
        "text": [HOSTILE if row == 3 else f"review {row}" for row in range(rows)],
        **columns,
    }
    run, test = root / name, root / name / "test" / "default"
    recorder = EvalRecorder("test-evaluation", test)
    recorder.log_sample_dict_batch({name: values for name, values in recorded.items() if values is not None})
    recorder.save_to_disk()
    right = np.asarray(recorded["predicted_class_id"]) == np.asarray(recorded["ground_truth_class_id"])
    metrics = {"accuracy": float(right.mean()), "test_loss": float(np.mean(recorded["loss"])), "odd": 0.123}
    facts = {
        "status": "finished",
        "started": "2026-01-01T10:00:00+0000",
        "ended": "2026-01-01T10:02:05+0000",
        "config": "config.json",
        "experiment": "made",
        "version": int(name.rpartition("V")[2]),
        "overrides": ["train.batch_size=64"],
        "data": {"input:Load": "aa", "process:Tokenize": "bb"},
        "packages": {"torch": "2"},
        **(training or {}),
    }
    nodes = {"input:Load": {"transform_name": "Load"}}
    nodes["process:Tokenize"] = {"transform_name": "<b>Tokenize", "input_node": "input:Load"}  # type: ignore[dict-item]
    settings = {"train": {"batch_size": 64, "lr": 0.1}, "data_pipeline": {"transforms": nodes}, **(config or {})}
    history = [
        {"step": step, "epoch": 0, "metrics": {"train_loss": 1 / (step + 1), "val_loss": 0.5}} for step in range(5)
    ]
    files = {"train/provenance.json": facts, "train/config.json": settings, "train/metrics_history.json": history}
    files["train/timings.json"] = {"steps": 4, "data_seconds": 1.0, "step_seconds": 3.0, "validation_seconds": 0.0}
    files["test/default/provenance.json"] = {**facts, "checkpoint": "best.ckpt"}
    files["test/default/metrics.json"] = metrics
    for file, content in files.items():
        path = run / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
    return run
