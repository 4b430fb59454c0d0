"""``runway report RUN``: one page that shows a run."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from runway.experiment.folders.runs import last_run_path, run_named
    from runway.report.run_report import write_report

    path = run_named(arguments.run, arguments.folder) if arguments.run else last_run_path(arguments.folder)
    target = write_report(path, test=arguments.test, to=Path(arguments.output) if arguments.output else None)
    sys.stdout.write((json.dumps({"report": str(target)}) if arguments.json else str(target)) + "\n")
    return 0
