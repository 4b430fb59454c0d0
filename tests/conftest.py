"""Fixtures that every test may use: a temporary project folder and the real command run in it."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from benchmarks.s3_server import S3Server

REPOSITORY = Path(__file__).resolve().parent.parent

# What no test may do: call a hub, send a run to a service, or take more cores than its share.
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "NO_COLOR": "1",
    "COLUMNS": "160",
}


def pytest_configure(config: pytest.Config) -> None:
    """Set the offline environment before any test module can import a library that reads it.

    Args:
        config: pytest's own settings, not read here.
    """
    os.environ.update(OFFLINE)
    config.addinivalue_line("markers", "unknown_code: what runs in a node of this test is in no key, on purpose")
    if not hasattr(config, "workerinput"):  # of pytest-xdist: its workers take over the controller's environment
        os.environ[AUDITS] = tempfile.mkdtemp(prefix="runway-audits-")


AUDITS = "RUNWAY_TEST_AUDITS"
"""The folder in which each test process adds up what ran in the nodes of its tests."""


@pytest.fixture(autouse=True)
def _audit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every function of a project that runs in a node must be known to the node's key."""
    folder = Path(os.environ[AUDITS])
    file = folder / f"test-{os.getpid()}.jsonl"
    file.unlink(missing_ok=True)
    monkeypatch.setenv("RUNWAY_AUDIT", str(file))
    yield
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    if not lines:
        return
    with (folder / f"total-{os.getpid()}.jsonl").open("a", encoding="utf-8") as total:
        total.write("\n".join(lines) + "\n")
    unknown = {(audit["node"], *place) for audit in map(json.loads, lines) for place in audit["unknown"]}
    if request.node.get_closest_marker("unknown_code") is None:
        assert not unknown, "what ran in a node was not in its key"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what the audit of the whole run has seen."""
    if hasattr(config, "workerinput"):
        return
    folder = Path(os.environ[AUDITS])
    lines = [json.loads(line) for file in folder.glob("total-*.jsonl") for line in file.read_text().splitlines()]
    ran = sum(len(line["ran"]) for line in lines)
    unknown = sum(len(line["unknown"]) for line in lines)
    terminalreporter.write_line(f"audit: {len(lines)} nodes ran {ran} functions and classes; {unknown} in no key")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _one_torch_thread() -> None:
    """Keep a test that uses torch on one core; a test that does not never imports it for this."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)


@dataclass(frozen=True)
class Result:
    """What one run of a command left.

    Attributes:
        returncode: The exit code of the process.
        stdout: What it printed, as text.
        stderr: What it logged, as text.
        seconds: Wall-clock of the whole process.
    """

    returncode: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def output(self) -> str:
        """Everything that a user saw on the screen: stdout, then stderr."""
        return self.stdout + self.stderr


# Commands that import torch, Lightning or transformers. For others a fork of a process that has them costs more than a
# Python that is started anew.
HEAVY = ("train", "test", "eval", "run", "show", "sweep", "translate")


class WarmProcess:
    """A process that has loaded torch, Lightning and transformers, in forks of which commands run."""

    # What libraries read when they are imported: a command that is to have another value needs a process of its own.
    READ_AT_IMPORT = ("PYTHON", "HF_", "TRANSFORMERS_", "TORCH", "OMP_", "CUDA", "LD_", "LC_", "LANG", "HOME", "XDG_")

    def __init__(self, streams: Path, environment: Mapping[str, str]) -> None:
        self._streams = streams
        self._environment = environment
        self._numbers = itertools.count()
        self._busy = threading.Lock()
        self._server: subprocess.Popen[str] | None = None

    def takes(self, environment: Mapping[str, str]) -> bool:
        """Whether a command with this environment may run in a fork."""
        names = {name for name in {**environment, **self._environment} if name.startswith(self.READ_AT_IMPORT)}
        return not self._busy.locked() and all(environment.get(name) == self._environment.get(name) for name in names)

    def run(self, cwd: Path, environment: Mapping[str, str], timeout: float, stdin: str | None, **job: Any) -> Result:
        """Run a job (see `warm_process.py`).

        Args:
            cwd: Its folder.
            environment: All of its environment.
            timeout: Seconds after which it is killed.
            stdin: What it gets on standard input.
            job: What it is.

        Returns:
            Exit code, streams and wall-clock.
        """
        with self._busy:
            server = self._server = self._server or self._start()
            assert server.stdin
            assert server.stdout
            number = next(self._numbers)
            out, err, given = (self._streams / f"{number}.{name}" for name in ("out", "err", "in"))
            if stdin is not None:
                given.write_text(stdin, encoding="utf-8")
            streams = {"stdin": None if stdin is None else str(given), "stdout": str(out), "stderr": str(err)}
            started = time.perf_counter()
            server.stdin.write(
                json.dumps({**job, **streams, "cwd": str(cwd), "env": dict(environment), "timeout": timeout}) + "\n"
            )
            server.stdin.flush()
            code = json.loads(server.stdout.readline())
            seconds = time.perf_counter() - started
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in (out, err)]
        if code is None:
            raise subprocess.TimeoutExpired(str(job), timeout, *texts)
        return Result(code, *texts, seconds)

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("warm_process.py"))],
            cwd=self._streams,
            env=dict(self._environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        """End the process."""
        if self._server is not None:
            assert self._server.stdin
            self._server.stdin.close()
            try:
                self._server.wait(timeout=20)
            finally:
                self._server.kill()


class Project:
    """A user's project in a temporary folder: files are written into it and real commands run in it.

    Attributes:
        path: The project's root. It has an empty `src/`, which is how runway knows a project.

    Args:
        path: The root.
        warm: The process in whose forks commands run; None starts Python for each.
    """

    def __init__(self, path: Path, warm: WarmProcess | None = None) -> None:
        self.path = path
        self._warm = warm
        (path / "src").mkdir(parents=True, exist_ok=True)

    def write(self, path: str | Path, text: str) -> Path:
        """Write a file, making its folders; the text may be indented as the test's code is.

        Args:
            path: Where, relative to the project.
            text: The file's content; the common indentation and the first newline go.

        Returns:
            The file's full path.
        """
        target = self.path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(textwrap.dedent(text).removeprefix("\n"), encoding="utf-8")
        return target

    def read(self, path: str | Path) -> str:
        """Give a file's text.

        Args:
            path: Where, relative to the project.

        Returns:
            The text.
        """
        return (self.path / path).read_text(encoding="utf-8")

    def environment(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        """Give the environment that commands run in: this process's, offline, with runway importable.

        Args:
            env: Variables to add or replace.

        Returns:
            The whole environment.
        """
        merged = {**os.environ, **OFFLINE}
        # A project is outside of the repository, and runway need not be installed for its tests to run.
        merged["PYTHONPATH"] = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
        merged.update(env or {})
        return merged

    def start(self, *args: str | Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start `runway ARGS` in the project and return at once, for tests that kill it or run two.

        Args:
            args: The command's arguments.
            env: Variables to add or replace.

        Returns:
            The running process, with pipes on its streams.
        """
        return subprocess.Popen(
            [sys.executable, "-m", "runway", *map(str, args)],
            cwd=self.path,
            env=self.environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def run(
        self,
        *args: str | Path,
        check: bool = True,
        timeout: float = 120,
        env: Mapping[str, str] | None = None,
        input: str | None = None,
        cold: bool = False,
    ) -> Result:
        """Run `runway ARGS` in the project, in a process of its own.

        Args:
            args: The command's arguments.
            check: Fail the test, showing what was printed, where the exit code is not 0.
            timeout: Seconds after which the process is ended and the test fails.
            env: Variables to add or replace.
            input: What it gets on standard input; nothing otherwise.
            cold: Start Python for it: for what is about the start, or about imports.

        Returns:
            Exit code, streams and wall-clock.
        """
        environment = self.environment(env)
        is_heavy = bool(args) and args[0] in HEAVY and "ray" not in args
        if cold or not is_heavy or self._warm is None or not self._warm.takes(environment):
            return self._run(["-m", "runway", *map(str, args)], check, timeout, env, input)
        result = self._warm.run(self.path, environment, timeout, input, argv=[*map(str, args)])
        return _checked(result, f"`runway {' '.join(map(str, args))}`") if check else result

    def python(
        self,
        *args: str | Path,
        check: bool = True,
        timeout: float = 120,
        env: Mapping[str, str] | None = None,
        input: str | None = None,
    ) -> Result:
        """Run `python ARGS` in the project, in a new process: a script, or `-c` and code.

        Args:
            args: The interpreter's arguments.
            check: Fail the test, showing what was printed, where the exit code is not 0.
            timeout: Seconds after which the process is ended and the test fails.
            env: Variables to add or replace.
            input: What it gets on standard input; nothing otherwise.

        Returns:
            Exit code, streams and wall-clock.
        """
        return self._run([*map(str, args)], check, timeout, env, input)

    def _run(
        self, args: list[str], check: bool, timeout: float, env: Mapping[str, str] | None, stdin: str | None
    ) -> Result:
        started = time.perf_counter()
        # No standard input (rather than pytest's) unless the test gives one: nothing may wait for a person.
        source = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        done = subprocess.run(
            [sys.executable, *args],
            cwd=self.path,
            env=self.environment(env),
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            check=False,
            **source,
        )
        result = Result(done.returncode, done.stdout, done.stderr, time.perf_counter() - started)
        return _checked(result, f"`python {' '.join(args)}`") if check else result


def _checked(result: Result, what: str) -> Result:
    if result.returncode != 0:
        pytest.fail(
            f"{what} ended with {result.returncode}\n--- stdout\n{result.stdout}\n--- stderr\n{result.stderr}",
            pytrace=False,
        )
    return result


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmProcess]:
    """The process in whose forks commands run; it starts with the first."""
    streams = tmp_path_factory.mktemp("streams")
    process = WarmProcess(streams, Project(streams).environment())
    yield process
    process.close()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """moto's S3 server on localhost, one for all tests of this process."""
    pytest.importorskip("moto", reason="moto, the S3 server of these tests, is not installed")
    pytest.importorskip("obstore", reason="the extra s3 is not installed")
    from benchmarks.s3_server import S3Server

    with S3Server() as server:
        yield server


@pytest.fixture
def bucket(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a new bucket, which this process and those that it starts can reach."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server.make_bucket()


@pytest.fixture
def project(tmp_path: Path, warm: WarmProcess) -> Project:
    """A fresh project folder: `project.write(path, text)`, `project.run(*args)`, `project.path`."""
    return Project(tmp_path / "project", warm)
