"""``runway blame A B``: what differs between two runs, and what each difference changes."""

from __future__ import annotations

import argparse
import json
import sys


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from runway.experiment.folders.read_run import read_run
    from runway.experiment.folders.runs import run_named
    from runway.report.blame import blame
    from runway.report.blame_table import print_blame

    paths = [run_named(name, arguments.folder) for name in (arguments.first, arguments.second)]
    found = blame(*(read_run(path, arguments.test) for path in paths))
    if arguments.json:
        sys.stdout.write(json.dumps(found.plain(), indent=2, ensure_ascii=False, default=str) + "\n")
    else:
        print_blame(found)
    return 0
