"""The determinism driver: ``python -m tests.faults.determinism FOLDER SEED [RUNS]``.

One config with one seed, in processes of different hash seeds, time zones, locales, umasks and runners: the same keys,
the same entries byte for byte, and the same ``metrics.json`` of a small training and its test.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from tests.faults import prepared, storage

ROOT = Path(__file__).resolve().parents[2]
RUNNERS = (
    ["serial"],
    ["processes", "--workers", "1"],
    ["processes", "--workers", "2"],
    ["processes", "--workers", "3"],
)
RAY = ["ray", "--workers", "2"]
TRAIN = """
import sys
from runway.cli.app import main
from tests.faults import stopped_training
sys.exit(main(["train", "stopped.jsonnet"]) or main(["test", "stopped.jsonnet"]))
"""


def environments(chance: random.Random) -> dict[str, str]:
    """One of many."""
    return {
        "PYTHONHASHSEED": chance.choice(["0", "1", "random"]),
        "TZ": chance.choice(["UTC", "Asia/Tokyo", "America/St_Johns"]),
        "LC_ALL": chance.choice(["C", "C.UTF-8", "POSIX"]),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }


def call(project: Path, command: list[str], environment: dict[str, str], umask: int) -> None:
    """Run Python in a project; raise where it fails."""
    result = subprocess.run(
        [sys.executable, *command],
        cwd=project, env={**os.environ, **environment}, umask=umask, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, f"{command} with {environment}: {result.stdout}{result.stderr}"


def prepares(folder: Path, seed: int, runs: int, kinds: Iterable[str], runners: Iterable[list[str]] = RUNNERS) -> int:
    """Prepare so many times; raise where an entry differs. Gives how many entries were compared.

    Each run has a project of its own, at another path.
    """
    chance = random.Random(seed)
    runners = list(runners)
    first: dict[str, bytes] = {}
    compared = 0
    for number in range(runs):
        project = folder / f"prepare {number}"
        prepared.write_project(project, kinds)
        environment, umask = environments(chance), chance.choice([0o022, 0o077, 0o002])
        runner = runners[number % len(runners)]
        call(project, ["-m", "runway", "prepare", "killed.jsonnet", "--runner", *runner], environment, umask)
        found = prepared.kept(project / "cache")
        told = prepared.differences(first or found, found)
        assert not told, f"{runner} with {environment}, umask {umask:o}: {told}"
        first = first or found
        compared += sum(name.endswith("meta.json") for name in found)
    return compared


def trainings(folder: Path, seed: int, runs: int) -> int:
    """Train and test so many times; raise where a ``metrics.json`` differs. Gives how many were compared."""
    from tests.faults.stopped_training import stopped_config  # torch and Lightning take seconds

    chance = random.Random(seed)
    first: dict[str, bytes] = {}
    compared = 0
    for number in range(runs):
        project = folder / f"training {number}"
        stopped_config(project, "by metric")
        environment, umask = environments(chance), chance.choice([0o022, 0o077, 0o002])
        call(project, ["-c", TRAIN], environment, umask)
        runs_folder = project / "runs"
        found = {
            path.relative_to(runs_folder).as_posix(): path.read_bytes() for path in runs_folder.rglob("metrics.json")
        }
        assert found, f"{runs_folder} has no metrics.json"
        told = prepared.differences(first or found, found)
        assert not told, f"with {environment}, umask {umask:o}: {told}"
        first = first or found
        compared += len(found)
    return compared


if __name__ == "__main__":
    target, first_seed, wanted = Path(sys.argv[1]).resolve(), int(sys.argv[2]), int([*sys.argv, "8"][3])
    shutil.rmtree(target, ignore_errors=True)
    started = time.monotonic()
    entries = prepares(target, first_seed, wanted, storage.values())
    print(f"{entries} entries of {wanted} prepares, none another; {time.monotonic() - started:.0f} s", flush=True)
    tables = trainings(target, first_seed, max(2, wanted // 2))
    print(f"{tables} metrics.json of {max(2, wanted // 2)} trainings and tests, none another", flush=True)
