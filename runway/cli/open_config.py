"""What the commands that take a config share: load it, find the project, import the user's code."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from runway import log
from runway.errors import ConfigError, RunwayError, raise_collected
from runway.user_code import import_project_code

if TYPE_CHECKING:
    from runway.config.config import Config
    from runway.pipeline.graph import Graph

DATA_CODE = ("data_ops",)
ALL_CODE = ("data_ops", "models", "executors")


class Opened(NamedTuple):
    """A config that has been loaded and checked, and the graphs of its pipelines, {where in the config: Graph}."""

    config: Config
    graphs: dict[str, Graph]


def open_config(arguments: argparse.Namespace, code: Iterable[str]) -> Opened:
    """Load the config with its overrides, import the project's modules, and check all that can be checked.

    Args:
        arguments: the parsed command.
        code: which of the project's ``src/`` folders to import.

    Raises:
        ConfigError: something is wrong with it; all there is, collected.
        UserCodeError: a module of the user's does not import.
    """
    from runway.config.check import check_config
    from runway.config.load import load_config
    from runway.pipeline.graph import check_pipelines

    log.set_quiet(arguments.quiet)
    overrides = list(arguments.overrides)
    if getattr(arguments, "experiment_name", None):
        overrides.append(f"experiment_name={json.dumps(arguments.experiment_name)}")
    project = Path(arguments.project) if arguments.project else None
    if project is not None and not project.is_dir():
        raise ConfigError(f"there is no folder {arguments.project!r}", where="--project")
    config = load_config(arguments.config, overrides, project=project, check=False)
    source = config.loaded_from
    assert source is not None
    errors: list[RunwayError] = [*check_config(config, source.path)]
    meta = config.get("meta") or {}
    try:
        import_project_code(source.project, code, meta.get("user_modules") or ())
        graphs, found = check_pipelines(config)
        errors += found
    except RunwayError as error:  # a module that does not import: what its transforms are cannot be known
        errors.append(error)
    raise_collected(errors, where=str(arguments.config))
    for warning in source.warnings:
        log.warning(warning)
    return Opened(config, graphs)
