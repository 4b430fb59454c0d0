"""``runway compare A B``: what differs between runs, and how sure that is."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from runway.experiment.folders.runs import run_named
    from runway.log import info, shown
    from runway.report.compare import compare
    from runway.report.compare_page import comparison_page, print_comparison

    found = compare([run_named(name, arguments.folder) for name in arguments.runs], test=arguments.test)
    if arguments.json:
        sys.stdout.write(json.dumps(found.plain(), indent=2, ensure_ascii=False, default=str) + "\n")
    else:
        print_comparison(found)
    if arguments.html:
        comparison_page(found).write(Path(arguments.html))
        info(f"page: {shown(arguments.html)}")
    return 0
