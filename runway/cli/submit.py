"""``runway submit``: the stages of an experiment as jobs on a cluster."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from runway.cli.open_config import ALL_CODE, DATA_CODE, open_config
from runway.config.schema import CONFIG
from runway.errors import ConfigError, must_be_known

if TYPE_CHECKING:
    from runway.config.config import Config
    from runway.pipeline.graph import Graph


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from runway.launch.stages import STAGES, SWEEP

    arguments.slurm, overrides = split_words(arguments.slurm, SWEEP if arguments.sweep else STAGES)
    arguments.overrides = [*arguments.overrides, *overrides]
    if arguments.local and arguments.dry_run:
        raise ConfigError(
            "--dry-run prints what Slurm would be given; with --local there is nothing", where="--dry-run"
        )
    if arguments.local and arguments.slurm:
        raise ConfigError("--slurm is for a cluster, but --local runs here", where="--local", hint="leave one out")
    if arguments.sweep and arguments.stages:
        raise ConfigError("--stages is not for a sweep", where="--stages", hint="leave it out")
    must_be_known(arguments.stages or (), STAGES, "there is no stage", where="--stages")
    config, graphs = open_config(arguments, DATA_CODE if arguments.stages == ["prepare"] else ALL_CODE)
    from runway.experiment.context import ExperimentContext
    from runway.launch.submit import Submission

    context = ExperimentContext(config, tags=arguments.tags)
    submission = Submission(
        config,
        context.root,
        context.name,
        flags=_flags(arguments),
        slurm=arguments.slurm,
        stages=arguments.stages,
        trials=_trials(arguments, config, graphs),
    )
    if arguments.dry_run:
        return _print_scripts(submission.scripts(), as_json=arguments.json)
    folder = submission.to_this_machine() if arguments.local else submission.to_slurm()
    _tell(folder, as_json=arguments.json)
    return 0


def _trials(arguments: argparse.Namespace, config: Config, graphs: Mapping[str, Graph]) -> int | None:
    """How many trials an array is made of; 0 where each is chosen by those before it; None: it is no sweep."""
    if not arguments.sweep:
        given = [word for word in _space_words(arguments) if word.startswith("--")]
        if given:
            raise ConfigError(f"{given[0]} is for a sweep", where=given[0], hint="add --sweep")
        return None
    from runway.cli.sweep import sweep_of
    from runway.sweep.settings import TPE

    sweep = sweep_of(arguments, config, graphs)
    return 0 if sweep.asked.method == TPE else len(sweep.trials())


def _space_words(arguments: argparse.Namespace) -> list[str]:
    """The options of a sweep, as they were given."""
    words = [word for values in arguments.grid for word in ("--grid", values)]
    for option in ("random", "tpe", "max_trials", "seeds", "metric", "mode", "test", "name"):
        value = getattr(arguments, option)
        words += [f"--{option.replace('_', '-')}", str(value)] if value is not None else []
    return [*words, *(["--retry"] if arguments.retry else [])]


def split_words(words: Sequence[str], jobs: Sequence[str]) -> tuple[list[str], list[str]]:
    """What follows ``--slurm``: options of sbatch, and overrides of the config that were written after them.

    ``train.time=20`` is an option for one job, ``train.batch_size=20`` an override: no key has the name of an option.
    """
    from runway.launch.slurm_settings import is_option

    options: list[str] = []
    overrides: list[str] = []
    for word in words:
        name = word.partition("=")[0]
        first, dot, inner = name.partition(".")
        if word.startswith("~"):
            is_override = True
        elif dot:
            is_override = not (first in jobs and is_option(inner)) and (
                first not in jobs or "." in inner or "=" in word
            )
        else:
            is_override = name in CONFIG and not is_option(name)
        (overrides if is_override else options).append(word)
    return options, overrides


def _flags(arguments: argparse.Namespace) -> dict[str, list[str]]:
    shared = ["--use_dummy_data"] if arguments.use_dummy_data else []
    if arguments.sweep:
        words = [*shared, *_space_words(arguments)]
        return {"prepare": words, "trial": words, "reduce": words}
    for option in ("runner", "workers"):
        value = getattr(arguments, option, None)
        shared += [f"--{option}", str(value)] if value is not None else []
    tags = ["--tags", *arguments.tags] if arguments.tags else []
    tables = ["--log_prediction_tables"] if arguments.log_prediction_tables else []
    return {"prepare": shared, "train": [*shared, *tags], "test": [*shared, *tables]}


def _print_scripts(scripts: dict[str, str], *, as_json: bool) -> int:
    if as_json:
        sys.stdout.write(json.dumps(scripts, indent=2, ensure_ascii=False) + "\n")
        return 0
    for job, text in scripts.items():
        sys.stdout.write(f"# --- {job}\n{text}\n")
    return 0


def _tell(folder: object, *, as_json: bool) -> None:
    from pathlib import Path

    from runway.experiment.folders.run_folder import read_json
    from runway.experiment.submission import SUBMISSION
    from runway.log import info, shown

    facts = read_json(Path(str(folder)) / SUBMISSION)
    if as_json:
        kept = {name: facts[name] for name in ("name", "cluster", "snapshot", "jobs")}
        sys.stdout.write(json.dumps(kept | {"folder": str(folder)}, indent=2, ensure_ascii=False) + "\n")
        return
    jobs = ", ".join(f"{job['job']} {job['id']}" for job in facts["jobs"])
    info(f"submitted: {jobs}")
    info(f"snapshot {facts['snapshot'][:12]}, folder {shown(Path(str(folder)))}; see `runway jobs`")
