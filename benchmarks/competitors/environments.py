"""An environment of its own for each system that runway is measured against, made when it is first needed.

Each is pinned to the version that was current when the figures were taken; where that cannot be had, the newest
that installs is taken, and the tables say which it was. None of them needs torch.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
DEFAULT_FOLDER = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "runway-bench"

# name in the tables: (distribution, version, script)
SYSTEMS = {
    "joblib.Memory": ("joblib", "1.6.0", "with_joblib.py"),
    "Hamilton": ("sf-hamilton", "1.90.0", "with_hamilton.py"),
    "Kedro": ("kedro", "1.7.0", "with_kedro.py"),
    "FluidML": ("fluidml", "0.3.4", "with_fluidml.py"),
    "Tango": ("ai2-tango", "1.3.2", "with_tango.py"),
}


@dataclass(frozen=True)
class System:
    """A system that is ready to be measured.

    Attributes:
        name: Its name in the tables, with the version.
        command: Interpreter and script; the job's arguments follow.
    """

    name: str
    command: tuple[str, ...]


def ensure(name: str, folder: Path) -> System:
    """Make a system's environment, or reuse the one that is there.

    Args:
        name: A key of `SYSTEMS`.
        folder: Where the environments are kept.

    Returns:
        The system, ready to run.

    Raises:
        RuntimeError: Neither the pinned version nor any other installs; holds pip's own words.
    """
    distribution, version, script = SYSTEMS[name]
    environment = folder / f"{distribution}-{version}"
    python = environment / "bin" / "python"
    ready = environment / ".ready"
    if not ready.exists():
        print(f"making an environment for {distribution}=={version} in {environment}", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(environment)], check=True)
        install(python, f"{distribution}=={version}", distribution)
        question = f"import importlib.metadata as m; print(m.version({distribution!r}))"
        installed = subprocess.run([str(python), "-c", question], check=True, capture_output=True, text=True).stdout
        ready.write_text(installed.strip(), encoding="utf-8")
    return System(f"{name} {ready.read_text(encoding='utf-8')}", (str(python), str(HERE / script)))


def install(python: Path, *requirements: str) -> None:
    """Install the first requirement that can be had."""
    for requirement in requirements:
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
    raise RuntimeError(f"{requirements[0]} does not install:\n{done.stderr.strip()}")
