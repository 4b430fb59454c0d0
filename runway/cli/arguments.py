"""What each command takes."""

from __future__ import annotations

import argparse
from typing import NoReturn

from runway.errors import ConfigError


class Parser(argparse.ArgumentParser):
    """Argparse, with its errors as ours."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage.

        Raises:
            ConfigError: always.
        """
        message = message.replace("the following arguments are required: config, a.b=v", "which config? none is named")
        raise ConfigError(message, where=f"`{self.prog}`", hint=f"see `{self.prog} --help`")


def add_arguments(command: argparse.ArgumentParser, name: str, takes: str) -> None:
    """Add the arguments of the command ``name``; ``takes`` says what it is about (see ``app.COMMANDS``)."""
    command.add_argument("--debug", action="store_true", help="show the full traceback of an error")
    if takes == "config":
        command.add_argument("config", help="a jsonnet file")
        command.add_argument("overrides", nargs="*", metavar="a.b=v", help="overrides; ~a.b removes")
        command.add_argument("--opts", nargs="*", metavar="a.b=v", help="overrides, as in the other form")
        command.add_argument("--quiet", action="store_true", help="print warnings only")
    if takes in ("config", "none", "name"):
        command.add_argument("--project", metavar="FOLDER", help="the project; by default found from the config")
    if name in ("prepare", "plan"):
        command.add_argument("--nodes", nargs="+", metavar="NODE", help="these nodes instead of the outputs")
    if takes == "config" and name not in ("config", "plan"):
        command.add_argument("--use_dummy_data", action="store_true", help="load a few rows only")
    if name in ("train", "test", "eval", "run"):
        add_experiment_arguments(command)
    if name == "train":
        command.add_argument("--resume", action="store_true", help="go on with the latest version")
    if name == "config":
        command.add_argument("--diff", metavar="CONFIG", help="print what differs from this other config")
        command.add_argument("--no-check", action="store_true", help="print it even if it has errors")
    if name == "show":
        command.add_argument("name", help="a transform's or an executor's name, or pkg.mod:Class")
    if name == "cache":
        _add_cache_arguments(command)
    if name == "runs":
        command.add_argument("folder", nargs="?", default="experiments", help="where runs go (default: experiments)")
        command.add_argument("--last", action="store_true", help="print the path of the last run only")
    if name == "translate":
        _add_translate_arguments(command)
    if name in ("plan", "config", "ops", "show", "cache", "prepare", "runs"):
        command.add_argument("--json", action="store_true", help="print JSON")


def add_experiment_arguments(command: argparse.ArgumentParser) -> None:
    """What train, test and eval take in both forms."""
    command.add_argument("--experiment_name", metavar="N", help="instead of the config's")
    command.add_argument("--reset", action="store_true", help="delete the experiment's versions first")
    command.add_argument("--yes", action="store_true", help="do not ask before deleting")
    command.add_argument("--tags", nargs="*", default=[], help="tags for the run and for wandb")
    command.add_argument("--log_prediction_tables", action="store_true", help="log the samples as a table")


def _add_translate_arguments(command: argparse.ArgumentParser) -> None:
    command.epilog = (
        "Texts come first, then the files in their order, a sentence a line, also compressed (.gz, .bz2, .zst, .lz4). "
        "A text that is the name of a file is an error."
    )
    command.add_argument(
        "run", help="a run's folder, an experiment's name (its newest version with an export), or an export's folder"
    )
    command.add_argument(
        "text", nargs="*", default=[], help="texts; - is standard input, and so is nothing where lines are piped in"
    )
    command.add_argument(
        "--file",
        action="append",
        default=[],
        metavar="PATH",
        help="translate a file, a sentence a line; may be repeated",
    )
    command.add_argument("--beams", type=_count, metavar="N", help="instead of the config's num_beams; 1 is greedy")
    command.add_argument("--batch_size", type=_count, default=32, metavar="N", help="texts at a time (default: 32)")
    command.add_argument(
        "--on_too_long",
        choices=["error", "truncate"],
        default="error",
        help="a text of more tokens than the model has positions: stop there (the default), or cut it with a warning",
    )


def _count(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, but is {word!r} instead")
    return int(word)


def _add_cache_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("action", choices=["ls", "gc", "verify"])
    command.add_argument("folder", nargs="?", default="cache", help="the cache's folder or URL (default: cache)")
    command.add_argument("--older-than", type=float, metavar="DAYS", help="gc: what was not made within DAYS")
    command.add_argument("--max-size", metavar="SIZE", help="gc: the oldest until the rest fits, as 10GB")
    command.add_argument("--dry-run", action="store_true", help="gc: only say what would go")


def take_overrides(arguments: argparse.Namespace) -> list[str]:
    """Take the overrides out of the options that take all words that follow (``--tags big a.b=v``)."""
    found: list[str] = []
    for option in ("tags", "nodes", "modules"):
        words = getattr(arguments, option, None) or []
        overrides = [word for word in words if "=" in word or word.startswith("~")]
        if overrides:
            found += overrides
            setattr(arguments, option, [word for word in words if word not in overrides])
    return found
