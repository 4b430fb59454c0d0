"""The jsonnet engine in a process of its own, with limits: no config takes down the process that loads it.

A config may recurse without end, build lists without end, or double a text forty times; the engine then ends its
process, or the memory of the machine. So it runs in a child that may use so much memory and so many seconds. The child
opens no file: it asks for each import, and gets bytes.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import importlib
import json
import os
import select
import signal
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
ORPHAN_SECONDS = 4 * SECONDS
"""Of the processor, on which the engine collects its garbage beside its work."""
ENGINES = ("_gojsonnet", "_jsonnet")
SNIPPET = "<runway>"  # the name under which our own wrapping code shows up in the engine's traces

Import = Callable[[str, str], tuple[str, bytes]]

_PROGRAM = """
import sys
sys.path[:] = {path!r}
from runway.config.apart import _serve
_serve({asks}, {answers})
"""


class _Line:
    """Messages, lists of texts and numbers, over two pipes: a line of JSON each, and an answer before the next."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = reading, writing
        self._arrived = select.poll()
        self._arrived.register(reading, select.POLLIN)

    def send(self, *message: Any) -> None:
        """Send one; from somebody who is not there any more there comes no answer."""
        data = memoryview(json.dumps(message).encode() + b"\n")
        with contextlib.suppress(BrokenPipeError):
            while data:
                data = data[os.write(self._writing, data) :]

    def receive(self, until: float | None = None) -> list[Any]:
        """Wait for the next.

        Raises:
            TimeoutError: none has come whole until that time, of ``time.monotonic()``.
            EOFError: nobody is at the other end any more.
        """
        found = bytearray()
        while not found.endswith(b"\n"):
            if until is not None and not self._arrived.poll(max(0.0, until - time.monotonic()) * 1000):
                raise TimeoutError
            part = os.read(self._reading, 1 << 16)
            if not part:
                raise EOFError
            found += part
        return json.loads(found)

    def close(self) -> None:
        """Close this end."""
        os.close(self._reading)
        os.close(self._writing)


class _Child:
    """An engine that waits for snippets."""

    def __init__(self) -> None:
        self.parent = os.getpid()
        self.is_fork = hasattr(os, "fork") and threading.active_count() == 1
        pipes: list[int] = []
        try:
            pipes += os.pipe()
            pipes += os.pipe()
            self.pid = self._forked(*pipes) if self.is_fork else self._spawned(*pipes)
        except BaseException:
            for end in pipes:
                os.close(end)
            raise
        to_read, answers, asks, to_write = pipes
        self.line = _Line(to_read, to_write)
        os.close(asks)
        os.close(answers)

    def _forked(self, to_read: int, answers: int, asks: int, to_write: int) -> int:
        """A few milliseconds, where an interpreter of its own takes a hundred."""
        pid = os.fork()
        if pid == 0:
            os.close(to_read)
            os.close(to_write)
            _serve(asks, answers)
        return pid

    def _spawned(self, to_read: int, answers: int, asks: int, to_write: int) -> int:
        import subprocess  # some milliseconds, which a command does not need

        program = _PROGRAM.format(path=sys.path, asks=asks, answers=answers)
        self._process = subprocess.Popen([sys.executable, "-c", program], pass_fds=[asks, answers])
        return self._process.pid

    def end(self) -> None:
        """End it, whatever it does."""
        self.line.close()
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
        until = time.monotonic() + SECONDS
        try:
            try:
                message = _ask(until, snippet, engine, max_frames)
            except EOFError:  # before it has seen any code of the config: somebody has killed it
                stop()
                message = _ask(until, snippet, engine, max_frames)
            return _talk(message, until, answer)
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


def _ask(until: float, *question: Any) -> list[Any]:
    line = _started().line
    line.send(*question)
    return line.receive(until)


def _talk(message: list[Any], until: float, answer: Import) -> str:
    """Answer a child's questions for imports, from its first message on, until it tells what the snippet makes."""
    kind, *told = message
    while kind == "import":
        path, content = answer(*told)
        kind, *told = _ask(until, path, content.decode("latin-1"))
    if kind == "error":
        raise RuntimeError(*told)
    if kind == "no engine":
        raise ConfigError("no jsonnet engine is installed", hint="pip install gojsonnet")
    if kind == "failed":
        raise _failed(*told)
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
        _child.line.close()
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


def _serve(asks: int, answers: int) -> None:
    """In the child: evaluate what comes, until nobody is there any more."""
    try:
        line = _Line(asks, answers)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_DFL)
        silence = os.open(os.devnull, os.O_RDWR)
        for standard in {0, 1, 2} - {asks, answers}:  # what Go says when it dies; a pipe that others read to its end
            os.dup2(silence, standard)
        faulthandler.disable()  # it says the same, at a place of its own
        _limit_memory()
        while True:
            line.send(*_answer(line, *line.receive()))
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

    _limit_time()
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


def _limit_time() -> None:
    """The parent ends what takes long; this ends it where the parent has been killed."""
    with contextlib.suppress(ImportError, ValueError):
        import resource

        seconds = int(time.process_time() + ORPHAN_SECONDS)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _limit_memory() -> None:
    try:
        import resource

        with open("/proc/self/statm", "rb") as file:
            used = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, used + BYTES))
    except (ImportError, OSError, ValueError):  # another system, which has no such limit
        pass
