"""``runway train``, ``test``, ``eval`` and ``run``."""

from __future__ import annotations

import argparse
import os

from runway.cli.open_config import ALL_CODE, open_config


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    # OpenMP threads that spin while they wait slow a training two to four times on a machine that others use too;
    # read when torch is loaded, so set before.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    config, _ = open_config(arguments, ALL_CODE)
    from runway.experiment import RunwayExperiment

    experiment = RunwayExperiment(
        config,
        reset=arguments.reset,
        assume_yes=arguments.yes,
        tags=arguments.tags,
        use_dummy_data=arguments.use_dummy_data,
        log_prediction_tables=arguments.log_prediction_tables,
        resume=getattr(arguments, "resume", False),
    )
    stages = ("train", "test") if arguments.command == "run" else (arguments.command,)
    for stage in stages:
        getattr(experiment, stage)()
    return 0
