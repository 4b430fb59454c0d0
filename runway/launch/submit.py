"""One submission: the snapshot, the folder, and its jobs, each waiting for the one before it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.config.overrides import format_path
from runway.disk import replace_text
from runway.errors import ConfigError, ExperimentError
from runway.experiment.folders.run_folder import folder_name, write_json
from runway.experiment.provenance import describe_git, installed_packages, timestamp
from runway.experiment.submission import GIT_DIFF, SUBMISSION
from runway.launch.job import Start
from runway.launch.slurm_settings import read_settings
from runway.launch.stages import PREPARE, REDUCE, TRIAL, resources, stages_of
from runway.launch.submitit_jobs import local_executor, script, slurm_executor
from runway.launch.submitit_jobs import submit as submit_jobs
from runway.log import info, shown, warning
from runway.masking import hidden_words, plain_secrets
from runway.user_code import code_of

if TYPE_CHECKING:
    from runway.config.config import Config

JOBS, CODE = ".jobs", "code"
"""Beside the versions: a folder for each submission, and in ``code`` the unpacked snapshots."""
ALL = "all"
"""The name of a local job: one process after the other, with nothing to wait for."""
CONFIG = "config.json"
# What a job must find as it was where it was submitted. submitit's local executor hides GPUs that it was not told of.
_VARIABLES = ("CUDA_VISIBLE_DEVICES", "PYTHONPATH")


@dataclass
class Job:
    """One job of a submission, or an array of them.

    Args:
        kind: ``prepare``, ``train``, ``test`` …: what ``--slurm kind.name=value`` means.
        starts: what runs; several are an array.
        after: how it waits for the job before it: ``afterok``, or ``afterany``.
        settings: of ``stages.resources``.
        ids: Slurm's, once it is submitted.
    """

    kind: str
    starts: list[Start]
    settings: dict[str, Any]
    after: str = "afterok"
    ids: list[str] = field(default_factory=list)


class Submission:
    """What ``runway submit`` sends off.

    Args:
        config: as ``load_config`` gives it.
        root: the folder of the runs.
        name: the experiment's.
        flags: {stage: words for its command}, beside config and overrides.
        slurm: the words after ``--slurm``.
        stages: the stages that are wanted; by default all that the config has.
        trials: of a sweep, how many trials are an array; 0: one job runs them all. None: it is no sweep.
    """

    def __init__(
        self,
        config: Config,
        root: Path,
        name: str,
        *,
        flags: Mapping[str, Sequence[str]],
        slurm: Sequence[str] = (),
        stages: Sequence[str] | None = None,
        trials: int | None = None,
    ) -> None:
        assert config.loaded_from is not None
        self.config, self.source = config, config.loaded_from
        self.root, self.name, self.flags = root, folder_name(name, "experiment_name"), flags
        if "%" in f"{root}{name}":
            message = "logs would go elsewhere: Slurm, and submitit here, put a job's number in place of '%' in a path"
            raise ConfigError(message, where=str(root / name), hint="choose a folder, and a name, without '%'")
        if secrets := plain_secrets(config):
            raise ConfigError(
                "the config holds a secret, which would stand in the snapshot, the jobs and their commands",
                where=", ".join(format_path(place) for place in secrets),
                hint="put `env:NAME` there, and set the environment variable NAME where the jobs run",
            )
        self.trials = trials
        self.stages = self._stages(stages) if trials is None else self._stages_of_sweep(trials)
        self.settings = read_settings(slurm, self.stages)

    def _stages(self, wanted: Sequence[str] | None) -> list[str]:
        known = stages_of(self.config, can_test=wanted != [PREPARE] and self._can_test())
        if missing := [stage for stage in wanted or () if stage not in known]:
            raise ConfigError(f"the config has nothing for the stage {missing[0]!r}", where="--stages")
        if not known:
            raise ConfigError("the config has neither data nor a training nor a test", hint="what is to be submitted?")
        return [stage for stage in known if stage in (wanted or known)]

    def _can_test(self) -> bool:
        """Whether a training can be tested, as ``runway run`` does it, with a section ``test`` or without."""
        if self.config.get("train") is None:
            return False
        from runway.experiment.context import ExperimentContext
        from runway.experiment.start_checks import has_step

        return has_step(ExperimentContext(self.config).executor_class(), "test_step")

    def _stages_of_sweep(self, trials: int) -> list[str]:
        has_data = self.config.get("data_pipeline") is not None
        return [*([PREPARE] if has_data else []), *([TRIAL] if trials else []), REDUCE]

    # -- to Slurm

    def to_slurm(self) -> Path:
        """Take the snapshot and submit the jobs; gives the submission's folder.

        Raises:
            ConfigError: there is no Slurm here, or a setting does not fit.
            ExperimentError: sbatch refuses; what was submitted before is cancelled.
        """
        jobs = self.jobs(self._folder_to_be())
        for job in jobs:  # all is checked before anything is written
            slurm_executor(self.root, job.settings)
        folder, start = self._write("slurm")
        for job in jobs:
            job.starts = [start(one) for one in job.starts]
        self._submit(folder, jobs)
        return folder

    def _submit(self, folder: Path, jobs: Sequence[Job]) -> None:
        before: Job | None = None
        submitted: list[Job] = []
        try:
            for job in jobs:
                settings = dict(job.settings)
                if before is not None:
                    settings["dependency"] = f"{job.after}:{before.ids[0].partition('_')[0]}"
                job.ids = submit_jobs(slurm_executor(folder, settings), job.starts)
                submitted.append(job)
                self._note(folder, submitted)
                before = job
        except BaseException:
            ids = [job.ids[0].partition("_")[0] for job in submitted]
            if ids:
                subprocess.run(["scancel", *ids], check=False, capture_output=True)
                warning(f"cancelled again: {', '.join(ids)}")
            raise

    def scripts(self) -> dict[str, str]:
        """{kind of job: what sbatch would be given}; nothing is written."""
        jobs = self.jobs(self._folder_to_be())
        found = {}
        before = None
        for job in jobs:
            waits: dict[str, Any] = {"dependency": f"{job.after}:<id of {before}>"} if before else {}
            executor = slurm_executor(self._folder_to_be(), {**job.settings, **waits}, dry=True)
            if len(job.starts) > 1:
                executor.parameters["map_count"] = len(job.starts)
            found[job.kind] = script(executor)
            before = job.kind
        return found

    # -- on this machine

    def to_this_machine(self) -> Path:
        """Take the snapshot and start a process that runs all stages; gives the submission's folder."""
        settings = self.settings[self.stages[-1]]
        folder, start = self._write("local")
        stages = self.stages if self.trials is None else [REDUCE]  # which runs the trials that there are
        job = Job(ALL, [start(self._start(folder, ALL, stages))], {})
        job.ids = submit_jobs(local_executor(folder, settings), job.starts)
        self._note(folder, [job])
        return folder

    # -- what is submitted

    def jobs(self, folder: Path) -> list[Job]:
        """The jobs, in their order, with what each is to run on.

        Raises:
            ConfigError: the settings do not fit the config.
        """
        jobs = []
        for number, stage in enumerate(self.stages):
            settings = resources(stage, self.settings[stage], self.config)
            settings.setdefault("job_name", f"{self.name}-{stage}")
            if number and "dependency" in settings:
                del settings["dependency"]  # the first of the chain waits for it
            job = Job(stage, [self._start(folder, stage, [stage])], settings)
            if stage == TRIAL:
                job.starts = [self._start(folder, f"{TRIAL}-{n + 1}", [TRIAL], n + 1) for n in range(self.trials or 0)]
            if self.trials is not None:
                job.after = "afterany"  # a trial that fails, or whose data does, stops no other
            jobs.append(job)
        return jobs

    def _start(self, folder: Path, job: str, stages: Sequence[str], trial: int = 0) -> Start:
        own = {PREPARE: ["--only", "prepare"], TRIAL: ["--trial", str(trial)], REDUCE: []}
        commands = {stage: [stage] if self.trials is None else ["sweep", *own[stage]] for stage in stages}
        return Start(str(folder), job, list(stages), commands, str(self.source.project))

    def _folder_to_be(self) -> Path:
        return self.root / JOBS / f"{self.name}-{time.strftime('%Y%m%d-%H%M%S')}"

    def _write(self, cluster: str) -> tuple[Path, Any]:
        """Make the folder and the snapshot; gives the folder, and what completes a Start."""
        from runway.pipeline.store import DEFAULT_CACHE, open_store
        from runway.snapshot import take_snapshot, unpack_snapshot

        folder = _new_folder(self._folder_to_be())
        project = self.source.project
        url = str((self.config.get("meta") or {}).get("default_cache_dir") or DEFAULT_CACHE)
        snapshot = take_snapshot(code_of(project))
        open_store(url, project=project).keep_blob(f"snapshots/{snapshot.digest}.tar", snapshot.archive)
        code = unpack_snapshot(snapshot.digest, snapshot.archive, self.root / JOBS / CODE)
        config = self._config_file(code, folder)
        git, diff = describe_git(project)
        if diff:
            replace_text(folder / GIT_DIFF, diff)
        self._facts: dict[str, Any] = {
            "name": folder.name,
            "cluster": cluster,
            "submitted": timestamp(),
            "experiment": self.name,
            "config": str(self.source.path),
            "overrides": list(self.source.overrides),
            "command": hidden_words(sys.argv),
            "project": str(project),
            "snapshot": snapshot.digest,
            "not_in_snapshot": snapshot.left_out,
            "resolved": CONFIG,
            "git": git,
            "packages": installed_packages(),
            "jobs": [],
        }
        write_json(folder / CONFIG, self.config.to_dict())
        write_json(folder / SUBMISSION, self._facts)
        words = [str(config), *(self.source.overrides if config.name != CONFIG else ()), "--project", str(project)]
        variables = {name: os.environ.get(name) for name in _VARIABLES}

        def complete(start: Start) -> Start:
            start.folder = str(folder)
            start.commands = {
                stage: [*start.commands[stage], *words, *self.flags.get(stage, ())] for stage in start.stages
            }
            start.code, start.snapshot, start.archive = str(code), snapshot.digest, url
            start.variables = variables
            return start

        return folder, complete

    def _config_file(self, code: Path, folder: Path) -> Path:
        """The config in the snapshot; where not all of its files are in it, what it resolves to."""
        project = code_of(self.source.project)
        names = [os.path.relpath(file, project) for file in (self.source.path, *self.source.files)]
        if all(not name.startswith("..") and (code / name).is_file() for name in names):
            return code / names[0]
        info("the config has files that are not in the snapshot: the jobs take what it resolves to now")
        return folder / CONFIG

    def _note(self, folder: Path, jobs: Sequence[Job]) -> None:
        """Write down the ids, one job after the other: what was submitted is known whatever happens to this process."""
        self._facts["jobs"] = [
            {"job": start.job, "kind": job.kind, "id": name, "stages": start.stages}
            for job in jobs
            for start, name in zip(job.starts, job.ids, strict=True)
        ]
        write_json(folder / SUBMISSION, self._facts)


def _new_folder(wanted: Path) -> Path:
    """A folder of this name, or with a number behind it; no other process gets the same one."""
    wanted.parent.mkdir(parents=True, exist_ok=True)
    for number in range(1, 1000):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise ExperimentError("there are too many submissions of this second", where=shown(wanted))
