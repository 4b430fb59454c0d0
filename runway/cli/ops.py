"""``runway ops`` and ``runway show NAME``: the transforms and their settings; ``show`` knows the executors too."""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from pathlib import Path

from runway import registry, user_code
from runway.config.signatures import Setting, describe_settings, first_line
from runway.errors import ConfigError, did_you_mean
from runway.log import table


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    _import_project(arguments.project, "data_ops")
    return _show(arguments) if arguments.command == "show" else _list(arguments)


def _import_project(folder: str | None, kind: str) -> None:
    """The transforms or executors of the project that is stood in, or named."""
    project = Path(folder) if folder else user_code.find_project(Path.cwd() / "here")
    user_code.import_project_code(project, (kind,))
    user_code.tell_broken_modules("what it defines is not listed")


def _list(arguments: argparse.Namespace) -> int:
    known = registry.transforms.names()
    found = [{"name": name, "from": registry.level_of(cls), "doc": first_line(cls)} for name, cls in known.items()]
    for op in found:
        if registry.transforms.behind(op["name"]) is not None:
            op["in_front_of"] = registry.READY_MADE
    if arguments.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        rows = [[op["name"], _origin(op), op["doc"]] for op in found]
        table("", ["transform", "from", "what it does"], rows)
        sys.stdout.write("`runway show NAME` prints every setting of one.\n")
    return 0


def _origin(op: dict[str, str]) -> str:
    return f"{op['from']}, in front of the {op['in_front_of']} one" if "in_front_of" in op else op["from"]


def _show(arguments: argparse.Namespace) -> int:
    known = registry.transforms.names()
    if ":" in arguments.name or arguments.name in known:
        cls = registry.transforms.get(arguments.name)
    else:
        cls = _executor(arguments)
    settings = describe_settings(cls) if _is_transform(cls) else _executor_settings(cls)
    if arguments.json:
        found = {"name": arguments.name, "doc": _own_doc(cls), "settings": [s._asdict() for s in settings]}
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return 0
    behind = registry.transforms.behind(arguments.name) or registry.executors.behind(arguments.name)
    front = f", in front of the ready-made {registry.path_of(behind)}" if behind is not None else ""
    sys.stdout.write(f"{arguments.name}  ({registry.path_of(cls)}){front}\n\n{_own_doc(cls)}\n\n")
    title = "setup_kwargs" if _is_transform(cls) else "executor.init_kwargs"
    if settings:
        table(title, ["setting", "type", "default", "what it does"], settings)
    else:
        sys.stdout.write("It has no settings.\n")
    return 0


def _is_transform(cls: type) -> bool:
    from runway.transforms.base import BaseTransform

    return issubclass(cls, BaseTransform) or not hasattr(cls, "training_step")


def _executor(arguments: argparse.Namespace) -> type:
    """The executor of that name. They are looked at last: importing Lightning takes seconds."""
    _import_project(arguments.project, "executors")
    executors = registry.executors.names()
    if arguments.name not in executors:
        names = [*registry.transforms.names(), *executors]
        raise ConfigError(
            f"there is no transform or executor {arguments.name!r}",
            hint=f"{did_you_mean(arguments.name, names)}; `runway ops` lists the transforms",
        )
    return executors[arguments.name]


def _executor_settings(cls: type) -> list[Setting]:
    """What a config may set: not the sections that the experiment hands over itself."""
    from runway.executors.base_executor import BaseExecutor

    handed_over = set(inspect.signature(BaseExecutor.__init__).parameters) - {"use_data_node"}
    return [setting for setting in describe_settings(cls, "__init__") if setting.name not in handed_over]


def _own_doc(cls: type) -> str:
    """Not the base class's, which speaks of all; without the arguments, which stand in the table."""
    return inspect.cleandoc(vars(cls).get("__doc__") or "").partition("\n\nArgs:\n")[0]
