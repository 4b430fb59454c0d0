"""What a user waits for before anything happens: `runway --help`, `runway prepare` where all is cached, `runway plan`,
`runway inspect` of a cached node, and `runway runs` of a thousand.

    python benchmarks/startup.py [--quick] [--json FILE]

The floor is `python -c "import _gojsonnet"`: an interpreter with the jsonnet engine and nothing else. Each run is a
new process; the commands take turns, and the medians are shown with their ratio to the floor and to the goals.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "competitors"))

from harness import Job  # noqa: E402 - beside this script, not installed
from with_runway import write_project  # noqa: E402

GOALS = {
    "runway --help": 0.12,
    "runway prepare, 5 cached nodes": 0.20,
    "runway plan, the IMDb config": 0.5,
    "runway inspect, 10,000 rows": 1.0,
    "runway runs, 1,000 runs": 1.0,
}
ROWS = """\
from runway import BaseTransform, register_transform_functor


@register_transform_functor
class Rows(BaseTransform):
    def _call(self, data):
        from datasets import Dataset

        return {"train": Dataset.from_dict({"text": ["some words"] * 10_000, "label": [0, 1] * 5_000})}
"""


def write_runs(folder: Path, count: int = 1000) -> None:
    """Runs as they stand on disk, each with the records that a list of runs is made of, in their usual sizes."""
    packages = {f"some-package-{number}": "1.2.3" for number in range(250)}
    facts = {"status": "finished", "config": "config.json", "experiment": "many", "packages": packages}
    facts |= {"started": "2026-01-01T10:00:00+0000", "ended": "2026-01-01T10:02:05+0000"}
    config = {"train": {"batch_size": 8}, "own": {f"setting_{number}": number for number in range(300)}}
    for version in range(count):
        files = {"train/provenance": facts, "train/config": config, "test/default/provenance": facts}
        files["test/default/metrics"] = {"accuracy": version / count, "f1": 0.5}
        for name, content in files.items():
            path = folder / f"many_V{version}" / f"{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content, indent=2), encoding="utf-8")


def runway_command() -> list[str]:
    """The console script beside this interpreter, which is what users run; the module where it is not installed."""
    script = Path(sys.executable).parent / "runway"
    return [str(script)] if script.exists() else [sys.executable, "-m", "runway"]


def seconds_of(command: Sequence[str], folder: Path) -> float:
    """Run a command to its end in a folder and give its wall-clock.

    Raises:
        SystemExit: It failed; with what it printed.
    """
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent), "HF_HUB_OFFLINE": "1", "WANDB_MODE": "offline"}
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    elapsed = time.perf_counter() - started
    if done.returncode != 0:
        raise SystemExit(f"`{' '.join(command)}` ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return elapsed


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="5 runs of each instead of 20")
    parser.add_argument("--json", type=Path, help="write every figure there too")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="runway-bench-") as scratch:
        folder = Path(scratch)
        config = write_project(Job("chain", 5, cached=True, folder=folder))
        imdb = str(HERE.parent / "configs/imdb_classification/exp_config.jsonnet")
        (folder / "rows/src/data_ops").mkdir(parents=True)
        (folder / "rows/src/data_ops/rows.py").write_text(ROWS, encoding="utf-8")
        rows = folder / "rows/config.jsonnet"
        pipeline = {"transforms": {"output:Rows": {"transform_name": "Rows"}}}
        rows.write_text(json.dumps({"experiment_name": "rows", "data_pipeline": pipeline}), encoding="utf-8")
        write_runs(folder / "runs")
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "python -c 'import _gojsonnet'": [sys.executable, "-c", "import _gojsonnet"],
            "runway --help": [*runway_command(), "--help"],
            "runway prepare, 5 cached nodes": [*runway_command(), "prepare", str(config)],
            "runway plan, the IMDb config": [*runway_command(), "plan", imdb],
            "runway inspect, 10,000 rows": [*runway_command(), "inspect", str(rows), "output:Rows", "--head", "5"],
            "runway runs, 1,000 runs": [*runway_command(), "runs", str(folder / "runs"), "--sort", "accuracy"],
        }
        for command in commands.values():  # unmeasured: fills the cache, compiles what is not compiled yet
            seconds_of(command, folder)
        figures: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(5 if options.quick else 20):
            for name, command in commands.items():
                figures[name].append(seconds_of(command, folder))

    floor = median(figures["python -c 'import _gojsonnet'"])
    print(f"{'':32}{'median s':>10}{'best s':>10}{'/ floor':>10}{'goal s':>10}{'/ goal':>10}")
    for name, values in figures.items():
        goal = GOALS.get(name)
        to_goal = f"{goal:>10.2f}{median(values) / goal:>10.2f}" if goal else f"{'':>20}"
        print(f"{name:32}{median(values):>10.3f}{min(values):>10.3f}{median(values) / floor:>10.2f}{to_goal}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
