"""What runs a plan: one file a way to run it, and one line in RUNNERS."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from runway import registry
from runway.config.annotations import require
from runway.errors import ConfigError, did_you_mean, must_be_known

if TYPE_CHECKING:
    from runway.pipeline.runners.base import Runner

RUNNERS = {
    "serial": "runway.pipeline.runners.serial:SerialRunner",
    "processes": "runway.pipeline.runners.processes:ProcessesRunner",
    "ray": "runway.pipeline.runners.ray:RayRunner",
}
"""{what ``meta.runner`` and ``--runner`` take: the class}."""
WHERE = "meta.runner"


class Choice(NamedTuple):
    """A runner that was chosen, and what was said of it."""

    runner: type[Runner]
    options: Mapping[str, Any]


def choose(setting: Any) -> Choice:
    """The runner that a setting names.

    Args:
        setting: ``meta.runner``: a name, or ``{name, workers, …}``; None is the serial one.

    Raises:
        ConfigError: there is no such runner, or it takes no such option.
    """
    options = {"name": setting} if isinstance(setting, str) else dict(setting or {"name": "serial"})
    name = options.pop("name", None)
    if name is None:
        hint = f"{WHERE}: {{ name: 'processes', … }}; there are {', '.join(RUNNERS)}"
        raise ConfigError("the runner has no `name`", where=WHERE, hint=hint)
    cls: type[Runner]
    if name in RUNNERS:
        module, _, attribute = RUNNERS[name].partition(":")
        cls = getattr(importlib.import_module(module), attribute)
    else:
        cls = registry.extension("runner", name)
        if cls is None:
            known = {*RUNNERS, *registry.EXTENSIONS["runner"]}
            raise ConfigError(f"there is no runner {name!r}", where=WHERE, hint=did_you_mean(name, known))
    must_be_known(options, cls.OPTIONS, f"the runner {name!r} has no option", where=WHERE)
    for option, value in options.items():
        require(value, cls.OPTIONS[option], option, WHERE)
    return Choice(cls, options)
