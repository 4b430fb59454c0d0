"""``runway runs``: which runs there are, what they reached, and where the last one is."""

from __future__ import annotations

import argparse
import json
import sys

from runway.disk import expanded
from runway.log import table


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    root = expanded(arguments.folder)
    if arguments.last:
        from runway.experiment.folders.runs import last_run_path

        path = last_run_path(root)
        sys.stdout.write((json.dumps({"path": str(path)}) if arguments.json else str(path)) + "\n")
        return 0
    from runway.report.run_list import HEADS, list_rows, list_runs, main_metrics

    runs = list_runs(root, where=arguments.where, sort=arguments.sort)
    if arguments.json:
        sys.stdout.write(json.dumps([one.plain() for one in runs], indent=2, ensure_ascii=False) + "\n")
        return 0
    columns = arguments.columns or main_metrics(runs)
    if arguments.sort and arguments.sort not in columns:
        columns = [arguments.sort, *columns]
    rows = [["" if value is None else value for value in row] for row in list_rows(runs, columns)]
    count = f"{len(rows)} runs" if len(rows) != 1 else "1 run"
    table(f"{count} in {root.resolve()}", [*HEADS[0], *columns, *HEADS[1]], rows)
    return 0
