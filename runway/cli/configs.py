"""``runway config``: the resolved config, or what differs between two."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from runway import log
from runway.config.load import load_config
from runway.config.reads import ABSENT
from runway.config.rendering import diff, render
from runway.masking import hidden


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    log.set_quiet(arguments.quiet)
    project = Path(arguments.project) if arguments.project else None
    check = not arguments.no_check
    config = load_config(arguments.config, arguments.overrides, project=project, check=check)
    for warning in config.loaded_from.warnings if config.loaded_from is not None else ():
        log.warning(warning)
    if not arguments.diff:
        sys.stdout.write(render(hidden(config)))
        return 0
    other = load_config(arguments.diff, project=project, check=check)
    differences = [
        (key, *(side if side is ABSENT else hidden(side, key.rpartition(".")[2]) for side in sides))
        for key, *sides in diff(other, config)
    ]
    if arguments.json:  # a key that one of them does not have has no "old" or no "new"
        sides = [{"key": key, "old": old, "new": new} for key, old, new in differences]
        found = [{name: value for name, value in side.items() if value is not ABSENT} for side in sides]
        sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    elif differences:
        rows = [(key, _text(old), _text(new)) for key, old, new in differences]
        log.table("", ["key", arguments.diff, arguments.config], rows)
    else:
        sys.stdout.write("no difference\n")
    return 0


def _text(value: object) -> str:
    return "(absent)" if value is ABSENT else json.dumps(value, ensure_ascii=False, default=str)
