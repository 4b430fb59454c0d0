"""``--slurm name=value …``: what is asked of Slurm, checked before anything is submitted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from runway.errors import ConfigError, RunwayError, did_you_mean, raise_collected

WHERE = "--slurm"
_TIME = re.compile(r"(?:(?P<days>\d+)-(?P<clock>\d+(?::\d+){0,2})|(?P<plain>\d+(?::\d+){0,2}))")
_MEMORY = re.compile(r"\d+(\.\d+)?([KMGT]B?)?", re.IGNORECASE)
_GPUS = re.compile(r"(?:(?P<kind>[\w.-]+):)?(?P<count>\d+)")
_WHOLE = {"nodes", "ntasks_per_node", "cpus_per_task", "cpus_per_gpu", "signal_delay_s", "array_parallelism"}
_GPU_COUNTS = {"gpus", "gpus_per_node"}
_MEMORIES = {"mem", "mem_per_cpu", "mem_per_gpu"}
_COMMANDS = {"setup", "teardown", "srun_args"}

# What says where output goes, when a job starts and how it ends: the chain stands on it.
_OWN = {
    "array": "`--sweep` makes the array; array_parallelism=N says how many run at once",
    "chdir": "jobs run where they were submitted",
    "command": "runway writes the command",
    "error": "logs go into the submission's folder: `runway jobs logs ID`",
    "export": "jobs need the environment that they were submitted from",
    "folder": "it is beside the runs",
    "gpus_per_task": "give gpus or gpus_per_node: every process must see all GPUs of its machine",
    "ntasks": "give nodes and ntasks_per_node",
    "num_gpus": "give gpus",
    "open_mode": "a job that runs again adds to its log",
    "output": "logs go into the submission's folder: `runway jobs logs ID`",
    "requeue": "a job that is stopped in time is requeued, and goes on",
    "no_requeue": "a job that is stopped in time is requeued, and goes on",
    "signal": "give signal_delay_s, the seconds that a training has to save before its time is over",
    "stderr_to_stdout": "the two are kept apart",
    "use_srun": "each process is a task of srun",
    "additional_parameters": "name the option of sbatch itself",
    "map_count": "`--sweep` makes the array",
    "wait": "the command comes back at once; see `runway jobs`",
    "wrap": "runway writes the script",
}

# Options of sbatch (Slurm 25.05) that submitit has no parameter for.
_SBATCH = """
    acctg-freq batch bb bbf begin cluster-constraint clusters container contiguous core-spec cores-per-socket cpu-freq
    deadline delay-boot distribution exclude extra-node-info gpu-bind gpu-freq gpus-per-socket gres-flags hint hold
    licenses mcs-label mem-bind mincpus network nice no-kill oom-kill-step overcommit oversubscribe prefer priority
    profile propagate reboot reservation segment sockets-per-node spread-job switches thread-spec threads-per-core
    time-min tmp tres-bind tres-per-task use-min-nodes wait-all-nodes x11
""".split()  # noqa: SIM905 - forty lines otherwise
_FLAGS = {"contiguous", "hold", "no_kill", "overcommit", "reboot", "spread_job", "use_min_nodes", "exclusive"}


def read_settings(words: Iterable[str], jobs: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What is asked for each kind of job.

    Args:
        words: ``partition=gpu``, ``time=4:00:00``, and for one kind of job only ``test.time=20``.
        jobs: the kinds: ``prepare``, ``train``, ``test`` …

    Returns:
        {kind: {parameter: value}}, in submitit's names where it has one, ``time`` in minutes.

    Raises:
        ConfigError: something is not known, or no value for it; all there is, collected.
    """
    jobs = list(jobs)
    shared: dict[str, Any] = {}
    own: dict[str, dict[str, Any]] = {job: {} for job in jobs}
    errors: list[RunwayError] = []
    for word in words:
        name, equals, value = word.partition("=")
        job, dot, inner = name.partition(".")
        place = shared
        if dot:
            if job not in jobs:
                message = f"--slurm {word}: there is no job {job!r} in this submission"
                errors.append(ConfigError(message, where=WHERE, hint=did_you_mean(job, jobs)))
                continue
            name, place = inner, own[job]
        name = _plain(name)
        if not equals and name not in _FLAGS:
            message = f"--slurm {word}: there is no value"
            errors.append(ConfigError(message, where=WHERE, hint=f"write {word}=…"))
            continue
        try:
            place[name] = _checked(name, value if equals else True)
        except ConfigError as error:
            errors.append(error)
    raise_collected(errors)
    return {job: {**shared, **own[job]} for job in jobs}


def is_option(name: str) -> bool:
    """Whether sbatch, or runway for it, has an option of this name."""
    return _plain(name) in {*_names(), *_OWN}


def _plain(name: str) -> str:
    return name.strip().lstrip("-").replace("-", "_")


def _names() -> set[str]:
    return {*known(), *(_plain(option) for option in _SBATCH), *_GPU_COUNTS}


def known() -> dict[str, Any]:
    """{parameter: default} of submitit's, for what is not runway's to set."""
    from runway.launch.submitit_jobs import parameters

    return {name: default for name, default in parameters().items() if name not in _OWN}


def _checked(name: str, value: Any) -> Any:
    if name in _OWN:
        raise ConfigError(f"--slurm {name}: runway sets it", where=WHERE, hint=_OWN[name])
    if name not in _names():
        raise ConfigError(f"--slurm {name}: sbatch has no such option", where=WHERE, hint=did_you_mean(name, _names()))
    if name in ("time", "time_min"):
        minutes = minutes_of(value)
        return minutes if name == "time" else value
    if name in _WHOLE:
        fits = value.isdecimal() and (int(value) > 0 or name == "signal_delay_s")
        return int(value) if fits else _refuse(name, value, "a whole number from 1")
    if name in _GPU_COUNTS:
        return value if _GPUS.fullmatch(value) else _refuse(name, value, "a number, or kind:number as in a100:4")
    if name in _MEMORIES:
        return value if _MEMORY.fullmatch(value) else _refuse(name, value, "a size, as in 64GB or 4000MB")
    if name in _COMMANDS:
        return [value]
    return True if value in (True, "true", "True") else value


def _refuse(name: str, value: Any, must: str) -> Any:
    raise ConfigError(f"--slurm {name} must be {must}, but is {value!r} instead", where=WHERE)


def minutes_of(text: str) -> int:
    """Slurm's ``minutes``, ``minutes:seconds``, ``hours:minutes:seconds``, ``days-hours[:minutes[:seconds]]``.

    Raises:
        ConfigError: it is none of these, or no time at all.
    """
    match = _TIME.fullmatch(str(text))
    if match is None:
        example = "240, 4:00:00 or 1-12 (minutes, hours:minutes:seconds, days-hours)"
        raise ConfigError(f"--slurm time must be a time, but is {text!r} instead", where=WHERE, hint=f"write {example}")
    if match["days"]:
        hours, minutes, seconds = (*map(int, match["clock"].split(":")), 0, 0)[:3]
        hours += 24 * int(match["days"])
    else:
        parts = list(map(int, match["plain"].split(":")))
        hours, minutes, seconds = {1: [0, *parts, 0], 2: [0, *parts], 3: parts}[len(parts)]
    whole = hours * 60 + minutes + (seconds + 59) // 60
    if whole < 1:
        raise ConfigError(f"--slurm time={text} is no time", where=WHERE, hint="in minutes, or hours:minutes:seconds")
    return whole


def gpus_of(settings: Mapping[str, Any], nodes: int) -> tuple[int, str | None]:
    """How many GPUs each machine is to have, and of which kind.

    Raises:
        ConfigError: they cannot be shared out evenly.
    """
    if "gpus_per_node" in settings:
        if "gpus" in settings:
            raise ConfigError("--slurm gpus and gpus_per_node say the same", where=WHERE, hint="give one of them")
        match = _GPUS.fullmatch(settings["gpus_per_node"])
        assert match is not None
        return int(match["count"]), match["kind"]
    if "gpus" not in settings:
        return 0, None
    match = _GPUS.fullmatch(settings["gpus"])
    assert match is not None
    each, rest = divmod(int(match["count"]), nodes)
    if rest:
        hint = f"ask for a multiple of {nodes}, or give gpus_per_node"
        raise ConfigError(f"--slurm gpus={settings['gpus']} on {nodes} machines is uneven", where=WHERE, hint=hint)
    return each, match["kind"]
