"""Read back what `run_experiment.sh` left and fail where a part is missing: `python scripts/check_demo.py FOLDER`."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

METRICS = ("accuracy", "precision", "recall", "f1")


def main(folder: Path) -> None:
    """Check the one run in a folder of experiments.

    Raises:
        SystemExit: A file is missing, or a metric is not a number between 0 and 1.
    """
    runs = sorted(folder.glob("*_V*"))
    if len(runs) != 1:
        raise SystemExit(f"one run was expected in {folder}, but there are {[run.name for run in runs]}")
    run = runs[0]
    for pattern in (
        "train/config.json",
        "train/provenance.json",
        "train/saved_models/*.ckpt",
        "test/*/config.json",
        "test/*/metrics.json",
        "report.html",
    ):
        if not list(run.glob(pattern)):
            raise SystemExit(f"the run has no {pattern}; it has {sorted(map(str, run.rglob('*.json')))}")
    metrics = json.loads(next(run.glob("test/*/metrics.json")).read_text(encoding="utf-8"))
    found = {name: numbers_under(metrics, name) for name in METRICS}
    for name, values in found.items():
        if not values:
            raise SystemExit(f"metrics.json has no {name}: {metrics}")
        for value in values:
            if not (math.isfinite(value) and 0 <= value <= 1):
                raise SystemExit(f"{name} must be between 0 and 1, but is {value} instead")
    print(f"{run.name}: " + ", ".join(f"{name} {values[0]:.3f}" for name, values in found.items()))


def numbers_under(value: object, name: str) -> list[float]:
    """Every number that stands under a key with this name, however deep and whatever its prefix."""
    if not isinstance(value, dict):
        return []
    found: list[float] = []
    for key, part in value.items():
        if key.split("/")[-1] == name and isinstance(part, int | float):
            found.append(float(part))
        found += numbers_under(part, name)
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]))
