"""``runway freeze C``: what a config comes to goes on record; ``--check`` says what has moved since."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from runway import log
from runway.log import shown


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from runway.testing.freeze import freeze, record_file, told

    log.set_quiet(arguments.quiet)
    if not arguments.check:
        sys.stdout.write(f"{shown(freeze(arguments.config, arguments.overrides))}\n")
        return 0
    moved = told(record_file(Path(arguments.config)))
    sys.stdout.write(f"{moved or 'nothing has moved'}\n")
    return int(moved is not None)
