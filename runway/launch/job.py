"""What runs in a job: the stages of a submission, as ``runway`` commands on the snapshot that was submitted.

submitit calls a ``Start`` in every process of the job. A stage is a process of its own, so that its code, and runway's
where the project holds it, are the snapshot's. Signals go on to it; what they mean is decided after it has ended:

- SIGUSR2, which Slurm sends before the time is over: the training saves and stops, then the first process requeues the
  job. An array's task requeues itself.
- SIGTERM, for preemption and ``scancel``: it saves and stops. A preempted job is requeued by Slurm.

A training that is started again goes on with its own version.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from runway.errors import ExperimentError
from runway.experiment.folders.file_names import LAST_CHECKPOINT
from runway.experiment.folders.in_use import VERSION
from runway.experiment.folders.run_folder import RunFolder, read_if_whole, write_json
from runway.experiment.provenance import timestamp
from runway.experiment.submission import FOLDER, JOB, job_id, restarts, run_of
from runway.launch.stages import REDUCE, TEST, TRAIN, TRIAL
from runway.log import info, warning
from runway.ranks import rank
from runway.user_code import CODE, CODE_OF

PENDING, RUNNING, FINISHED, FAILED = "pending", "running", "finished", "failed"
STOPPED, REQUEUED = "stopped", "requeued"
MOST_RESTARTS = 3
"""How often a stage that cannot go on where it was stopped is begun again."""
_ASKED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
_TIME_IS_OVER = (signal.SIGUSR1, signal.SIGUSR2)


def status_file(folder: Path, job: str) -> Path:
    """Where a job of a submission says how it stands."""
    return folder / f"status-{job}.json"


@dataclass
class Start:
    """One job: called in each of its processes.

    Args:
        folder: the submission's.
        job: its name there: ``train``, ``trial-3``, ``all``.
        stages: what it runs, one after the other.
        commands: {stage: the words after ``runway``}; before it is submitted those in front of the config.
        project: the project's folder: where data, cache and runs are.
        code: the unpacked snapshot; None runs the project's own code.
        snapshot: its digest.
        archive: where it can be unpacked from, should it be gone: the store's URL.
        variables: of the environment, as they were at submission (None: not set).
    """

    folder: str
    job: str
    stages: list[str]
    commands: dict[str, list[str]]
    project: str
    code: str | None = None
    snapshot: str | None = None
    archive: str | None = None
    variables: dict[str, str | None] = field(default_factory=dict)

    def __call__(self) -> None:
        """Run the stages.

        Raises:
            SystemExit: one has failed, or was stopped.
        """
        self._child: subprocess.Popen[bytes] | None = None
        self._asked: set[int] = set()
        for number in _ASKED:
            signal.signal(number, self._on_signal)
        self._say(RUNNING, started=timestamp(), ended=None, exit_code=None)
        for stage in self.stages:
            before = self._mark()
            try:
                code = self._run(stage)
            except ExperimentError as error:
                warning(f"{error.message} ({error.where}) {error.hint or ''}")
                code = 1
            if code or self._asked:
                self._end(stage, code, before)
        self._say(FINISHED, ended=timestamp(), exit_code=0)

    def _run(self, stage: str) -> int:
        """Run one stage to its end; gives its exit code."""
        command = [sys.executable, "-m", "runway", *self._words(stage)]
        if rank() == 0:
            info(f"$ runway {' '.join(command[3:])}")
        environment = self._environment()
        if stage in (TRIAL, REDUCE):  # one task, in which Lightning starts processes as in a shell on a machine
            environment["SLURM_JOB_NAME"] = "interactive"
        self._child = subprocess.Popen(command, env=environment)
        for number in self._asked:
            self._child.send_signal(number)
        return self._child.wait()

    def _words(self, stage: str) -> list[str]:
        """The command, with the version that it is for: the one that this submission trains, if that is known."""
        words = list(self.commands[stage])
        if stage == TEST:
            run = self._own_run("all" if self.job == "all" else TRAIN)
            if run is not None and not any(word.startswith("exp_version=") for word in words):
                words.append(f"exp_version={run.version}")
        elif stage == TRAIN and restarts():
            run = self._own_run(self.job, before_this_start=True)
            if run is not None and run.has_checkpoints():
                dropped = ("--reset", "--yes", "--reuse")
                words = [word for word in words if word not in dropped and not word.startswith("exp_version=")]
                words += [f"exp_version={run.version}", *([] if "--resume" in words else ["--resume"])]
        return words

    def _own_run(self, job: str, *, before_this_start: bool = False) -> RunFolder | None:
        known = run_of(Path(self.folder), job)
        if not known or (before_this_start and known["restart"] >= restarts()):
            return None
        path = Path(known["run"])
        match = re.search(f"{VERSION}$", path.name, re.DOTALL)
        return RunFolder(path, int(match[1])) if match and path.is_dir() else None

    def _environment(self) -> dict[str, str]:
        environment = dict(os.environ)
        for name, value in self.variables.items():
            environment.pop(name, None)
            if value is not None:
                environment[name] = value
        environment |= {FOLDER: self.folder, JOB: self.job}
        if self.code is None:
            return environment
        code = self._unpacked()
        project = f"{Path(self.project).resolve()}{os.sep}"
        path = [place for place in environment.get("PYTHONPATH", "").split(os.pathsep) if place]
        inside = [os.path.join(os.path.realpath(place), "").startswith(project) for place in path]
        moved = [str(code / os.path.relpath(place, project)) for place, own in zip(path, inside, strict=True) if own]
        rest = [place for place, own in zip(path, inside, strict=True) if not own]
        # Python would put the current folder in front: the project's code as it is now.
        environment |= {"PYTHONPATH": os.pathsep.join([*moved, str(code), *rest]), "PYTHONSAFEPATH": "1"}
        return environment | {CODE: str(code), CODE_OF: str(Path(self.project).resolve())}

    def _unpacked(self) -> Path:
        assert self.code is not None
        code = Path(self.code)
        if code.is_dir():
            return code
        from runway.pipeline.store import open_store
        from runway.snapshot import unpack_snapshot

        assert self.snapshot is not None
        store = open_store(str(self.archive), project=Path(self.project))
        archive = store.blob(f"snapshots/{self.snapshot}.tar")
        if archive is None:
            raise ExperimentError("the snapshot of this job is gone", where=f"{self.archive}", hint="submit it again")
        return unpack_snapshot(self.snapshot, archive, code.parent)

    # -- how it ends

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._asked.add(number)
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(number)

    def _mark(self) -> Any:
        """What the last checkpoint of the version is, to see whether a training has come any further."""
        run = self._own_run(self.job)
        path = run.saved_models / LAST_CHECKPOINT if run else None
        if path is None or not path.is_file():
            return None
        status = path.stat()
        return status.st_mtime_ns, status.st_size

    def _end(self, stage: str, code: int, before: Any) -> None:
        """The stage has failed or was stopped: requeue where its time was over, and leave.

        Raises:
            SystemExit: always.
        """
        code = code if code >= 0 else 128 - code
        in_time = any(number in self._asked for number in _TIME_IS_OVER)
        if rank() != 0:
            sys.exit(0 if in_time else code)  # an error here would have srun kill the first, which requeues
        if not self._asked:
            self._say(FAILED, ended=timestamp(), exit_code=code, stage=stage)
        elif not in_time or not os.environ.get("SLURM_JOB_ID"):
            self._say(STOPPED, ended=timestamp(), exit_code=code, stage=stage)
        else:
            why_not = self._why_no_requeue(stage, before) or self._requeue()
            told = {"hint": why_not} if why_not else {}
            self._say(STOPPED if why_not else REQUEUED, ended=timestamp(), exit_code=code, stage=stage, **told)
            info(why_not or "its time was over: the job is requeued, and goes on")
        sys.exit(code or 1)

    def _why_no_requeue(self, stage: str, before: Any) -> str:
        if stage in (TRAIN, TRIAL):
            if restarts() and self._mark() == before:
                return "not requeued: no checkpoint was saved since the job was started; give it more time"
        elif restarts() >= MOST_RESTARTS:
            return (
                f"not requeued: {stage} was started {restarts() + 1} times and begins anew each time; give it more time"
            )
        return ""

    def _requeue(self) -> str:
        """Have Slurm run this job again; gives why it does not."""
        name = job_id()
        assert name is not None
        try:
            done = subprocess.run(
                ["scontrol", "requeue", name], capture_output=True, text=True, timeout=60, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"not requeued: {error}"
        return f"not requeued: {done.stderr.strip() or done.stdout.strip()}" if done.returncode else ""

    def _say(self, status: str, **facts: Any) -> None:
        """Write down how the job stands."""
        if rank() != 0:
            return
        path = status_file(Path(self.folder), self.job)
        known: Mapping[str, Any] = read_if_whole(path, {}, "it is begun anew")
        own = {"job": self.job, "id": job_id(), "host": socket.gethostname(), "restarts": restarts()}
        write_json(path, {**known, **own, "status": status, **facts})
