"""The jsonnet engine in a process of its own, with limits: no config takes down the process that loads it.

A config may recurse without end, build lists without end, or double a text forty times; the engine then ends its
process, or the memory of the machine. So it runs in a child that may use so much memory and so many seconds. The child
opens no file: it asks for each import, and gets bytes.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from runway.errors import ConfigError

SECONDS = 60.0
BYTES = 4 << 30
"""What the child may use beside what it begins with; Go reserves addresses that it never uses."""
ENGINES = ("_gojsonnet", "_jsonnet")
SNIPPET = "<runway>"  # the name under which our own wrapping code shows up in the engine's traces

Import = Callable[[str, str], tuple[str, bytes]]

_PROGRAM = """
import sys
sys.path[:] = {path!r}
from runway.config.apart import _serve
import socket
_serve(socket.socket(fileno={descriptor}))
"""


class _Line:
    """Messages, lists of texts and numbers, over a socket: the length, then JSON."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end

    def send(self, *message: Any) -> None:
        """Send one.

        Raises:
            EOFError: nobody is at the other end any more.
        """
        data = json.dumps(message).encode()
        try:
            self.socket.sendall(len(data).to_bytes(8, "big") + data)
        except OSError as error:
            raise EOFError from error

    def receive(self, until: float | None = None) -> list[Any]:
        """Wait for the next.

        Raises:
            TimeoutError: none has come whole until that time, of ``time.monotonic()``.
            EOFError: nobody is at the other end any more.
        """
        return json.loads(self._read(int.from_bytes(self._read(8, until), "big"), until))

    def _read(self, count: int, until: float | None) -> bytes:
        found = bytearray()
        while len(found) < count:
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                raise TimeoutError
            self.socket.settimeout(left)
            try:
                part = self.socket.recv(min(count - len(found), 1 << 20))
            except TimeoutError:
                raise
            except OSError as error:
                raise EOFError from error
            if not part:
                raise EOFError
            found += part
        return bytes(found)


class _Child:
    """An engine that waits for snippets."""

    def __init__(self) -> None:
        self.parent = os.getpid()
        ours, theirs = socket.socketpair()
        self.is_fork = hasattr(os, "fork") and threading.active_count() == 1
        if self.is_fork:  # a few milliseconds, where an interpreter of its own takes a hundred
            self.pid = os.fork()
            if self.pid == 0:
                ours.close()
                _serve(theirs)
        else:
            import subprocess  # some milliseconds, which a command does not need

            program = _PROGRAM.format(path=sys.path, descriptor=theirs.fileno())
            self._process = subprocess.Popen([sys.executable, "-c", program], pass_fds=[theirs.fileno()])
            self.pid = self._process.pid
        theirs.close()
        self.line = _Line(ours)

    def end(self) -> None:
        """End it, whatever it does."""
        self.line.socket.close()
        if self.parent != os.getpid():
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        if self.is_fork:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
        else:
            self._process.wait()


_child: _Child | None = None
_lock = threading.Lock()


def evaluate_apart(snippet: str, answer: Import, engine: str | None, max_frames: int) -> str:
    """What the engine makes of a snippet: JSON.

    Args:
        snippet: the code.
        answer: gives the path and the content for a folder and the name of an import.
        engine: the name of the engine's module; by default the first that is installed.
        max_frames: how deep it may call.

    Raises:
        RuntimeError: the engine's own error.
        EndlessError: the config does not come to an end within the limits.
        ConfigError: no engine is installed, or its process cannot work.
    """
    with _lock:
        try:
            try:
                child = _ready()
            except EOFError:  # it was killed since: that is not this config's doing
                stop()
                child = _ready()
            child.line.send(snippet, engine, max_frames)
            return _talk(child.line, answer)
        except TimeoutError:
            stop()
            raise _endless(f"the jsonnet engine was at work for {SECONDS:.0f} seconds") from None
        except EOFError:
            stop()
            raise _endless("the jsonnet engine ran out of memory") from None
        except OSError as error:  # no process, no socket: the machine's doing
            stop()
            raise _failed(str(error)) from error
        except (RuntimeError, ConfigError):
            raise
        except BaseException:  # Ctrl-C: it may still be at work
            stop()
            raise


def _ready() -> _Child:
    """A child that answers."""
    child = _started()
    child.line.send("ready")
    kind, *told = child.line.receive(time.monotonic() + SECONDS)
    if kind != "ready":
        raise _failed(*told)
    return child


def _talk(line: _Line, answer: Import) -> str:
    until = time.monotonic() + SECONDS
    while True:
        kind, *told = line.receive(until)
        if kind == "import":
            path, content = answer(*told)
            line.send(path, content.decode("latin-1"))
        elif kind == "error":
            raise RuntimeError(*told)
        elif kind == "no engine":
            raise ConfigError("no jsonnet engine is installed", hint="pip install gojsonnet")
        elif kind == "failed":
            raise _failed(*told)
        else:
            return str(told[0])


class EndlessError(ConfigError):
    """The config does not come to an end within the limits."""


def _endless(why: str) -> EndlessError:
    return EndlessError(
        f"the config does not come to an end: {why}",
        hint="a function that calls itself must have an end that it reaches, and lists and texts a sensible size",
    )


def _failed(why: str) -> ConfigError:
    return ConfigError(
        f"the jsonnet engine cannot work: {why}",
        hint="this is no fault of the config: look at the machine's limits (ulimit -a), memory and disk",
    )


def _started() -> _Child:
    global _child
    if _child is not None and _child.parent != os.getpid():  # of the process that this one is a fork of
        _child.line.socket.close()
        _child = None
    if _child is None:
        _child = _Child()
    return _child


@contextlib.contextmanager
def session() -> Iterator[None]:
    """One child for all that is evaluated in the block; it ends with the block where it was quickly made."""
    try:
        yield
    finally:
        if _child is not None and _child.is_fork:
            stop()


def stop() -> None:
    """End the child; the next snippet starts another."""
    global _child
    if _child is not None:
        _child.end()
        _child = None


atexit.register(stop)


def _serve(end: socket.socket) -> None:
    """In the child: evaluate what comes, until nobody is there any more."""
    line = _Line(end)
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_DFL)
        silence = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):  # what Go says when it dies; and a pipe that others read to its end
            os.dup2(silence, standard)
        _limit_memory()
        while True:
            asked = line.receive()
            line.send(*(asked if asked == ["ready"] else _answer(line, *asked)))
    except EOFError:
        os._exit(0)
    except OSError as error:
        line.send("failed", str(error))
    finally:
        os._exit(1)


def _answer(line: _Line, snippet: str, engine: str | None, max_frames: int) -> tuple[Any, ...]:
    def ask(folder: str, name: str) -> tuple[str, bytes]:
        line.send("import", folder, name)
        path, content = line.receive()
        return path, content.encode("latin-1")

    module = _engine(engine)
    if module is None:
        return ("no engine",)
    try:
        return "text", module.evaluate_snippet(SNIPPET, snippet, import_callback=ask, max_stack=max_frames)
    except RuntimeError as error:
        return "error", str(error)


def _engine(name: str | None) -> ModuleType | None:
    for candidate in (name,) if name else ENGINES:
        try:
            return importlib.import_module(candidate)
        except ImportError:
            continue
    return None


def _limit_memory() -> None:
    try:
        import resource

        with open("/proc/self/statm", "rb") as file:
            used = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, used + BYTES))
    except (ImportError, OSError, ValueError):  # another system, which has no such limit
        pass
