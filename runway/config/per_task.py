"""A setting that is given once for all tasks, or once for each of them: ``32``, or ``{reviews: 16, snippets: 64}``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from runway.errors import must_be_known

SHARED = "shared"
"""What stands beside the tasks' names, in settings of the optimiser, for the parameters that several tasks train."""

RESERVED = (SHARED, "mean", "name", "kwargs")
"""Names that mean something else where a task's name may stand."""


def tasks_of(config: Mapping[str, Any] | None) -> list[str]:
    """The names of a config's ``tasks``; empty where it has none."""
    section = (config or {}).get("tasks")
    return [str(name) for name in section] if isinstance(section, Mapping) else []


def is_per_task(value: Any, names: Collection[str]) -> bool:
    """Whether a value is an object with a value for each task; one that names no task at all is a value itself."""
    return isinstance(value, Mapping) and any(name in names for name in value)


def for_each(value: Any, names: Iterable[str], default: Any = None, *, where: str) -> dict[str, Any]:
    """``{name: value}``, of a setting that is given once or per task.

    Args:
        value: as the config gives it.
        names: the tasks'.
        default: the value of a task that the setting leaves out, or gives as null.
        where: the setting, for the error.

    Raises:
        ConfigError: it has a key that is no task.
    """
    names = list(names)
    if not is_per_task(value, names):
        return {name: default if value is None else value for name in names}
    must_be_known(value, names, "there is no task", where=where)
    return {name: default if value.get(name) is None else value[name] for name in names}
