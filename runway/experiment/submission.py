"""What a process of a submitted job knows of its submission, and tells it.

A job finds its folder in the environment; ``submission.json`` there says what was submitted and when, and the first
process writes beside it which version it works on, so that the next job of the chain, and the same one after a requeue,
go on with that version.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runway.experiment.folders.run_folder import read_if_whole, write_json
from runway.ranks import rank

FOLDER, JOB = "RUNWAY_SUBMISSION", "RUNWAY_SUBMITTED_JOB"
"""Variables of a job: its submission's folder, and the name of the job in it (``train``, or ``trial-3``)."""
SUBMISSION = "submission.json"
GIT_DIFF = "git_diff.patch"
_RUN = "run-{}.json"
_NOT_KNOWN = "what it says of the job is not known"


def folder() -> Path | None:
    """The folder of the submission that this process is a job of."""
    found = os.environ.get(FOLDER)
    return Path(found) if found else None


def submission() -> Mapping[str, Any]:
    """What was submitted; empty where this process is no job of a submission."""
    place = folder()
    return read_if_whole(place / SUBMISSION, {}, _NOT_KNOWN) if place else {}


def submitted_state() -> tuple[dict[str, Any] | None, str] | None:
    """Git's facts and diff as they were at submission, in the form of ``describe_git``; None outside of a job."""
    place = folder()
    if place is None:
        return None
    diff = place / GIT_DIFF
    return submission().get("git"), diff.read_text(encoding="utf-8") if diff.is_file() else ""


def job_facts() -> dict[str, Any]:
    """What a run's provenance says of the job that it ran in; empty outside of one."""
    place = folder()
    if place is None:
        return {}
    known = submission()
    facts = {name: known.get(name) for name in ("snapshot", "submitted")}
    return {"submission": {"name": place.name, "job": os.environ.get(JOB), "id": job_id(), **facts}}


def job_id() -> str | None:
    """Slurm's name of this job, ``12_3`` of an array's task; of a local one submitit's."""
    environment = os.environ
    if "SLURM_ARRAY_JOB_ID" in environment:
        return f"{environment['SLURM_ARRAY_JOB_ID']}_{environment.get('SLURM_ARRAY_TASK_ID')}"
    return environment.get("SLURM_JOB_ID") or environment.get("SUBMITIT_LOCAL_JOB_ID")


def tell_run(run: Path) -> None:
    """Write down which version this job works on."""
    place = folder()
    if place is not None and rank() == 0:
        start = {"run": str(run), "restart": restarts()}
        write_json(place / _RUN.format(os.environ.get(JOB, "job")), start)


def run_of(place: Path, job: str) -> Mapping[str, Any]:
    """What ``tell_run`` has written for a job of the submission in ``place``: ``run`` and ``restart``; else empty."""
    return read_if_whole(place / _RUN.format(job), {}, _NOT_KNOWN)


def restarts() -> int:
    """How often Slurm has started this job again."""
    count = os.environ.get("SLURM_RESTART_COUNT", "")
    return int(count) if count.isdigit() else 0
