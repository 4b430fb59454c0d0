"""The processes runner: N worker processes on this machine, each of which opens the pipeline once.

A worker is a new Python, not a fork: libraries with threads (torch, Arrow, tokenizers) do not survive a fork. It is not
``multiprocessing``'s either, which would run the user's main script again in each of them. Each worker leads a process
group of its own: Ctrl-C reaches the parent alone, which then ends the workers with all that they have started. A worker
whose parent is gone notices, lets go what it holds, and ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, ClassVar

from runway import log
from runway.errors import ConfigError, RunwayError
from runway.pipeline.node import NodeFailure
from runway.pipeline.runners.parallel import ParallelRunner, Workers
from runway.pipeline.runners.resources import VISIBLE, cpus, gpus, wish
from runway.pipeline.runners.worker import Opening, Outcome, Task, Worker

if TYPE_CHECKING:
    from runway.pipeline.graph import Node
    from runway.pipeline.plan import Step

GRACE = 3.0
"""Seconds in which a worker that is told to end may let go what it holds."""
LOOK = 0.25
"""Seconds between two looks at whether the workers are alive."""


class ProcessesRunner(ParallelRunner):
    """Runs nodes in worker processes on this machine."""

    OPTIONS: ClassVar[Mapping[str, str]] = {"workers": "PositiveInt | None"}

    def at_once(self) -> int:
        """``workers``, or one for each core."""
        return self.options.get("workers") or cpus()

    @contextlib.contextmanager
    def open_workers(self, opening: Opening, most: int) -> Iterator[Workers]:
        """The workers, which start as they are needed.

        Raises:
            ConfigError: the system is none of POSIX.
        """
        if not hasattr(os, "killpg"):
            hint = "take the runner 'serial' or 'ray'"
            raise ConfigError("the runner 'processes' needs a POSIX system", where="meta.runner", hint=hint)
        pool = _Pool(opening, self.plan.graph.nodes, min(self.at_once(), most))
        try:
            with _sigterm_is_an_exception():
                yield pool
        finally:
            pool.close()


@contextlib.contextmanager
def _sigterm_is_an_exception() -> Iterator[None]:
    """SIGTERM unwinds this process, so that it ends its workers; where somebody else has a handler, that one counts."""
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def stop(*_: Any) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


_START = """\
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
import json
sys.path[:] = json.loads(sys.argv[1])
from runway.pipeline.runners.processes import serve
serve(*map(int, sys.argv[2:]))
"""


class _Process:
    """One worker process.

    Args:
        packed: the pickled Opening.
        gpus: the GPUs that it sees; None leaves them as they are here.
    """

    def __init__(self, packed: bytes, gpus: tuple[str, ...] | None) -> None:
        self.gpus = gpus
        self.node: str | None = None
        self.cpus = 0.0
        ours, theirs = socket.socketpair()
        alive, self._alive = os.pipe()
        env = {**os.environ, "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
        if gpus is not None:
            env[VISIBLE] = ",".join(gpus)
        # Not through PYTHONPATH: what a node starts would take it over.
        path = json.dumps([folder or os.getcwd() for folder in sys.path])
        optimized = ["-" + "O" * sys.flags.optimize] if sys.flags.optimize else []
        self.process = subprocess.Popen(
            [sys.executable, *optimized, "-P", "-c", _START, path, str(theirs.fileno()), str(alive)],
            stdin=subprocess.DEVNULL,
            env=env,
            pass_fds=(theirs.fileno(), alive),
            start_new_session=True,
        )
        theirs.close()
        os.close(alive)
        self.connection = Connection(ours.detach())
        with contextlib.suppress(OSError):  # it has ended already: whoever waits for it sees that
            self.connection.send_bytes(packed)

    def give(self, task: Task, cpus: float) -> None:
        """Give it a node."""
        self.node, self.cpus = task.work.node, cpus
        self.connection.send(task)

    def is_gone(self) -> bool:
        """Whether it has ended; it is still to be waited for, so that its number is nobody else's."""
        if not hasattr(os, "waitid"):  # macOS before Python 3.13
            return self.process.poll() is not None
        try:
            return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # somebody else has waited for it
            return True

    def interrupt(self) -> None:
        """Let it end by itself: at once where it has nothing to do."""
        with contextlib.suppress(OSError):
            if self.node is None:
                self.connection.send(None)
            else:
                os.kill(self.process.pid, signal.SIGINT)

    def end(self) -> int:
        """End it with all that it has started; gives its exit code."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        code = self.process.wait()
        self.connection.close()
        if self._alive >= 0:
            os.close(self._alive)
            self._alive = -1
        return code


class _Pool(Workers):
    """The worker processes of one run."""

    def __init__(self, opening: Opening, nodes: Mapping[str, Node], most: int) -> None:
        self.packed = pickle.dumps(opening)
        self.nodes = nodes
        self.most = most
        self.workers: list[_Process] = []

    def submit(self, step: Step, task: Task) -> bool:
        """Give a node to a worker that is free, or to a new one."""
        busy = [worker for worker in self.workers if worker.node is not None]
        asked = wish(step.node.resources, "num_cpus")
        needed = cpus() / self.most if asked is None else asked
        taken = sum(worker.cpus for worker in busy)
        if busy and (len(busy) >= self.most or taken + needed > cpus() + 1e-6):
            return False
        found = self._free_gpus(step.node, busy)
        if found is None:
            return False
        wanted = found or None
        worker = next((one for one in self.workers if one.node is None and one.gpus == wanted), None)
        if worker is None and len(self.workers) >= self.most:  # what a process sees of the GPUs is settled at its start
            other = next(one for one in self.workers if one.node is None)
            self.workers.remove(other)
            other.end()
        is_new = worker is None
        if worker is None:
            worker = _Process(self.packed, wanted)
            self.workers.append(worker)
        try:
            worker.give(task, needed)
        except OSError:
            if not is_new:  # it was killed while it had nothing to do: another one takes its place
                self.workers.remove(worker)
                worker.end()
                return self.submit(step, task)
        return True  # one that has died at its start is found when it is waited for

    def _free_gpus(self, node: Node, busy: list[_Process]) -> tuple[str, ...] | None:
        """The GPUs for a node, those with the fewest nodes first; None where it has to wait for them."""
        wanted = wish(node.resources, "num_gpus")
        if not wanted:
            return ()
        taken = dict.fromkeys(gpus(), 0.0)
        for worker in busy:
            share = wish(self.nodes[worker.node or ""].resources, "num_gpus") or 0.0
            for name in worker.gpus or ():
                taken[name] += share / len(worker.gpus or ())
        count = max(1, round(wanted))
        free = sorted((load, name) for name, load in taken.items() if load + wanted / count <= 1)
        return tuple(name for _, name in free[:count]) if len(free) >= count else None

    def wait(self) -> list[Outcome]:
        """What workers send; lines that they say are said here."""
        found: list[Outcome] = []
        while not found:
            connections = {worker.connection: worker for worker in self.workers}
            for connection in wait(list(connections), timeout=LOOK):
                outcome = self._read(connections[connection])  # type: ignore[index]
                found += [outcome] if outcome is not None else []
            for worker in [worker for worker in self.workers if worker.is_gone()]:
                outcome = self._bury(worker)
                found += [outcome] if outcome is not None else []
        return found

    def _read(self, worker: _Process) -> Outcome | None:
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            return self._bury(worker)
        if isinstance(message, Outcome):
            worker.node = None
            return message
        log.say(*message)
        return None

    def _bury(self, worker: _Process) -> Outcome | None:
        """A worker has ended without being told to: its node has failed, and the others go on."""
        last = None
        with contextlib.suppress(EOFError, OSError):  # what it had said before
            while last is None and worker.connection.poll():
                message = worker.connection.recv()
                if isinstance(message, Outcome):
                    last, worker.node = message, None
                else:
                    log.say(*message)
        self.workers.remove(worker)
        limit = time.monotonic() + GRACE
        while not worker.is_gone() and time.monotonic() < limit:
            time.sleep(0.005)  # it has closed its connection and is ending: how it ends is told, not our own signal
        node, code = worker.node, worker.end()
        if node is None:
            return last
        return Outcome(node, error=NodeFailure(self.nodes[node], _death(worker.process.pid, code)))

    def close(self) -> None:
        """End all workers; those that compute let go what they hold first."""
        try:
            for worker in self.workers:
                worker.interrupt()
            limit = time.monotonic() + GRACE
            while time.monotonic() < limit and not all(worker.is_gone() for worker in self.workers):
                time.sleep(0.005)
        finally:
            while self.workers:
                self.workers.pop().end()


def _death(pid: int, code: int) -> RunwayError:
    """What became of a worker, and what to do about it."""
    if code >= 0:
        message = f"the worker process {pid} that computed it ended itself with exit code {code}"
        hint = "look for `os._exit` or a crash of a library above; the other nodes go on"
    else:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else "unknown"
        message = f"the worker process {pid} that computed it was killed by signal {-code} ({name})"
        hint = "a library has crashed; try it with `--runner serial`"
        if -code == signal.SIGKILL:
            hint = "most likely the memory was full: fewer --workers, or fewer rows at a time"
    error = RunwayError(message, hint=f"{hint}; what was done is kept, run it again")
    error.exit_code = 1
    return error


# --- in the worker


def serve(descriptor: int, alive: int) -> None:
    """Be a worker: compute what comes over the connection until it is closed.

    Args:
        descriptor: of the connection.
        alive: of a pipe that the parent holds open as long as it lives.
    """
    connection = Connection(descriptor)
    lock = threading.Lock()
    busy, alone = threading.Event(), threading.Event()

    def send(message: object) -> None:
        with lock, contextlib.suppress(OSError):  # the parent is gone
            connection.send_bytes(message if isinstance(message, bytes) else pickle.dumps(message))

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    threading.Thread(target=_end_with_parent, args=(alive, busy, alone), daemon=True).start()
    log.hand_over(lambda kind, message, once: send((kind, message, once)))
    worker: Worker | None = None
    task: Task | None
    try:
        opening = pickle.loads(connection.recv_bytes())  # noqa: S301 (from the process that started this one)
        while (task := connection.recv()) is not None:
            busy.set()
            try:
                worker = worker or Worker(opening)
                outcome = worker.do(task)
            except Exception as error:  # of the opening
                outcome = Outcome(task.work.node, error=error)
            busy.clear()
            send(_packed(outcome))
    except KeyboardInterrupt:  # the parent ends the run, or is gone
        pass
    except (EOFError, OSError):
        alone.set()
    log.hand_over(None)
    if alone.is_set():  # nobody else ends what nodes have started here
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os.killpg(os.getpid(), signal.SIGKILL)


def _packed(outcome: Outcome) -> bytes:
    try:
        return pickle.dumps(outcome)
    except Exception:  # an exception of a library that holds what cannot be sent
        told = RuntimeError(f"{type(outcome.error).__name__}: {outcome.error}")
        return pickle.dumps(outcome._replace(error=told))


def _end_with_parent(alive: int, busy: threading.Event, alone: threading.Event) -> None:
    """Wait until the parent is gone; then let the node go what it holds, and end with all that was started here."""
    os.read(alive, 1)
    alone.set()
    if busy.is_set():
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    time.sleep(GRACE)
    os.killpg(os.getpid(), signal.SIGKILL)
