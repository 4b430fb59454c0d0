"""Slurm's commands, enough of them: scripts on the PATH that queue jobs in a folder, and a cluster that a test runs.

``sbatch`` only queues. ``FakeSlurm.run()`` is the cluster: it runs what may run, one job after the other, as Slurm
does: the script with the variables of the job, ``srun`` starting its tasks, dependencies, arrays, requeues.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

COMMANDS = ("sbatch", "srun", "squeue", "sacct", "scontrol", "scancel")
STATE = "FAKE_SLURM"


class FakeSlurm:
    """A cluster of one machine.

    Args:
        folder: its jobs, and the commands.
    """

    def __init__(self, folder: Path) -> None:
        self.jobs = folder / "jobs"
        self.bin = folder / "bin"
        for path in (self.jobs, self.bin):
            path.mkdir(parents=True)
        for name in COMMANDS:
            file = self.bin / name
            file.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" {name} "$@"\n')
            file.chmod(0o755)

    @property
    def env(self) -> dict[str, str]:
        """What a process needs to see the cluster."""
        return {"PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}", STATE: str(self.jobs)}

    def job(self, name: str) -> dict[str, Any]:
        """What is known of a job."""
        return read(self.jobs / f"{name}.json")

    def names(self) -> list[str]:
        """All jobs, in the order of their submission."""
        return sorted((path.stem for path in self.jobs.glob("*.json")), key=lambda name: [*map(int, name.split("_"))])

    def run(self, most: int = 20, meanwhile: Callable[[str, subprocess.Popen[bytes]], None] | None = None) -> list[str]:
        """Run what may run until nothing more may; gives the names in that order.

        Args:
            most: jobs to run at most: a job that requeues itself for ever is a failure.
            meanwhile: called with each job and its process while it runs.
        """
        ran = []
        while (name := self._next()) is not None:
            assert len(ran) < most, f"the queue does not get empty: {ran}"
            ran.append(name)
            self._run(name, meanwhile)
        return ran

    def _next(self) -> str | None:
        for name in self.names():
            job = self.job(name)
            if job["state"] != "PENDING":
                continue
            kind, _, others = str(job["options"].get("dependency", "")).partition(":")
            states = [self.job(other)["state"] for other in self.names() if other.split("_")[0] == others]
            if any(state in ("PENDING", "RUNNING") for state in states):
                continue
            if kind == "afterok" and any(state != "COMPLETED" for state in states):
                change(self.jobs / f"{name}.json", state="CANCELLED", reason="DependencyNeverSatisfied")
                continue
            return name
        return None

    def _run(self, name: str, meanwhile: Callable[[str, subprocess.Popen[bytes]], None] | None) -> None:
        file = self.jobs / f"{name}.json"
        job = read(file)
        tasks = int(job["options"].get("ntasks-per-node", 1)) * int(job["options"].get("nodes", 1))
        known = {
            "SLURM_JOB_ID": job["raw_id"],
            "SLURM_JOB_NAME": job["options"].get("job-name", "script"),
            "SLURM_NTASKS": str(tasks),
            "SLURM_NTASKS_PER_NODE": job["options"].get("ntasks-per-node", "1"),
            "SLURM_NNODES": job["options"].get("nodes", "1"),
            "SLURM_JOB_NODELIST": "localhost",
            "SLURM_NODELIST": "localhost",
            "SLURM_PROCID": "0",
            "SLURM_LOCALID": "0",
            "SLURM_NODEID": "0",
        }
        if "_" in name:
            known["SLURM_ARRAY_JOB_ID"], known["SLURM_ARRAY_TASK_ID"] = name.split("_")
        if job["restarts"]:
            known["SLURM_RESTART_COUNT"] = str(job["restarts"])
        change(file, state="RUNNING")
        process = subprocess.Popen(
            ["bash", "-c", job["script"]],
            env={**job["env"], **known},
            cwd=job["cwd"],
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        change(file, pid=process.pid)
        if meanwhile is not None:
            meanwhile(name, process)
        error = process.communicate(timeout=300)[1]
        job = read(file)
        if job["requeue"]:
            change(file, state="PENDING", requeue=False, restarts=job["restarts"] + 1)
        elif job["state"] == "RUNNING":
            change(file, state="FAILED" if process.returncode else "COMPLETED", stderr=error.decode()[-2000:])


def warn_of_the_end(process: subprocess.Popen[bytes]) -> None:
    """What Slurm does some time before a job's time is over: SIGUSR2 to all processes of its steps."""
    for pid in _descendants(process.pid):
        if "submitit" in (arguments := _arguments(pid)) or "runway" in arguments:
            os.kill(pid, signal.SIGUSR2)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes], seconds: float = 120) -> None:
    """Wait until something is so, or the process has ended."""
    deadline = time.monotonic() + seconds
    while not condition() and process.poll() is None:
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.02)


def _descendants(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(child): int(parent) for child, parent in map(str.split, listed.splitlines())}
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


def _arguments(pid: int) -> str:
    command = ["ps", "-ww", "-p", str(pid), "-o", "args="]
    text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return "" if "fake_slurm" in text or text.startswith("bash") else text


# --- the commands


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def change(path: Path, **facts: Any) -> None:
    known = read(path) if path.exists() else {}
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps({**known, **facts}))
    temporary.replace(path)


def sbatch(jobs: Path, arguments: list[str]) -> None:
    script = Path(arguments[-1]).read_text()
    found = re.findall(r"^#SBATCH --([\w-]+)(?:=(.*))?$", script, re.MULTILINE)
    options = {name: value.strip("'") for name, value in found}
    if options.get("partition") == "closed":
        sys.exit("sbatch: error: invalid partition specified: closed")
    number = 100 + len({path.stem.split("_")[0] for path in jobs.glob("*.json")})
    array = re.fullmatch(r"0-(\d+)(%\d+)?", options.get("array", ""))
    for task in range(int(array[1]) + 1) if array else [None]:
        name = f"{number}" if task is None else f"{number}_{task}"
        raw = str(number if task is None else number * 10 + task)
        facts = {"script": script, "options": options, "env": dict(os.environ), "cwd": os.getcwd(), "raw_id": raw}
        change(jobs / f"{name}.json", **facts, state="PENDING", reason="", restarts=0, requeue=False)
    print(f"Submitted batch job {number}")


def srun(jobs: Path, arguments: list[str]) -> None:
    outputs = {}
    while arguments[0].startswith("--"):
        option = arguments.pop(0)
        if option in ("--output", "--error"):
            outputs[option] = arguments.pop(0)
    env = os.environ
    job = env.get("SLURM_ARRAY_JOB_ID", env["SLURM_JOB_ID"])

    def opened(option: str, task: int) -> Any:
        name = outputs[option].replace("%j", env["SLURM_JOB_ID"]).replace("%t", str(task)).replace("%A", job)
        return open(name.replace("%a", env.get("SLURM_ARRAY_TASK_ID", "")), "ab")

    processes = [
        subprocess.Popen(
            arguments,
            stdout=opened("--output", task),
            stderr=opened("--error", task),
            env={**env, "SLURM_PROCID": str(task), "SLURM_LOCALID": str(task), "SLURM_STEP_ID": "0"},
        )
        for task in range(int(env["SLURM_NTASKS"]))
    ]
    sys.exit(max(process.wait() for process in processes))


def _asked(jobs: Path, arguments: list[str]) -> list[tuple[str, dict[str, Any]]]:
    wanted = next(argument.partition("=")[2].split(",") for argument in arguments if argument.startswith("--jobs="))
    paths = [path for path in sorted(jobs.glob("*.json")) if path.stem.split("_")[0] in wanted]
    return [(path.stem, read(path)) for path in paths]


def squeue(jobs: Path, arguments: list[str]) -> None:
    for name, job in _asked(jobs, arguments):
        if job["state"] in ("PENDING", "RUNNING"):
            print(f"{name}|{job['state']}|{'Dependency' if job['options'].get('dependency') else 'None'}")


def sacct(jobs: Path, arguments: list[str]) -> None:
    for name, job in _asked(jobs, arguments):
        print(f"{name}|{job['state']}|{job['reason'] or 'None'}")


def scontrol(jobs: Path, arguments: list[str]) -> None:
    action, name = arguments
    if action != "requeue" or not (jobs / f"{name}.json").exists():
        sys.exit(f"scontrol: error: Invalid job id {name}")
    change(jobs / f"{name}.json", requeue=True)


def scancel(jobs: Path, arguments: list[str]) -> None:
    for path in jobs.glob("*.json"):
        if path.stem in arguments or path.stem.split("_")[0] in arguments:
            job = read(path)
            if job["state"] == "RUNNING":
                os.killpg(job["pid"], signal.SIGTERM)
            if job["state"] in ("PENDING", "RUNNING"):
                change(path, state="CANCELLED")


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(os.environ[STATE]), sys.argv[2:])
