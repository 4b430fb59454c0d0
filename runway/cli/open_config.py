"""What the commands that take a config share: load it, find the project, import the user's code."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from runway import log
from runway.errors import ConfigError, RunwayError, raise_collected
from runway.registry import tell_what_is_not_needed
from runway.user_code import import_project_code

if TYPE_CHECKING:
    from runway.config.config import Config
    from runway.pipeline import DataPipeline
    from runway.pipeline.graph import Graph

DATA_CODE = ("data_ops",)
ALL_CODE = ("data_ops", "models", "executors")

# command: which evaluation pipelines it may run, which are checked with the others; `prepare` and its like run none
AFTER_A_TEST: tuple[str, ...] = ("test_eval_pipeline_config", "pipeline_config")
EVALUATIONS = dict.fromkeys(("train", "run", "sweep", "submit"), ("valid_eval_pipeline_config", *AFTER_A_TEST))
EVALUATIONS |= {"test": AFTER_A_TEST, "eval": AFTER_A_TEST}


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
    from runway.config.check import check_config, check_value
    from runway.config.load import load_config
    from runway.pipeline.graph import check_pipelines

    log.set_quiet(arguments.quiet)
    overrides = list(arguments.overrides)
    if getattr(arguments, "experiment_name", None):
        overrides.append(f"experiment_name={json.dumps(arguments.experiment_name)}")
    if getattr(arguments, "test_suffix", None):
        overrides.append(f"test_suffix={json.dumps(arguments.test_suffix)}")
    project = Path(arguments.project) if arguments.project else None
    if project is not None and not project.is_dir():
        raise ConfigError(f"there is no folder {arguments.project!r}", where="--project")
    config = load_config(arguments.config, overrides, project=project, check=False)
    source = config.loaded_from
    assert source is not None
    _take_runner(config, arguments)
    errors: list[RunwayError] = [*check_config(config, source.path)]
    if check_value(config.get("meta") or {}, ("meta",)) is not None:
        raise_collected(errors, where=str(arguments.config))  # which modules to import is not known
    meta = config.get("meta") or {}
    try:
        import_project_code(source.project, code, meta.get("user_modules") or (), meta.get("trusted_packages") or ())
        graphs, found = check_pipelines(config, EVALUATIONS.get(arguments.command, ()))
        errors += found
    except RunwayError as error:  # a module that does not import: what its transforms are cannot be known
        errors.append(error)
    raise_collected(errors, where=str(arguments.config))
    if hasattr(arguments, "break_at"):
        from runway.pipeline import debugger

        nodes = {name for graph in graphs.values() for name in graph.nodes}
        debugger.ask(arguments.break_at, post_mortem=arguments.pdb, nodes=nodes)
    for warning in source.warnings:
        log.warning(warning)
    tell_what_is_not_needed()
    return Opened(config, graphs)


class OpenedPipeline(NamedTuple):
    """A config's data pipeline, and what was asked of it.

    Attributes:
        pipeline: the pipeline.
        nodes: those that are asked for; None: the outputs.
        config: the config.
    """

    pipeline: DataPipeline
    nodes: list[str] | None
    config: Config


def open_data_pipeline(arguments: argparse.Namespace) -> OpenedPipeline:
    """``open_config``, and the data pipeline with what ``--nodes``, ``--until``, ``--force`` say.

    Raises:
        ConfigError: something is wrong with it, or there is none.
    """
    config, graphs = open_config(arguments, DATA_CODE)
    if not config.get("data_pipeline"):
        raise ConfigError("the config has no `data_pipeline`", where=arguments.config)
    from runway.pipeline import DataPipeline
    from runway.pipeline.plan import Force

    dummy = getattr(arguments, "use_dummy_data", False)
    force = Force(tuple(arguments.force), time.time()) if getattr(arguments, "force", None) else None
    graph = graphs["data_pipeline"]
    pipeline = DataPipeline(
        config["data_pipeline"], config, use_dummy_data=dummy or None, graph=graph, live=False, force=force
    )
    nodes: list[str] | None = getattr(arguments, "nodes", None)
    until: str | None = getattr(arguments, "until", None)
    if until is not None and nodes:
        raise ConfigError("--until and --nodes contradict each other", where="--until", hint="leave one out")
    return OpenedPipeline(pipeline, nodes if until is None else [until], config)


def _take_runner(config: Config, arguments: argparse.Namespace) -> None:
    """``--runner`` and ``--workers`` stand for ``meta.runner``; what that says of the same runner stays."""
    name, workers = getattr(arguments, "runner", None), getattr(arguments, "workers", None)
    meta = config.setdefault("meta", {}) if name or workers else None
    if not isinstance(meta, dict):
        return
    given = meta.get("runner")
    chosen = dict(given) if isinstance(given, dict) else {"name": given or "serial"}
    if name and name != chosen.get("name"):
        chosen = {"name": name}
    elif not name and chosen.get("name") == "serial":  # N workers are meant to be some
        chosen = {"name": "processes"}
    meta["runner"] = chosen | ({"workers": workers} if workers else {})
    source = config.loaded_from
    assert source is not None
    told = f"meta.runner={json.dumps(meta['runner'])}"
    config.loaded_from = source._replace(overrides=(*source.overrides, told))
