"""``runway migrate``: say, or write, what a project of the original runway_for_ml becomes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from runway.log import info
from runway.migrate.project import changes, write


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    root = Path(arguments.folder)
    found = changes(root)
    for change in found:
        sys.stdout.write(change.diff(root))
    for change in found:
        for line, text in change.remarks:
            sys.stdout.write(f"{change.file.relative_to(root)}:{line}: {text}\n")
    changed = sum(change.after != change.before for change in found)
    if arguments.write:
        write(found)
    done = "changed" if arguments.write else "would change (nothing is written without --write)"
    info(f"{changed} file{'' if changed == 1 else 's'} {done}")
    return 0
