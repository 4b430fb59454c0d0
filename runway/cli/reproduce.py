"""``runway reproduce RUN``: make a run again, and say whether it comes out the same."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runway.report.causes import Blame
    from runway.report.reproduce import Reproduced

NOT_SAME = 1


def run(arguments: argparse.Namespace) -> int:
    """Run the command; 1 where what comes out is not the same."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # see `experiments`
    from runway.errors import ExperimentError
    from runway.experiment.folders.runs import run_named
    from runway.log import set_quiet
    from runway.ranks import rank
    from runway.report.blame_table import print_blame
    from runway.report.reproduce import Reproduction

    set_quiet(arguments.quiet)
    project = Path(arguments.project) if arguments.project else None
    reproduction = Reproduction(run_named(arguments.run, arguments.folder), test=arguments.test, project=project)
    differing = reproduction.check()
    if rank() == 0 and not arguments.json:
        print_blame(differing)
    if arguments.strict and (differing.causes or differing.beside):
        told = ", ".join(cause.name for cause in (*differing.causes, *differing.beside))
        message = f"{differing.runs[0]} cannot be made again as it was: here differs {told}"
        hint = "bring back what differs (`git checkout`, `git apply git_diff.patch`), or leave --strict out"
        raise ExperimentError(message, where="--strict", hint=hint)
    printed = contextlib.redirect_stdout(sys.stderr) if arguments.json else contextlib.nullcontext()
    with printed:  # what the stages print is none of the JSON
        made = None if arguments.check else reproduction.make()
    if rank() != 0:
        return 0
    if arguments.json:
        facts = {"run": str(reproduction.run.path), **differing.plain(), **(_plain(made) if made else {})}
        sys.stdout.write(json.dumps(facts, indent=2, ensure_ascii=False, default=str) + "\n")
    elif made:
        _tell(made, differing)
    return 0 if made is None or made.is_same else NOT_SAME


def _plain(made: Reproduced) -> dict:
    metrics = {name: {"before": before, "again": now} for name, before, now in made.metrics}
    return {"again": str(made.path), "same": made.is_same, "metrics": metrics}


def _tell(made: Reproduced, differing: Blame) -> None:
    from runway.log import info, table

    name, again = differing.runs[0], made.path.name
    rows = [[metric, repr(old), repr(new), "same" if old == new else "differs"] for metric, old, new in made.metrics]
    table(f"{name} again: {again}", ["metric", name, again, ""], rows)
    odd = [metric for metric, old, new in made.metrics if old != new]
    if not odd:
        info(f"reproduced: all {len(rows)} metrics are the same to the last digit")
    elif differing.causes or differing.beside:
        info(f"not the same: {', '.join(odd)}; what differs is listed at the beginning")
    else:
        info(f"not the same: {', '.join(odd)}, though nothing that is recorded differs (sums of a GPU, the clock?)")
