"""What runway takes from submitit: its parameters, its executors, and the few private names behind them.

Read in submitit 1.5.4. submitit writes the script, calls sbatch and keeps the logs; in the job its own signal handlers
are replaced (``job.py``): they would requeue from inside a handler, before a training has saved anything.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.errors import ConfigError, ExperimentError

if TYPE_CHECKING:
    from runway.launch.job import Start

GRACE_SECONDS = 120
"""Before its time is over a job is told to save: as long as a large checkpoint takes to be written."""
_A_YEAR = 365 * 24 * 60


def _submitit() -> Any:
    try:
        import submitit
    except ImportError:
        raise ConfigError(
            "jobs need the package submitit, which is not installed", hint="pip install 'runway-for-ml[slurm]'"
        ) from None
    return submitit


def parameters() -> dict[str, Any]:
    """{name: default} of what submitit can write into a script."""
    _submitit()
    from submitit.slurm.slurm import _get_default_parameters

    return dict(_get_default_parameters())


def slurm_executor(folder: Path, settings: Mapping[str, Any], *, dry: bool = False) -> Any:
    """submitit's executor for one job of a submission.

    Args:
        folder: the submission's; scripts and logs go there.
        settings: of ``stages.resources``, with ``job_name`` and perhaps ``dependency``.
        dry: for its script only, so there need be no Slurm.

    Raises:
        ConfigError: there is no Slurm here, or submitit refuses a setting.
    """
    base = _submitit().SlurmExecutor

    class Executor(base):  # type: ignore[misc, valid-type]
        @classmethod
        def name(cls) -> str:
            return "slurm"

        @classmethod
        def affinity(cls) -> int:
            return 2 if dry else base.affinity()

    if not dry:
        check_slurm()
    known = parameters()
    own = {name: value for name, value in settings.items() if name in known}
    others = {name.replace("_", "-"): value for name, value in settings.items() if name not in known}
    own.setdefault("signal_delay_s", GRACE_SECONDS)
    own["srun_args"] = ["--kill-on-bad-exit=1", *own.get("srun_args", [])]
    own["wckey"] = own.get("wckey") if "wckey" in settings else None
    own["additional_parameters"] = {**others, "requeue": True, "kill-on-invalid-dep": "yes"}
    executor = Executor(folder)
    try:
        executor.update_parameters(**{name: value for name, value in own.items() if value is not None})
    except (TypeError, ValueError) as error:
        raise ConfigError(" ".join(str(error).split())[:300], where="--slurm") from error
    # submitit's defaults are a key that most clusters do not know, and five minutes; None leaves it to the cluster.
    executor.parameters |= {"wckey": own["wckey"], "time": own.get("time")}
    return executor


def check_slurm() -> None:
    """Raise where this machine cannot submit.

    Raises:
        ConfigError: there is no ``sbatch`` or no ``srun``.
    """
    import shutil

    missing = [name for name in ("sbatch", "srun") if shutil.which(name) is None]
    if missing:
        raise ConfigError(
            f"there is no {' and no '.join(missing)} on this machine, so nothing can be submitted to Slurm",
            hint="submit from a login node; --local runs the job here, --dry-run prints its script",
        )


def script(executor: Any) -> str:
    """What sbatch would be given."""
    return executor._make_submission_file_text(executor._submitit_command_str, "dry-run")


def submit(executor: Any, starts: Sequence[Start]) -> list[str]:
    """Submit one job, or an array of several; gives their ids (``12``, or ``12_0``, ``12_1`` …).

    Raises:
        ExperimentError: sbatch refuses.
    """
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    try:
        with _without_streams() if executor.name() == "local" else nullcontext():
            jobs = executor.submit_array(list(starts)) if len(starts) > 1 else [executor.submit(starts[0])]
    except (FailedJobError, FailedSubmissionError, OSError) as error:
        reason = " ".join(str(error).split())[:500]
        raise ExperimentError(f"sbatch refuses the job: {reason}", where="--slurm") from error
    return [str(job.job_id) for job in jobs]


def local_executor(folder: Path, settings: Mapping[str, Any]) -> Any:
    """submitit's executor for a process on this machine, which outlives the command."""
    _submitit()
    from submitit.local.local import LocalExecutor

    executor = LocalExecutor(folder)
    minutes = settings.get("time", _A_YEAR)
    executor.update_parameters(timeout_min=minutes, signal_delay_s=settings.get("signal_delay_s", GRACE_SECONDS))
    return executor


@contextmanager
def _without_streams() -> Iterator[None]:
    """What is started in the block writes nowhere: whoever reads this command's output must not wait for its end."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(number) for number in range(3)]
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        for number in range(3):
            os.dup2(nothing, number)
        yield
    finally:
        for number, stream in enumerate(kept):
            os.dup2(stream, number)
            os.close(stream)
        os.close(nothing)


def logs_of(folder: Path, job_id: str) -> list[Path]:
    """The logs of a job, of every process; the first one's output first."""
    found = []
    for path in folder.glob(f"{job_id}_*_log.*"):
        match = re.fullmatch(rf"{re.escape(job_id)}_(\d+)_log\.(out|err)", path.name)
        if match:
            found.append((int(match[1]), match[2] != "out", path))
    return [path for _, _, path in sorted(found)]


def is_running_here(job_id: str, folder: Path) -> bool:
    """Whether the process of a local job lives: the number may be another's by now."""
    done = subprocess.run(["ps", "-ww", "-p", job_id, "-o", "args="], capture_output=True, text=True, check=False)
    return "submitit.local._local" in done.stdout and str(folder) in done.stdout
