"""What each command takes."""

from __future__ import annotations

import argparse
from typing import NoReturn

from runway.errors import ConfigError

JSON = (
    "plan",
    "inspect",
    "config",
    "ops",
    "show",
    "cache",
    "prepare",
    "runs",
    "report",
    "compare",
    "blame",
    "reproduce",
    "sweep",
    "submit",
    "jobs",
)
"""The commands that can print JSON."""


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
        if name == "inspect":
            _add_inspect_arguments(command)
        command.add_argument("overrides", nargs="*", metavar="a.b=v", help="overrides; ~a.b removes")
        command.add_argument("--opts", nargs="*", metavar="a.b=v", help="overrides, as in the other form")
        add_variant_argument(command)
        command.add_argument("--quiet", action="store_true", help="print warnings only")
    if takes in ("config", "none", "name"):
        command.add_argument("--project", metavar="FOLDER", help="the project; by default found from the config")
    if name in ("prepare", "plan", "graph"):
        command.add_argument("--nodes", nargs="+", metavar="NODE", help="these nodes instead of the outputs")
    if name in ("prepare", "plan", "train", "run", "sweep"):
        add_extent_arguments(command, is_data=name in ("prepare", "plan"))
    if name == "graph":
        _add_graph_arguments(command)
    if name == "prepare":
        command.add_argument("--audit", action="store_true", help="see all that runs, and whether the keys know it")
    if takes == "config" and name not in (
        "config",
        "plan",
        "graph",
        "sweep",
        "freeze",
    ):  # a sweep's is the one of its trials
        add_runner_arguments(command)
    if takes == "config" and name not in ("config", "plan", "freeze"):
        command.add_argument("--use_dummy_data", action="store_true", help="load a few rows only")
    if name in ("prepare", "train", "test", "eval", "run", "inspect"):
        add_debugger_arguments(command)
    if name in ("train", "test", "eval", "run"):
        add_experiment_arguments(command)
    if name in ("train", "run"):
        add_reuse_argument(command)
    if name == "train":
        add_resume_arguments(command)
    if name == "sweep":
        _add_sweep_arguments(command)
    if name in ("predict", "export"):
        _add_trained_run_arguments(command, name)
    if name == "init":
        command.add_argument("folder", help="a new or empty folder")
        command.add_argument(
            "--template",
            default="blank",
            metavar="NAME",
            help="blank (the default), text_classification, translation, multi_task or images",
        )
    if name == "new":
        command.add_argument("what", choices=["transform", "executor", "experiment"])
        command.add_argument("name", help="what it is called: clean_texts")
        command.add_argument(
            "--kind", default="text", metavar="KIND", help="of an experiment: text, image, tabular or language_model"
        )
    if name == "freeze":
        command.add_argument("--check", action="store_true", help="write nothing: say what has moved since")
    if name == "config":
        command.add_argument("--diff", metavar="CONFIG", help="print what differs from this other config")
        command.add_argument("--no-check", action="store_true", help="print it even if it has errors")
    if name == "show":
        command.add_argument("name", help="a transform's or an executor's name, or pkg.mod:Class")
    if name == "migrate":
        command.add_argument("folder", metavar="DIR", help="the project")
        command.add_argument("--write", action="store_true", help="write what changes; without it a diff is printed")
    if name == "cache":
        _add_cache_arguments(command)
    if name == "submit":
        _add_submit_arguments(command)
    if name == "jobs":
        _add_jobs_arguments(command)
    if name == "runs":
        _add_runs_arguments(command)
    if name == "report":
        _add_report_arguments(command)
    if name == "compare":
        _add_compare_arguments(command)
    if name == "blame":
        _add_blame_arguments(command)
    if name == "reproduce":
        _add_reproduce_arguments(command)
    if name == "board":
        _add_board_arguments(command)
    if name == "translate":
        _add_translate_arguments(command)
    if name in JSON:
        command.add_argument("--json", action="store_true", help="print JSON")


def add_variant_argument(command: argparse.ArgumentParser) -> None:
    """Variants of a config, in both forms."""
    command.add_argument(
        "--with",
        dest="variants",
        action="append",
        default=[],
        metavar="NAME,NAME",
        help="lay variants over the config: model/big is model/big.libsonnet beside it; +model/big among the overrides "
        "is the same",
    )


def words_of_variants(arguments: argparse.Namespace) -> list[str]:
    """``--with model/big,data/small`` as words among the overrides."""
    return [
        f"+{name.strip()}" for names in getattr(arguments, "variants", []) for name in names.split(",") if name.strip()
    ]


def add_experiment_arguments(command: argparse.ArgumentParser) -> None:
    """What train, test and eval take in both forms."""
    command.add_argument("--experiment_name", metavar="N", help="instead of the config's")
    command.add_argument("--reset", action="store_true", help="delete the experiment's versions first")
    command.add_argument("--yes", "--override", action="store_true", help="do not ask before deleting")
    command.add_argument("--test_suffix", metavar="NAME", help="instead of the config's: the name of the test's folder")
    command.add_argument(
        "--from_experiment", metavar="NAME", help=argparse.SUPPRESS
    )  # of the original; it does nothing
    command.add_argument("--tags", nargs="*", default=[], help="tags for the run and for wandb")
    command.add_argument("--log_prediction_tables", action="store_true", help="log the samples as a table")


def add_extent_arguments(command: argparse.ArgumentParser, *, is_data: bool) -> None:
    """How far a command goes, and what it computes again."""
    command.add_argument("--until", metavar="NODE", help="prepare the data up to this node, and stop")
    if not is_data:
        command.add_argument("--only", choices=["prepare"], help="prepare the data, and stop")
    command.add_argument(
        "--force",
        nargs="+",
        default=[],
        metavar="NODE",
        help="run these data nodes whatever the cache holds; NODE+: it and all below it; all: all of them",
    )


def add_debugger_arguments(command: argparse.ArgumentParser) -> None:
    """Where a person at the terminal stops, in both forms."""
    command.add_argument(
        "--break-at",
        nargs="+",
        default=[],
        metavar="NODE",
        help="stop in the debugger after these nodes (NODE:before, NODE:after) with what they give as `data`",
    )
    command.add_argument("--pdb", action="store_true", help="open the debugger where a node or a training fails")


def add_reuse_argument(command: argparse.ArgumentParser) -> None:
    """What takes a training that was made before, in both forms."""
    command.add_argument(
        "--reuse", action="store_true", help="where a finished version is the same training, take it instead"
    )


def add_runner_arguments(command: argparse.ArgumentParser) -> None:
    """Where the nodes of the data pipeline run, in both forms."""
    command.add_argument("--runner", metavar="NAME", help="serial, processes or ray, instead of meta.runner")
    command.add_argument("--workers", type=_count, metavar="N", help="how many nodes run at once")


def add_resume_arguments(command: argparse.ArgumentParser) -> None:
    """What goes on with a training, in both forms."""
    command.add_argument("--resume", action="store_true", help="train: go on with the latest version")
    command.add_argument(
        "--take-new",
        nargs="+",
        default=[],
        metavar="a.b",
        help="with --resume: settings that are to be the config's, where they would stay as the checkpoint has them",
    )


def _add_sweep_arguments(command: argparse.ArgumentParser) -> None:
    command.epilog = (
        "What is said here stands in for the config's `sweep` section. Values: --grid a.b=1,2 or a JSON list; a range "
        "is --grid 'a.b={low: 1e-5, high: 1e-3, log: true}', for --random and --tpe."
    )
    _add_space_arguments(command)
    command.add_argument("--parallel", type=_count, metavar="N", help="trials at a time (default: one for each GPU)")
    command.add_argument(
        "--runner", dest="trial_runner", choices=["processes", "ray"], help="where trials run (default: here)"
    )
    command.add_argument("--trial", type=_count, metavar="N", help="train trial N only: what a job of an array does")
    command.add_argument("--experiment_name", metavar="N", help="instead of the config's")


def _add_space_arguments(command: argparse.ArgumentParser) -> None:
    """What a sweep goes over, and what the best is chosen by."""
    command.add_argument(
        "--grid", action="append", default=[], metavar="a.b=V,V", help="the values of one setting; may be repeated"
    )
    command.add_argument("--random", type=_count, metavar="N", help="so many points, drawn at random")
    command.add_argument("--tpe", type=_count, metavar="N", help="so many points, chosen by what was found (Optuna)")
    command.add_argument("--max-trials", type=_count, metavar="N", help="of a grid only the first N points")
    command.add_argument("--seeds", type=_count, metavar="N", help="train each point with N seeds")
    command.add_argument(
        "--metric", metavar="M", help="what the best is chosen by; else what checkpoints are chosen by"
    )
    command.add_argument("--mode", choices=["min", "max"], help="whether the lowest or the highest is the best")
    command.add_argument("--test", choices=["best", "all", "none"], help="what is tested in the end (default: best)")
    command.add_argument("--retry", action="store_true", help="run trials again that failed before")
    command.add_argument("--name", metavar="N", help="of the results' folder; else by what is swept over")


def _add_submit_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--slurm",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="options of sbatch: partition=gpu gpus=4 time=4:00:00; for one job only: test.time=20",
    )
    command.add_argument("--local", action="store_true", help="run the stages on this machine, in the background")
    command.add_argument("--dry-run", action="store_true", help="print the scripts, write and submit nothing")
    command.add_argument("--sweep", action="store_true", help="a sweep: its trials as an array of jobs")
    _add_space_arguments(command)
    command.add_argument("--stages", nargs="+", metavar="STAGE", help="of prepare, train and test; by default all")
    command.add_argument("--experiment_name", metavar="N", help="instead of the config's")
    command.add_argument("--tags", nargs="*", default=[], help="tags for the run and for wandb")
    command.add_argument("--log_prediction_tables", action="store_true", help="log the samples as a table")


def _add_inspect_arguments(command: argparse.ArgumentParser) -> None:
    command.epilog = "Without --head, --where, --split or --json it opens a Python prompt with the output as `data`."
    command.add_argument("node", help="the node")
    command.add_argument("--head", type=_count, metavar="N", help="print the first N rows (default: 5)")
    command.add_argument(
        "--where", metavar="CONDITION", help="only rows that meet it: \"label == 1 and text contains 'great'\""
    )
    command.add_argument("--split", metavar="NAME", help="of this split only")


def _add_graph_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--format", metavar="F", help="text (the default), mermaid, dot, svg, png; else --out's")
    command.add_argument("--out", metavar="FILE", help="write it there: pipeline.svg")
    command.add_argument("--functions", action="store_true", help="with the project's code that each node refers to")


def _add_jobs_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("action", nargs="?", default="list", metavar="ACTION", help="list (the default), logs, cancel")
    command.add_argument("id", nargs="?", help="a job's number, an array's, or a submission's name")
    command.add_argument(
        "--folder", default="experiments", help="where runs go: meta.EXPERIMENT_FOLDER (default: experiments)"
    )
    command.add_argument("--all", action="store_true", help="list: also those that have ended")


def _add_runs_arguments(command: argparse.ArgumentParser) -> None:
    command.epilog = (
        "Conditions and columns are settings (train.batch_size), metrics (accuracy) or run, experiment, state."
    )
    command.add_argument("folder", nargs="?", default="experiments", help="where runs go (default: experiments)")
    command.add_argument("--last", action="store_true", help="print the path of the last run only")
    command.add_argument("--sort", metavar="NAME", help="by a metric or a setting, the best or highest first")
    command.add_argument(
        "--where", metavar="CONDITION", help="only runs that meet it: 'train.batch_size > 32 and f1 > 0.8'"
    )
    command.add_argument(
        "--columns", nargs="+", metavar="NAME", help="these metrics and settings instead of the main ones"
    )


def _add_report_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "run", nargs="?", help="a run's folder or name, or an experiment's name; by default the last run"
    )
    command.add_argument("--test", metavar="SUFFIX", help="show this test; by default the last that was finished")
    command.add_argument("--output", metavar="FILE", help="where to (default: report.html in the run's folder)")
    _add_folder_argument(command)


def _add_compare_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "runs", nargs="+", metavar="RUN", help="two or more: folders or names; the first is compared to"
    )
    command.add_argument("--test", metavar="SUFFIX", help="compare this test of each; by default the last finished one")
    command.add_argument("--html", metavar="FILE", help="write the comparison as a page, too")
    _add_folder_argument(command)


def _add_blame_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("first", metavar="A", help="a run's folder or name: what the other is held against")
    command.add_argument("second", metavar="B", help="the other")
    command.add_argument("--test", metavar="SUFFIX", help="this test of each; by default the last finished one")
    _add_folder_argument(command)


def _add_reproduce_arguments(command: argparse.ArgumentParser) -> None:
    command.epilog = "It is made of the config that the run has kept, into a new version beside it, with the code here."
    command.add_argument("run", help="a run's folder or name, or an experiment's name")
    command.add_argument("--check", "--dry-run", action="store_true", help="only say what differs here; run nothing")
    command.add_argument("--strict", action="store_true", help="refuse where anything differs")
    command.add_argument("--test", metavar="SUFFIX", help="repeat this test; by default the last finished one")
    command.add_argument("--project", metavar="FOLDER", help="whose code is taken; by default the one around the run")
    command.add_argument("--quiet", action="store_true", help="print warnings only")
    _add_folder_argument(command)


def _add_board_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("folder", nargs="?", default="experiments", help="where runs go (default: experiments)")
    command.add_argument("--port", type=int, default=8420, help="of 127.0.0.1 (default: 8420; 0 takes a free one)")
    command.add_argument(
        "--live", action="store_true", help="start TensorBoard beside it, for curves of what is running"
    )


def _add_folder_argument(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--folder", default="experiments", help="where runs are looked up by name (default: experiments)"
    )


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


def _add_trained_run_arguments(command: argparse.ArgumentParser, name: str) -> None:
    command.add_argument(
        "run", help="a run's folder or name, or an experiment's name (its newest version with weights)"
    )
    if name == "predict":
        command.add_argument("file", help="rows: csv, jsonl, parquet, txt, a folder; a label column may be left out")
        command.add_argument("--output", metavar="FILE", help="write it there: .csv, .jsonl, .parquet; else JSON lines")
        command.add_argument(
            "--through", metavar="NODE", help="the first of the run's nodes that the rows go through (default: found)"
        )
        command.add_argument("--batch_size", type=_count, metavar="N", help="instead of the run's test.batch_size")
    else:
        command.add_argument("folder", help="a new or empty folder")
    command.add_argument(
        "--checkpoint", default="best", metavar="NAME", help="best (the default), last, or a file's name"
    )
    command.add_argument("--project", metavar="FOLDER", help="the project; by default that around the run")


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
    for option in ("tags", "nodes", "modules", "take_new", "force", "stages", "break_at"):
        words = getattr(arguments, option, None) or []
        overrides = [word for word in words if "=" in word or word.startswith(("~", "+"))]
        if overrides:
            found += overrides
            setattr(arguments, option, [word for word in words if word not in overrides])
    return found
