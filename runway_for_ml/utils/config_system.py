"""The functions of an old ``main.py``: arguments, the config with what they say, the project's modules."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from runway.config import Config, load_config
from runway.config.check import check_config
from runway.errors import raise_collected
from runway.user_code import find_project, import_project_code

__all__ = ["add_runway_sys_args", "get_config_from_json", "import_user_modules", "parse_config", "read_config"]

_loaded_of: list[Path] = []  # the project of the config that was loaded last

KINDS = ("data_ops", "models", "executors")


def get_config_from_json(json_file: str | Path) -> Config:
    """The config in a file."""
    return _load(json_file, ())


read_config = get_config_from_json


def add_runway_sys_args(arg_parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the arguments that every ``main.py`` takes."""
    add = arg_parser.add_argument
    add("--config", metavar="config_json_file", help="the experiment's config file")
    add("--experiment_name", default="", help="instead of the config's")
    add("--from_experiment", default="", help="kept in the config; nothing reads it")
    add("--test_suffix", default="", help="the name of the test's folder")
    add("--mode", default="prepare_data", help="prepare_data, train, test or eval")
    add("--reset", action="store_true", help="delete the experiment's versions first")
    add("--override", action="store_true", help="do not ask before deleting")
    add("--tags", nargs="*", default=[], help="tags for the run and for wandb")
    add("--modules", nargs="+", default=[], help="further entries of model_config.modules")
    add("--use_dummy_data", action="store_true", help="load a few rows only")
    add("--opts", nargs=argparse.REMAINDER, default=None, help="overrides of the config: a.b=v …")
    return arg_parser


def parse_config(config_path: str | Path, sys_args: argparse.Namespace) -> Config:
    """The config in a file with what the arguments say.

    Raises:
        ConfigErrors: something is wrong with it.
    """
    config = _load(config_path, getattr(sys_args, "opts", None) or ())
    given = vars(sys_args)
    for key in ("reset", "override", "from_experiment", "mode", "use_dummy_data", "tags", "log_prediction_tables"):
        if key in given:
            config[key] = given[key]
    for key in ("experiment_name", "test_suffix"):
        if given.get(key):
            config[key] = given[key]
    if given.get("modules"):
        model_config = config.setdefault("model_config", {})
        model_config["modules"] = [*(model_config.get("modules") or ()), *given["modules"]]
    config["args"] = {key: value for key, value in given.items() if key != "opts"}
    raise_collected([*check_config(config, config_path)], where=str(config_path))
    return config


def import_user_modules(module_paths: Iterable[str] = ()) -> None:
    """Import the project's transforms, models and executors; the project is the one that the config was loaded from.

    Args:
        module_paths: further modules, by dotted name.
    """
    project = _loaded_of[-1] if _loaded_of else find_project(Path.cwd() / "here")
    import_project_code(project, KINDS, tuple(module_paths))


def _load(path: str | Path, overrides: Sequence[str]) -> Config:
    config = load_config(path, list(overrides), check=False)
    assert config.loaded_from is not None
    _loaded_of[:] = [config.loaded_from.project]
    return config
