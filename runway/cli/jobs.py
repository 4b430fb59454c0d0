"""``runway jobs``: what has become of the jobs that were submitted."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runway.disk import expanded
from runway.errors import ConfigError, ExperimentError, did_you_mean

if TYPE_CHECKING:
    from runway.launch.queue import JobState

ACTIONS = ("list", "logs", "cancel")
_SHOWN = 20


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from runway.launch.queue import cancel, find_job

    if arguments.action not in ACTIONS:
        hint = did_you_mean(arguments.action, ACTIONS)
        raise ConfigError(f"`runway jobs` has no {arguments.action!r}", where="runway jobs", hint=hint)
    root = expanded(arguments.folder)
    if not root.is_dir():
        hint = "name the folder of the runs with --folder: it is meta.EXPERIMENT_FOLDER"
        raise ExperimentError("there is no such folder", where=str(root.resolve()), hint=hint)
    if arguments.action == "list":
        return _list(root, arguments)
    if not arguments.id:
        raise ConfigError(f"`runway jobs {arguments.action}` of which job?", where="ID", hint="see `runway jobs`")
    jobs = find_job(root, arguments.id)
    if arguments.action == "logs":
        return _print_logs(jobs, as_json=arguments.json)
    cancelled = cancel(jobs)
    if arguments.json:
        sys.stdout.write(json.dumps({"cancelled": [job.id for job in cancelled]}) + "\n")
    else:
        ended = "" if len(cancelled) == len(jobs) else f"; {len(jobs) - len(cancelled)} had ended"
        sys.stdout.write(f"cancelled: {', '.join(job.id for job in cancelled) or 'nothing'}{ended}\n")
    return 0


def _list(root: Path, arguments: argparse.Namespace) -> int:
    from runway.launch.queue import list_jobs
    from runway.log import shown, table

    jobs = list_jobs(root)
    if arguments.json:
        sys.stdout.write(json.dumps([_facts(job) for job in jobs], indent=2, ensure_ascii=False) + "\n")
        return 0
    told = jobs if arguments.all else jobs[:_SHOWN]
    rows = []
    for job in told:
        facts = job.facts or {}
        state = f"{job.state}\n{job.reason}" if job.reason else job.state
        run = shown(Path(job.run)) if job.run else ""
        config = shown(Path(facts.get("config", "")))
        rows.append([job.id, job.job, state, config, run, facts.get("submitted", ""), job.submission.name])
    table("", ["id", "job", "state", "config", "run", "submitted", "submission"], rows)
    if len(told) < len(jobs):
        sys.stdout.write(f"and {len(jobs) - len(told)} older ones: --all\n")
    return 0


def _facts(job: JobState) -> dict[str, object]:
    facts = job.facts or {}
    own = {"id": job.id, "job": job.job, "state": job.state, "reason": job.reason, "run": job.run}
    told = {name: facts.get(name) for name in ("config", "overrides", "submitted", "snapshot", "cluster")}
    return {**own, **told, "submission": str(job.submission)}


def _print_logs(jobs: list[JobState], *, as_json: bool) -> int:
    from runway.launch.queue import read_logs

    logs = [(job, read_logs(job)) for job in jobs]
    if as_json:
        told = {job.id: {path.name: text for path, text in files} for job, files in logs}
        sys.stdout.write(json.dumps(told, indent=2, ensure_ascii=False) + "\n")
        return 0
    for job, files in logs:
        if not files:
            sys.stdout.write(f"==> {job.job} {job.id}: nothing is written yet ({job.state})\n")
        for path, text in files:
            if text:
                sys.stdout.write(
                    f"==> {job.job} {job.id}: {path}\n{text if text.endswith(chr(10)) else text + chr(10)}"
                )
    return 0
