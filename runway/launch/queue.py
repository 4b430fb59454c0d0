"""What has become of the jobs that were submitted: their state, their logs, their end."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runway.errors import ExperimentError, did_you_mean
from runway.experiment.folders.run_folder import read_if_whole
from runway.experiment.submission import SUBMISSION, run_of
from runway.launch.job import FAILED, FINISHED, PENDING, REQUEUED, RUNNING, STOPPED, status_file
from runway.launch.submit import JOBS
from runway.launch.submitit_jobs import is_running_here, logs_of

CANCELLED, UNKNOWN, LOST = "cancelled", "unknown", "lost"
ENDED = (FINISHED, FAILED, STOPPED, CANCELLED, LOST)
_STATES = {
    "PENDING": PENDING,
    "CONFIGURING": PENDING,
    "REQUEUED": PENDING,
    "REQUEUE_HOLD": PENDING,
    "REQUEUE_FED": PENDING,
    "RUNNING": RUNNING,
    "COMPLETING": RUNNING,
    "SUSPENDED": "suspended",
    "PREEMPTED": "preempted",
    "COMPLETED": FINISHED,
    "CANCELLED": CANCELLED,
    "TIMEOUT": "out of time",
    "OUT_OF_MEMORY": "out of memory",
    "NODE_FAIL": "the machine failed",
    "BOOT_FAIL": "the machine failed",
    "DEADLINE": "out of time",
    "FAILED": FAILED,
}
_PATIENCE = 60


@dataclass
class JobState:
    """One job of a submission.

    Args:
        id: Slurm's, or the number of a local process.
        job: its name in the submission.
        submission: the submission's folder.
        state: ``pending``, ``running``, ``finished`` …
        reason: why it waits, or did not end well.
        run: the version that it works on.
        facts: of its submission.
    """

    id: str
    job: str
    submission: Path
    state: str = UNKNOWN
    reason: str = ""
    run: str | None = None
    facts: Mapping[str, Any] | None = None


def submissions(root: Path) -> list[Path]:
    """The folders of all submissions, the newest first."""
    folder = root / JOBS
    if not folder.is_dir():
        return []
    found = [path.parent for path in folder.glob(f"*/{SUBMISSION}")]
    return sorted(found, key=lambda path: (path / SUBMISSION).stat().st_ctime_ns, reverse=True)


def list_jobs(root: Path) -> list[JobState]:
    """All jobs of all submissions, those of the newest first; Slurm is asked once for all that have not ended."""
    jobs = []
    for folder in submissions(root):
        facts = read_if_whole(folder / SUBMISSION, {}, "its jobs are left out")
        if not {"jobs", "cluster"} <= facts.keys():
            continue
        for one in facts["jobs"]:
            status = read_if_whole(status_file(folder, one["job"]), {}, "how the job stands is not known")
            run = run_of(folder, one["job"]).get("run") or (
                run_of(folder, "train").get("run") if one["job"] == "test" else None
            )
            job = JobState(str(one["id"]), one["job"], folder, run=run, facts=facts)
            job.state, job.reason = status.get("status", PENDING), status.get("hint", "")
            jobs.append(job)
    _ask_slurm([job for job in jobs if job.facts and job.facts["cluster"] == "slurm" and job.state not in ENDED])
    for job in jobs:
        if job.facts and job.facts["cluster"] == "local" and job.state in (PENDING, RUNNING):
            _look_here(job)
    return jobs


def find_job(root: Path, wanted: str) -> list[JobState]:
    """The jobs that a number, ``12_3``, ``12`` for a whole array, or a submission's name means.

    Raises:
        ExperimentError: there are none.
    """
    jobs = list_jobs(root)
    found = [job for job in jobs if wanted in (job.id, job.id.partition("_")[0], job.submission.name)]
    if not found:
        known = [*(job.id for job in jobs), *dict.fromkeys(job.submission.name for job in jobs)]
        raise ExperimentError(f"there is no job {wanted!r}", where=str(root / JOBS), hint=did_you_mean(wanted, known))
    return found


def cancel(jobs: Sequence[JobState]) -> list[JobState]:
    """Cancel what has not ended; gives what was.

    Raises:
        ExperimentError: ``scancel`` fails.
    """
    open_jobs = [job for job in jobs if job.state not in ENDED]
    of_slurm = [job.id for job in open_jobs if job.facts and job.facts["cluster"] == "slurm"]
    if of_slurm:
        _slurm("scancel", *of_slurm)
    for job in open_jobs:
        if job.id not in of_slurm and is_running_here(job.id, job.submission):
            os.kill(int(job.id), signal.SIGTERM)
    return open_jobs


def read_logs(job: JobState) -> list[tuple[Path, str]]:
    """(file, text) of what a job has written: output, then errors, of its first process and then of the others."""
    return [(path, path.read_text("utf-8", errors="replace")) for path in logs_of(job.submission, job.id)]


def _look_here(job: JobState) -> None:
    if is_running_here(job.id, job.submission):
        job.state = RUNNING
        return
    status = read_if_whole(
        status_file(job.submission, job.job), {}, "how it has ended is not known"
    )  # it may just have ended
    if status.get("status") not in ENDED:
        job.state, job.reason = LOST, "its process is gone: killed, or the machine was restarted"
    else:
        job.state = status["status"]


def _ask_slurm(jobs: Sequence[JobState]) -> None:
    """Take in what squeue says of these jobs, and sacct of those that have left the queue."""
    if not jobs:
        return
    ids = sorted({job.id.partition("_")[0] for job in jobs})
    waiting = _rows("squeue", "--noheader", "--array", "--format=%i|%T|%r", f"--jobs={','.join(ids)}")
    left = [job for job in jobs if job.id not in waiting]
    ended = {}
    if left:
        ids = sorted({job.id.partition("_")[0] for job in left})
        options = ("--allocations", "--noheader", "--parsable2", "--format=JobID,State,Reason")
        ended = _rows("sacct", *options, f"--jobs={','.join(ids)}")
    for job in jobs:
        state, reason = waiting.get(job.id) or ended.get(job.id) or ("", "")
        if state:
            word = state.split()[0].rstrip("+")
            job.state = _STATES.get(word, word.lower())
            job.reason = job.reason or ("" if reason in ("None", "") else reason)
        elif job.state in (RUNNING, REQUEUED, PENDING):
            job.state, job.reason = UNKNOWN, f"Slurm does not know it any more; it said last: {job.state}"


def _rows(command: str, *arguments: str) -> dict[str, tuple[str, str]]:
    """{id: (state, reason)}; empty where Slurm cannot be asked, or knows none of the jobs."""
    try:
        text = subprocess.run(
            [command, *arguments], capture_output=True, text=True, check=False, timeout=_PATIENCE
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return {}
    lines = (line.split("|") for line in text.splitlines())
    return {parts[0]: (parts[1], parts[2]) for parts in lines if len(parts) >= 3}


def _slurm(command: str, *arguments: str) -> None:
    try:
        done = subprocess.run([command, *arguments], capture_output=True, text=True, check=False, timeout=_PATIENCE)
    except OSError as error:
        raise ExperimentError(f"{command} cannot be called: {error}", hint="on a login node it can") from error
    if done.returncode:
        raise ExperimentError(f"{command} fails: {(done.stderr or done.stdout).strip()}", where=" ".join(arguments))
