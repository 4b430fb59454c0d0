"""A pipeline over all formats of the store, runs of it that are killed at a chosen place, and what must be the same."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from runway.cli.app import main
from tests.faults import watch
from tests.faults.watch import KILL, RUN, KillAt, exit_code, kill, living

COUNTS = "KILL_COUNTS"
OF_THE_RUN = {"created", "seconds", "seal", "upload", "elsewhere"}
"""What an entry says of the run that made it."""
LIGHT = ("inline", "none", "text", "json", "object", "pickle")
"""What is kept without a library that takes seconds to import."""

CODE = """
import sys
import time
from pathlib import Path
from runway import BaseTransform, register_transform_functor
from tests.faults import storage

sys.path.append(str(Path(__file__).parents[2] / "site-packages"))
import watch_of_kills
watch_of_kills.arm()

class Own(storage.Own):
    pass

def note(name):
    with Path("trace.log").open("a") as file:
        file.write(name + "\\n")

class Noted(BaseTransform):
    def setup(self, kind, seconds=0.0, **kwargs):
        super().setup(**kwargs)
        self.kind, self.seconds = kind, seconds

    def _call(self, data):
        note(self.name)
        time.sleep(self.seconds)
        return self.value()

@register_transform_functor
class Light(Noted):
    def value(self):
        return Own() if self.kind == "object" else storage.light_values()[self.kind]

@register_transform_functor
class Heavy(Noted):
    def value(self):
        return storage.values()[self.kind]

@register_transform_functor
class Told(BaseTransform):
    def _call(self, data):
        note(self.name)
        return storage.told(data)
"""


def write_project(folder: Path, kinds: Iterable[str], *, seconds: float = 0.0) -> None:
    """A project with a node for each kind of value, and one that tells each (``none`` is not kept by the store)."""
    nodes: dict[str, Any] = {}
    for kind in kinds:
        settings = {"kind": kind, **({"seconds": seconds} if seconds else {})}
        nodes[f"output:{kind}"] = {
            "transform_name": "Light" if kind in LIGHT else "Heavy",
            "setup_kwargs": settings,
        }
        nodes[f"output:told_{kind}"] = {"transform_name": "Told", "input_node": f"output:{kind}"}
    config = {
        "experiment_name": "killed",
        "meta": {"default_cache_dir": "cache", "allow_pickle": True, "seed": 7, "logger_enable": []},
        "data_pipeline": {"transforms": nodes},
    }
    (folder / "src/data_ops").mkdir(parents=True)
    (folder / "src/data_ops/killed.py").write_text(CODE, encoding="utf-8")
    (folder / "site-packages").mkdir()
    shutil.copyfile(watch.__file__, folder / "site-packages/watch_of_kills.py")
    (folder / "killed.jsonnet").write_text(json.dumps(config), encoding="utf-8")


def start(project: Path, arguments: list[str], environment: Mapping[str, str], log: Path) -> int:
    """A command in a fork, which has what this process has imported; gives its process."""
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        os.setsid()
        os.chdir(project)
        os.environ.update({RUN: str(project), "TMPDIR": str(project / "tmp"), **environment})
        tempfile.tempdir = None
        (project / "tmp").mkdir(exist_ok=True)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        code = main(arguments)
        if COUNTS in os.environ:
            counts = sys.modules["watch_of_kills"].counts()
            Path(os.environ[COUNTS]).write_text(json.dumps(counts), encoding="utf-8")
    finally:
        os._exit(code)  # to tear the copy of all that was imported down takes longer than the run


def prepare(project: Path, *more: str, at: KillAt | None = None, counts: Path | None = None) -> int:
    """``runway prepare`` to its end; gives its exit code, or minus the signal that ended it."""
    environment = {KILL: json.dumps(at) if at else "", **({COUNTS: str(counts)} if counts else {})}
    child = start(project, ["prepare", "killed.jsonnet", *more], environment, project / "log")
    return exit_code(child, 120)


def all_gone(project: Path, seconds: float) -> bool:
    """Whether no process of the project's runs is left, at the latest after so many seconds."""
    limit = time.monotonic() + seconds
    while left := living(str(project)):
        if time.monotonic() > limit:
            for process in left:
                kill(process)
            return False
        time.sleep(0.02)
    return True


def clean(project: Path) -> None:
    """Without a cache, as before the first run."""
    for name in ("cache", "bucket", "tmp"):
        shutil.rmtree(project / name, ignore_errors=True)
    for path in (project / "log", project / "trace.log", *project.glob("killed*")):
        if path.suffix != ".jsonnet":
            path.unlink(missing_ok=True)


def kept(root: Path) -> dict[str, bytes]:
    """{name: bytes} of all that is in a cache, but for what tells of the run that made it, and for the copies."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = re.sub(r"^([0-9a-f]{2}/[0-9a-f]{32})/[0-9a-f]{32}\b", r"\1/payload", path.relative_to(root).as_posix())
        if name.startswith("remote"):
            continue
        data = path.read_bytes() if path.is_file() else b""
        if path.name == "meta.json":
            meta = {part: value for part, value in json.loads(data).items() if part not in OF_THE_RUN}
            meta["files"] = {file: (facts[0], facts[2]) for file, facts in meta["files"].items()}
            data = json.dumps(meta).encode()
        elif path.name == "journal.jsonl":
            data = b""
        found[name] = data
    return found


def differences(whole: Mapping[str, bytes], now: Mapping[str, bytes], *, may_lack: bool = False) -> list[str]:
    """What is another, is missing, or is there in addition."""
    names = now if may_lack else {**whole, **now}
    return [name for name in names if whole.get(name) != now.get(name)]


def told_by(seconds: float, *command: str) -> str:
    """What Python says in a process of its own, whose forks do not mix with pytest's threads; raise where it fails."""
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, *command],
        cwd=root, env=environment, capture_output=True, text=True, timeout=seconds, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout
