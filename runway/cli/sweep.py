"""``runway sweep``: one config with other values, the best of them chosen and tested."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from runway.cli.open_config import ALL_CODE, open_config
from runway.errors import ConfigError

if TYPE_CHECKING:
    from runway.config.config import Config
    from runway.pipeline.graph import Graph
    from runway.sweep.sweep import Sweep

FAILED = 1


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # of the trials; as in cli/experiments.py
    config, graphs = open_config(arguments, ALL_CODE)
    sweep = sweep_of(arguments, config, graphs)
    asked = sweep.asked
    from runway.experiment.provenance import FINISHED
    from runway.log import info, shown
    from runway.sweep import report
    from runway.sweep.ledger import PRUNED
    from runway.sweep.sweep import failures

    if arguments.trial is not None:
        return 0 if sweep.run_one(arguments.trial).status in (FINISHED, PRUNED) else FAILED
    if arguments.only or arguments.until:
        prepared = sweep.prepare(arguments.until)
        info("data prepared of all trials" if prepared else "data prepared, but not of all trials: see above")
        return 0 if prepared else FAILED
    settings = sweep.run()
    report.print_table(settings, asked, stdout=not arguments.json)
    for line in report.verdict(settings, asked):
        info(line)
    info(f"results: {shown(sweep.folder)}")
    if arguments.json:
        sys.stdout.write(json.dumps(report.content(settings, asked), indent=2, ensure_ascii=False) + "\n")
    failed = failures(settings)
    if failed:
        count = sum(len(one.outcomes) for one in settings)
        info(f"{len(failed)} of {count} trials did not come to their end; --retry runs those again that failed")
    return FAILED if failed else 0


def sweep_of(arguments: argparse.Namespace, config: Config, graphs: Mapping[str, Graph]) -> Sweep:
    """The sweep that a command asks for."""
    from runway.sweep.settings import read_settings
    from runway.sweep.sweep import Sweep
    from runway.sweep.trials import Source

    method, most = _method(arguments)
    asked = read_settings(
        config,
        grid=arguments.grid,
        retry=arguments.retry,
        method=method,
        max_trials=most,
        metric=arguments.metric,
        mode=arguments.mode,
        parallel=getattr(arguments, "parallel", None),
        seeds=arguments.seeds,
        test=arguments.test,
        name=arguments.name,
        runner=getattr(arguments, "trial_runner", None),
    )
    known = config.loaded_from
    assert known is not None
    source = Source(known.path, known.project, known.overrides, arguments.use_dummy_data)
    return Sweep(source, config, graphs, asked, force=getattr(arguments, "force", ()))


def _method(arguments: argparse.Namespace) -> tuple[str | None, int | None]:
    """The method, and how many trials, where the command says so."""
    if arguments.random and arguments.tpe:
        raise ConfigError("--random and --tpe contradict each other", where="--tpe", hint="leave one out")
    if arguments.random:
        return "random", arguments.random
    return ("tpe", arguments.tpe) if arguments.tpe else (None, arguments.max_trials)
