"""``runway train``, ``test``, ``eval`` and ``run``."""

from __future__ import annotations

import argparse
import contextlib
import os

from runway.cli.open_config import ALL_CODE, open_config
from runway.experiment.provenance import TRIAL


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    # OpenMP threads that spin while they wait slow a training two to four times on a machine that others use too;
    # read when torch is loaded, so set before.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with _as_trial():
        return _run(arguments)


def _as_trial() -> contextlib.AbstractContextManager[None]:
    """What a training does that a sweep has started; loaded in such a process only."""
    if TRIAL not in os.environ:
        return contextlib.nullcontext()
    from runway.sweep.trial import as_trial

    return as_trial()


def _run(arguments: argparse.Namespace) -> int:
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
        take_new=getattr(arguments, "take_new", None) or (),
        reuse=getattr(arguments, "reuse", False),
        force=getattr(arguments, "force", None) or (),
    )
    until = getattr(arguments, "until", None)
    if until is not None or getattr(arguments, "only", None):
        experiment.prepare_data(until)
        return 0
    stages = ("train", "test") if arguments.command == "run" else (arguments.command,)
    for stage in stages:
        getattr(experiment, stage)()
    return 0
