"""``runway ops`` and ``runway show NAME``: the transforms and their settings."""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from pathlib import Path

from runway import registry
from runway.log import table
from runway.transforms.settings import describe_settings, first_line


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    _import_project(arguments.project)
    return _show(arguments) if arguments.command == "show" else _list(arguments)


def _import_project(folder: str | None) -> None:
    """The transforms of the project that is stood in, or named."""
    project = Path(folder) if folder else registry.find_project(Path.cwd() / "here")
    registry.import_project_code(project, ("data_ops",))


def _list(arguments: argparse.Namespace) -> int:
    known = registry.transforms.names()
    rows = [[name, registry.level_of(cls), first_line(cls)] for name, cls in known.items()]
    if arguments.json:
        found = [{"name": name, "from": level, "doc": doc} for name, level, doc in rows]
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        table("", ["transform", "from", "what it does"], rows)
        sys.stdout.write("`runway show NAME` prints every setting of one.\n")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    cls = registry.transforms.get(arguments.name)
    settings = describe_settings(cls)
    if arguments.json:
        found = {"name": arguments.name, "doc": _own_doc(cls), "settings": [s._asdict() for s in settings]}
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return 0
    sys.stdout.write(f"{arguments.name}  ({cls.__module__}:{cls.__qualname__})\n\n{_own_doc(cls)}\n\n")
    if settings:
        table("setup_kwargs", ["setting", "type", "default", "what it does"], settings)
    else:
        sys.stdout.write("It has no settings.\n")
    return 0


def _own_doc(cls: type) -> str:
    """Not the base class's: that speaks of transforms in general."""
    return inspect.cleandoc(vars(cls).get("__doc__") or "")
