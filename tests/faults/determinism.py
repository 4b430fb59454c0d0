"""The determinism driver: ``python -m tests.faults.determinism FOLDER SEED [RUNS]``.

One config with one seed, in processes of different hash seeds, time zones, locales, umasks and runners: the same keys,
the same entries byte for byte, and the same ``metrics.json`` of a small training and its test. The entries are those of
every format, of transforms that hold sets of texts or draw random numbers, and of ready-made transforms.
"""

from __future__ import annotations

import json
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

OWN_CODE = """
import random
from runway import BaseTransform, RowWiseTransform, register_transform_functor

WORDS = [f"word {number}" for number in range(40)]

class Word:
    def __init__(self, text):
        self.text, self.near = text, set()

class Named(set):
    pass

@register_transform_functor
class Sets(BaseTransform):
    def _call(self, data):
        words = [Word(text) for text in WORDS[:5]]
        for word in words:
            word.near = {other for other in words if other is not word}
        return {
            "texts": set(WORDS), "in a tuple": (1, frozenset(WORDS[:9])), "mixed": {1, "a", None, 2.5, (3, "b"), b"c"},
            "named": Named(WORDS), "objects": words, "nested": {frozenset(WORDS[:3]), frozenset(WORDS[3:5])},
        }

@register_transform_functor
class Seen(BaseTransform):
    def _call(self, data):
        return sorted(data["texts"])

@register_transform_functor
class Drawn(BaseTransform):
    def _call(self, data):
        return [random.random() for _ in range(5)] + random.sample(WORDS, 5)

@register_transform_functor
class HeavyDrawn(BaseTransform):
    def _call(self, data):
        import numpy, torch
        from datasets import Dataset, DatasetDict
        order = torch.randperm(len(WORDS)).tolist()
        rows = [{"text": WORDS[n], "label": "odd" if n % 2 else "even", "x": numpy.random.normal()} for n in order]
        return DatasetDict({"train": Dataset.from_list(rows)})

@register_transform_functor
class Letters(RowWiseTransform):
    def _call(self, number, row):
        return {**row, "letters": set(row["text"]), "inside": {"of": [set(row["text"])]}}
"""
OWN_NODES = {
    "output:sets": {"transform_name": "Sets"},
    "output:seen": {"transform_name": "Seen", "input_node": "output:sets"},
    "output:drawn": {"transform_name": "Drawn"},
}
READY_MADE = {
    "input:rows": {"transform_name": "HeavyDrawn"},
    "process:letters": {"transform_name": "Letters", "input_node": "input:rows"},
    "process:parts": {
        "transform_name": "SplitHFDatasetToTrainTestValidation",
        "input_node": "process:letters",
        "setup_kwargs": {"test_size": 0.2, "valid_size": 0.2},
    },
    "process:labels": {"transform_name": "EncodeLabels", "input_node": "process:parts"},
    "output:chosen": {
        "transform_name": "SelectRows",
        "input_node": "process:labels",
        "setup_kwargs": {"num_rows": 10, "shuffle": True, "balance_column": "label"},
    },
    "output:kept": {
        "transform_name": "FilterRows",
        "input_node": "process:labels",
        "setup_kwargs": {"drop_duplicates": ["text"]},
    },
    "output:tokenizer": {
        "transform_name": "TrainTokenizer",
        "input_node": "process:labels",
        "setup_kwargs": {"vocab_size": 44, "columns": ["text"], "min_frequency": 1},
    },
}


def write_project(project: Path, kinds: Iterable[str], *, heavy: bool) -> None:
    """A project with every format, sets, random numbers and, if ``heavy``, ready-made transforms over rows."""
    prepared.write_project(project, kinds)
    (project / "src/data_ops/own.py").write_text(OWN_CODE, encoding="utf-8")
    config = json.loads((project / "killed.jsonnet").read_text())
    config["data_pipeline"]["transforms"] |= {**OWN_NODES, **(READY_MADE if heavy else {})}
    (project / "killed.jsonnet").write_text(json.dumps(config), encoding="utf-8")


def environments(chance: random.Random) -> dict[str, str]:
    """One of many."""
    return {
        "PYTHONHASHSEED": str(chance.randrange(1 << 32)),
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


def prepares(
    folder: Path,
    seed: int,
    runs: int,
    kinds: Iterable[str],
    runners: Iterable[list[str]] = RUNNERS,
    *,
    heavy: bool = True,
) -> int:
    """Prepare so many times; raise where an entry differs. Gives how many entries were compared.

    Each run has a project of its own, at another path. ``heavy``: with ready-made transforms over rows.
    """
    kinds = list(kinds)
    chance = random.Random(seed)
    runners = list(runners)
    first: dict[str, bytes] = {}
    compared = 0
    for number in range(runs):
        project = folder / f"prepare {number}"
        write_project(project, kinds, heavy=heavy)
        environment, umask = environments(chance), chance.choice([0o022, 0o077, 0o002])
        runner = runners[number % len(runners)]
        call(project, ["-m", "runway", "prepare", "killed.jsonnet", "--runner", *runner], environment, umask)
        found = prepared.kept(project / "cache")
        found = {name: data for name, data in found.items() if not name.startswith("snapshots")}  # which Ray needs
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
