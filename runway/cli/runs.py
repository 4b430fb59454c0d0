"""``runway runs``: which runs there are, and where the last one is."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runway.errors import ExperimentError
from runway.experiment.folders.runs import find_runs, last_run_path
from runway.log import table


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    root = Path(arguments.folder).expanduser()
    if arguments.last:
        path = last_run_path(root)
        sys.stdout.write((json.dumps({"path": str(path)}) if arguments.json else str(path)) + "\n")
        return 0
    runs = find_runs(root)
    if not root.is_dir():
        raise ExperimentError("there is no such folder", where=str(root.resolve()), hint="it is meta.EXPERIMENT_FOLDER")
    facts = [
        {
            "run": found.path.name,
            "status": found.training.get("status", "not trained"),
            "started": found.training.get("started", ""),
            "tests": list(found.tests),
            "other_tests": dict(found.other_tests),
            "path": str(found.path.resolve()),
        }
        for found in runs
    ]
    if arguments.json:
        sys.stdout.write(json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
        return 0
    rows = [[fact["run"], fact["status"], fact["started"], _tests(fact)] for fact in facts]
    count = f"{len(rows)} runs" if len(rows) != 1 else "1 run"
    table(f"{count} in {root.resolve()}", ["run", "training", "started", "tests"], rows)
    return 0


def _tests(fact: Mapping[str, Any]) -> str:
    return ", ".join([*fact["tests"], *(f"{name} ({status})" for name, status in fact["other_tests"].items())])
