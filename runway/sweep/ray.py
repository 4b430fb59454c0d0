"""Trials on a Ray cluster: each a task with its resources, which runs `runway train` on a snapshot of the project.

Where a machine sees the experiment's folder, the trial's version is made in it; elsewhere it is made on the machine,
packed, and sent back.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import runway
from runway.errors import ConfigError, RunwayError
from runway.experiment.folders.file_names import PROVENANCE, TRAIN
from runway.experiment.folders.in_use import VERSION
from runway.experiment.folders.run_folder import ExperimentFolder
from runway.experiment.provenance import TRIAL
from runway.log import info, warning
from runway.pipeline.runners.ray import connection, need_ray
from runway.pipeline.runners.ray_task import link_data
from runway.pipeline.runners.resources import THREADS
from runway.pipeline.store import open_store
from runway.snapshot import machine_folder, take_snapshot, unpack_snapshot
from runway.sweep.processes import STOP_SECONDS, Job

if TYPE_CHECKING:
    from runway.pipeline.store.base import Store

_LOOK_SECONDS = 0.2
_LOST = -9
_FILE_SECONDS = 10.0
"""How long a trial may take to see the file that asks it to stop; after that its task is cancelled."""


class Delivery(NamedTuple):
    """What a task needs of the sweep.

    Attributes:
        project: the project's folder, as the sweep sees it.
        digest: of the project's snapshot.
        archive: the snapshot.
        root: the folder of the experiment's versions, as the sweep sees it.
        token: a file in it, with the text that only this sweep knows: who reads it sees the folder.
        store: the cache's folder or URL.
        blob: the token in the cache.
    """

    project: Path
    digest: str
    archive: bytes
    root: Path
    token: Path
    store: str
    blob: str


class Answer(NamedTuple):
    """What comes back of a task.

    Attributes:
        code: the process's exit code.
        machine: where it ran.
        log: what the process said, where the log is not seen there.
        version: the packed version, where the experiment's folder is not seen there.
        experiment: its experiment's name.
        blind: what the machine does not see, in words.
    """

    code: int
    machine: str
    log: bytes | None = None
    version: bytes | None = None
    experiment: str = ""
    blind: tuple[str, ...] = ()


class RayTrials:
    """Starts trials as tasks of Ray, as ``Process`` starts them here.

    Args:
        resources: ``num_cpus`` and ``num_gpus`` of one trial.
        delivery: what every task needs.
    """

    def __init__(self, resources: Mapping[str, float], delivery: Delivery) -> None:
        self.ray = need_ray()
        machines = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        gpus = max((machine.get("GPU", 0.0) for machine in machines), default=0.0)
        cores = max((machine.get("CPU", 0.0) for machine in machines), default=0.0)
        self.cpus = float(resources.get("num_cpus") or 1)
        self.gpus = float(resources["num_gpus"]) if "num_gpus" in resources else min(1.0, gpus)
        for name, wanted, most in (("num_gpus", self.gpus, gpus), ("num_cpus", self.cpus, cores)):
            if wanted > most:  # Ray would wait for ever
                what = "GPUs" if name == "num_gpus" else "cores"
                message = f"a trial wants {wanted:g} {what}, and no machine of the Ray cluster has more than {most:g}"
                raise ConfigError(message, where=f"sweep.resources.{name}", hint="ask for fewer")
        fitting = [
            min(
                machine.get("CPU", 0.0) // self.cpus if self.cpus else 1e9,
                machine.get("GPU", 0.0) // self.gpus if self.gpus else 1e9,
            )
            for machine in machines
        ]
        self.at_once = max(1, int(sum(fitting)))
        self.root = delivery.root
        self.stops = delivery.token.parent
        self._delivery = self.ray.put(delivery)
        self._function = self.ray.remote(max_retries=0)(run_trial)

    def start(self, job: Job) -> RayTask:
        """Hand a trial to Ray, which finds a place for it; trials are spread over the machines."""
        function = self._function.options(
            num_cpus=self.cpus, num_gpus=self.gpus, scheduling_strategy="SPREAD", name=f"trial {job.log.stem}"
        )
        if not job.config.is_relative_to(job.project):
            hint = "the project's code goes to the machines as a snapshot of that folder; put the config into it"
            raise ConfigError(
                f"the config is not in the project's folder, {job.project}", where=str(job.config), hint=hint
            )
        stop = self.stops / f".{job.log.stem}.stop"
        stop.unlink(missing_ok=True)
        threads = str(max(1, int(self.cpus)))
        job = job._replace(variables={**dict.fromkeys(THREADS, threads), **job.variables})
        return RayTask(self, function.remote(self._delivery, job, str(stop)), job, stop)


class RayTask:
    """A trial that Ray runs; it is asked as a ``Process`` is."""

    def __init__(self, trials: RayTrials, answer: Any, job: Job, stop: Path) -> None:
        self.trials, self.job = trials, job
        self._answer, self._stop = answer, stop
        self._code: int | None = None
        self.machine: str | None = None
        self._asked_at: float | None = None
        self._cancelled = False
        self.started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since it was handed to Ray."""
        return time.monotonic() - self.started

    def poll(self) -> int | None:
        """Its exit code; None while it waits or runs. What it has sent back is put in its place first."""
        ray = self.trials.ray
        if self._asked_at is not None and not self._cancelled and time.monotonic() - self._asked_at > _FILE_SECONDS:
            self._cancelled = True
            ray.cancel(self._answer, force=False)
        if self._code is None and ray.wait([self._answer], timeout=0)[0]:
            self._code = self._take()
            self._stop.unlink(missing_ok=True)
        return self._code

    def _take(self) -> int:
        ray = self.trials.ray
        try:
            answer: Answer = ray.get(self._answer)
        except ray.exceptions.TaskCancelledError:
            return -signal.SIGTERM
        except ray.exceptions.RayError as error:
            with self.job.log.open("a", encoding="utf-8") as log:
                log.write(f"Ray has lost the trial: {type(error).__name__}: {' '.join(str(error).split())[:500]}\n")
            return _LOST if isinstance(error, ray.exceptions.WorkerCrashedError) else 1
        if answer.log is not None:
            with self.job.log.open("ab") as log:
                log.write(answer.log)
        self.machine = answer.machine
        for told in answer.blind:
            warning(f"{answer.machine} {told}", once=True)
        if answer.version is not None:
            run = ExperimentFolder(self.trials.root, answer.experiment).claim()
            unpack_version(answer.version, run.path)
        return answer.code

    def stop(self) -> None:
        """Ask it to save its state and end, by a file; where that is not seen, the task is cancelled a little later."""
        if self._asked_at is None:
            self._asked_at = time.monotonic()
            self._stop.touch()

    def kill(self) -> None:
        """End it at once."""
        self.trials.ray.cancel(self._answer, force=True)


@contextlib.contextmanager
def ray_trials(
    address: str | None, resources: Mapping[str, float], project: Path, folder: ExperimentFolder, store: Store
) -> Iterator[RayTrials]:
    """A connection to Ray, with the project's code on its way to it.

    Args:
        address: of a cluster; None: a Ray of this machine is started.
        resources: of one trial.
        project: the project's folder.
        folder: the experiment's versions.
        store: the cache.

    Raises:
        ConfigError: Ray is not installed or not reached, or a trial wants what no machine has.
    """
    from runway.pipeline.runners.resources import cpus

    text, sweeps = uuid.uuid4().hex, folder.root / f"{folder.name}_sweeps"
    token, blob = sweeps / f".token-{text}", f"tokens/{text}"
    with contextlib.ExitStack() as stack:
        stack.enter_context(connection(address, cpus()))
        sweeps.mkdir(parents=True, exist_ok=True)
        token.write_text(text, encoding="utf-8")
        stack.callback(token.unlink, missing_ok=True)
        snapshot = take_snapshot(project)
        store.keep_blob(blob, token)
        stack.callback(store.drop_blob, blob)
        archive = snapshot.archive.read_bytes()
        delivery = Delivery(project, snapshot.digest, archive, folder.root, token, store.url, blob)
        trials = RayTrials(resources, delivery)
        info(f"Ray: {len(need_ray().nodes())} machines, {trials.at_once} trials at once")
        yield trials


# --- on a worker


def run_trial(delivery: Delivery, job: Job, stop: str) -> Answer:
    """Run one trial on this machine.

    Args:
        delivery: what the sweep has sent.
        job: the command.
        stop: a file that is there once the trial is to end.
    """
    if Path(stop).exists():
        return Answer(-signal.SIGTERM, _machine())
    here = machine_folder()
    sees_runs = _reads(delivery.token, delivery.token.name.removeprefix(".token-"))
    project = _project(delivery, here)
    blind, settings = [], {}
    root = delivery.root
    if not sees_runs:
        root = here / "experiments" / uuid.uuid4().hex
        blind.append(f"does not see {delivery.root}: its trials are sent back when they are done, and cannot resume")
    settings["meta.EXPERIMENT_FOLDER"] = str(root)
    if _sees_store(delivery, here):
        settings["meta.default_cache_dir"] = delivery.store
    else:
        settings["meta.default_cache_dir"] = str(here / "cache")
        blind.append(f"does not see the cache {delivery.store}: it prepares the data of its trials itself")
    log = job.log if sees_runs else root / "trial.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    facts = json.loads(job.variables[TRIAL])
    facts |= {"parent": os.getpid()} | ({} if sees_runs else {"lock": str(root / "trial.lock")})
    words = [*job.words, *(f"{path}={json.dumps(value)}" for path, value in settings.items())]
    if not sees_runs:  # nor the version that it was to go on with
        words = [word for word in words if word != "--resume" and not word.startswith("exp_version=")]
    job = job._replace(config=project / job.config.relative_to(delivery.project), project=project, words=words, log=log)
    variables = {**os.environ, **job.variables, TRIAL: json.dumps(facts)}
    own = str(Path(runway.__file__).resolve().parent.parent)  # Ray has found it there, installed or not
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, [own, variables.get("PYTHONPATH")]))
    code = _run(job, variables, Path(stop))
    machine = _machine()
    if sees_runs:
        return Answer(code, machine, blind=tuple(blind))
    try:
        made = next(iter(root.glob(f"*/{TRAIN}/{PROVENANCE}")), None)
        is_whole = made is not None and code not in (130, -signal.SIGTERM)  # what was stopped cannot go on here
        version = pack_version(made.parent.parent) if made is not None and is_whole else None
        name = re.sub(f"{VERSION}$", "", made.parent.parent.name) if made is not None else ""
        return Answer(code, machine, log.read_bytes(), version, name, tuple(blind))
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _run(job: Job, variables: Mapping[str, str], stop: Path) -> int:
    asked: float | None = None
    with job.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "runway", *job.arguments],
            cwd=job.project,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while (code := process.poll()) is None:
                if asked is None and stop.exists():
                    asked = time.monotonic()
                    process.terminate()
                elif asked is not None and time.monotonic() - asked > STOP_SECONDS:
                    process.kill()
                time.sleep(_LOOK_SECONDS)
            return code
        except BaseException:  # the task is cancelled
            if asked is None:
                process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            process.kill()
            raise


def _machine() -> str:
    """The machine, and the number that Ray has for it: two may have one name."""
    ray = sys.modules.get("ray")
    inside = ray is not None and ray.is_initialized()
    return socket.gethostname() + (f" ({ray.get_runtime_context().get_node_id()[:8]})" if ray and inside else "")


def _project(delivery: Delivery, here: Path) -> Path:
    """The project's code as it was when the sweep began, and its data where this machine sees it."""
    from runway.pipeline.keys.fingerprint import combine

    archive = here / f"{delivery.digest}-{os.getpid()}.tar"
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.write_bytes(delivery.archive)
    try:
        folder = here / "projects" / combine(str(delivery.project))[:12]
        project = unpack_snapshot(delivery.digest, archive, folder)
    finally:
        archive.unlink(missing_ok=True)
    if delivery.project.is_dir():
        link_data(delivery.project, project)
    return project


def _reads(token: Path, text: str) -> bool:
    try:
        return token.read_text(encoding="utf-8") == text
    except OSError:
        return False


def _sees_store(delivery: Delivery, here: Path) -> bool:
    try:
        found = open_store(delivery.store, project=here).blob(delivery.blob)
        return found is not None and found.read_text(encoding="utf-8") == delivery.blob.removeprefix("tokens/")
    except (RunwayError, OSError):
        return False


def pack_version(version: Path) -> bytes:
    """A version's folder as a zip file."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
        for path in sorted(version.rglob("*")):
            archive.write(path, path.relative_to(version))
    return packed.getvalue()


def unpack_version(packed: bytes, folder: Path) -> None:
    """Unpack what ``pack_version`` has made; nothing leaves the folder: it has no links, and ``..`` is dropped."""
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        archive.extractall(folder)
