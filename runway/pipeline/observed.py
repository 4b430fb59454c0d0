"""What really happened while a node ran: which of the project's functions ran, which files its code opened.

The key of a node is made of what its code names. What a computed name leads to (a class that the config names, a
function that the data carries), and a file that nobody declared, show only when the node runs. Both are noted with its
output, as if they had been declared, and compared the next time.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

from runway.config.reads import NAMES, Reads
from runway.log import info, warning
from runway.pipeline.keys.loaded import source_of_module
from runway.pipeline.keys.tracked import code_texts
from runway.project_modules import LINE, Place, is_own_file, watching

if TYPE_CHECKING:
    from runway.pipeline.keys.code import Code
    from runway.pipeline.keys.source import Top

_HERE = str(Path(__file__).parents[1]) + os.sep
_SYSTEM = ("/proc/", "/sys/", "/dev/", "/etc/", "/usr/", "/lib/", "/lib64/", "/bin/", "/System/", "/Library/")
_CACHES = ("HF_HOME", "HF_HUB_CACHE", "HF_DATASETS_CACHE", "TORCH_HOME", "XDG_CACHE_HOME", "NLTK_DATA", "MPLCONFIGDIR")
_CODE = (".pyc", ".so", ".pyd", ".dylib")
_READERS_OF_SOURCE = ("linecache.py", "tokenize.py")


class Observed(NamedTuple):
    """What was seen; filled when the node has ended.

    Attributes:
        ran: the top-level functions and classes of the project whose code ran.
    """

    ran: set[Place]


@contextmanager
def observing(reads: Reads, project: Path, store: str) -> Iterator[Observed]:
    """Note what runs and what is opened in the block.

    Args:
        reads: where files are noted.
        project: its folder.
        store: the cache's folder (or its URL): what is read there is no input.
    """
    observed = Observed(set())
    with OpenedFiles(reads, project, store).noting(), watching(thorough=auditing()) as ran:
        yield observed
    observed.ran.update(ran)


# --- files


class OpenedFiles:
    """The files that the project's code opens while a node runs; those that the node wrote itself are no input.

    Args:
        reads: where they are noted.
        project: its folder.
        store: the cache's folder (or its URL): what is read there is no input.
    """

    def __init__(self, reads: Reads, project: Path, store: str) -> None:
        self.reads = reads
        self.project = f"{project}{os.sep}"
        self.store = f"{os.path.abspath(os.path.join(project, store))}{os.sep}"
        self.left_out = _system_folders()
        self.found: set[tuple[str, str]] = set()
        self.noted: set[tuple[str, str]] = set()
        self.missing: set[tuple[str, str]] = set()
        self.written: set[str] = set()
        self.made: list[str] = []
        self.process = os.getpid()
        self.from_workers: Any = None

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note what is opened in the block; what was written in an earlier block is known in the next."""
        _hook_in()
        _watchers.append(self)
        try:
            yield
        finally:
            _watchers.remove(self)
            self.finish()

    def see(self, kind: str, path: str) -> None:
        """One file (or folder, for its names) that was opened for reading."""
        item = (kind, path)
        if item not in self.found and self._counts(path):
            self.found.add(item)
            if os.getpid() == self.process:
                if item not in self.reads.files and not self._is_own(kind, path):
                    self.noted.add(item)
                    if not os.path.exists(path):  # to look for it is to read that it is not there
                        self.missing.add(item)
                    self.reads.note_file(kind, path)
            elif self.from_workers is not None:  # a forked worker: its notes are of its own memory
                os.write(self.from_workers.fileno(), f"{kind}\t{path}\0".encode("utf-8", "surrogateescape"))

    def fork(self) -> None:
        """A process is about to be forked: give it where to report."""
        if self.from_workers is None and os.getpid() == self.process:
            import tempfile

            self.from_workers = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the node has ended

    def finish(self) -> None:
        """Take in what workers saw, and let go what the node has made itself."""
        if self.from_workers is not None:
            with self.from_workers as file:
                file.seek(0)
                lines = file.read().decode("utf-8", "surrogateescape").split("\0")
            for line in filter(None, lines):
                kind, _, path = line.partition("\t")
                self.noted.add((kind, path))
                self.reads.note_file(kind, path)
            self.from_workers = None
        for kind, path in self.noted:
            if self._is_own(kind, path) or ((kind, path) not in self.missing and not os.path.exists(path)):
                self.reads.forget_file(kind, path)

    def _counts(self, path: str) -> bool:
        if path.startswith(self.left_out) or f"{path}{os.sep}" in self.left_out or path.endswith(_CODE):
            return False
        if f"{path}{os.sep}".startswith(self.store) and not self.project.startswith(self.store):
            return False  # a cache in a folder above the project leaves the project's files what they are
        if path.startswith(self.project):
            return "__pycache__" not in path
        return f"{os.sep}site-packages{os.sep}" not in path and f"{os.sep}." not in path

    def _is_own(self, kind: str, path: str) -> bool:
        if path in self.written or path.startswith(tuple(self.made)):
            return True
        return kind == NAMES and any(os.path.dirname(written) == path for written in self.written)


@functools.cache
def _system_folders() -> tuple[str, ...]:
    caches = [os.path.abspath(value) + os.sep for name in _CACHES if (value := os.environ.get(name))]
    return (*_SYSTEM, os.path.dirname(os.__file__) + os.sep, os.path.join(sys.prefix, "lib") + os.sep, *caches)


_watchers: list[OpenedFiles] = []
_state = {"hooked": False}
_thread: Any = None  # its own in each thread; ``busy``: what is opened in order to note something is not noted
_EVENTS = {"open", "os.listdir", "os.scandir", "os.fork", "sqlite3.connect", "tempfile.mkstemp", "tempfile.mkdtemp"}


def _hook_in() -> None:
    """Python lets nobody take an audit hook away: it is set when the first node runs, and sleeps when none does."""
    global _thread
    if not _state["hooked"]:
        import threading

        _thread, _state["hooked"] = threading.local(), True
        sys.addaudithook(_on_event)


def _on_event(event: str, arguments: tuple) -> None:
    if not _watchers or event not in _EVENTS or getattr(_thread, "busy", False):
        return
    _thread.busy = True
    try:
        _note(event, arguments)
    finally:
        _thread.busy = False


def _note(event: str, arguments: tuple) -> None:
    if event == "os.fork":
        for watcher in _watchers:
            watcher.fork()
        return
    path = arguments[0] if arguments else None
    if path is None:
        path = "."  # ``os.listdir()``
    if not isinstance(path, str | bytes | os.PathLike):
        return  # a file descriptor
    path = os.path.abspath(os.fsdecode(path))
    if event.startswith("tempfile."):
        for watcher in _watchers:
            watcher.made.append(path)
    elif event == "open" and _writes(*arguments[1:3]):
        for watcher in _watchers:
            watcher.written.add(path)
    elif _is_of_node(sys._getframe(2), path):
        kind = NAMES if event in ("os.listdir", "os.scandir") else "file"
        for watcher in _watchers:
            watcher.see(kind, path)


def _writes(mode: str | None, flags: int) -> bool:
    if mode is not None and "+" not in mode:
        return any(letter in mode for letter in "wax")
    return bool(flags & (os.O_WRONLY | os.O_TRUNC | os.O_CREAT))


def _is_of_node(frame: FrameType | None, path: str) -> bool:
    """Whether the project's code is what opens: neither an import does, nor a transform of runway's, which tells.

    A thread in which a library alone runs (``pool.map(Path.read_text, paths)``) works for the node.
    """
    source = path.endswith(".py")
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith("<frozen importlib") or file.startswith(_HERE):
            return False
        if source and file.endswith(_READERS_OF_SOURCE):
            return False
        if file not in _of_project:
            _of_project[file] = not file.startswith("<") and is_own_file(file)
        if _of_project[file]:
            return True
        frame = frame.f_back
    return True


_of_project: dict[str, bool] = {}


# --- functions

_told: set[Place] = set()
AUDIT = "RUNWAY_AUDIT"
"""The environment variable that names a file: each node that runs adds a line to it, of what ran there."""


_SPAWNING = (
    *(f"{name}.popen_{way}" for name in ("multiprocessing", "multiprocess") for way in ("spawn_posix", "spawn_win32")),
    *(f"{name}.popen_forkserver" for name in ("multiprocessing", "multiprocess")),
    *(f"{name}loky.backend.popen_loky_{way}" for name in ("", "joblib.externals.") for way in ("posix", "win32")),
)
"""Modules that are loaded when a process starts that shares no memory with this one."""


def auditing() -> bool:
    """Whether everything that runs is to be seen, whatever that costs."""
    return bool(os.environ.get(AUDIT))


def note_what_ran(node: str, code: Code, ran: set[Place], reads: Reads) -> None:
    """Note functions that ran and that no name in the node's code leads to; say so once."""
    tops = {(module, _top(module, name)) for module, name in ran}
    ran = {_named(*place) for place in tops}
    declared = {text.removeprefix("text of ") for place in reads.code for text in code_texts(*place)}
    unknown = {_named(*place) for place in tops if not code.knows(*place)}
    unknown = {(module, name) for module, name in unknown if not {f"{module}.{name}", f"{module}.*"} & declared}
    reads.code |= unknown
    new = sorted(unknown - _told)
    if new:
        _told.update(new)
        names = ", ".join(f"{module}.{name}" for module, name in new)
        info(f"{node}: no name in its code leads to what ran there; noted with its output: {names}")
    if auditing():
        line = json.dumps({"node": node, "ran": sorted(ran), "unknown": sorted(unknown)})
        with open(os.environ[AUDIT], "a", encoding="utf-8") as file:
            file.write(line + "\n")
    spawning = next((name for name in _SPAWNING if name in sys.modules), None)
    if spawning is not None and "spawned" not in _state:
        _state["spawned"] = True
        what = "new worker processes tell neither what runs in them nor which files they open"
        warning(f"{node}: {what} ({spawning}); let them be forked, or name it: DEPENDS_ON, track_file")


def _top(module: str, name: str) -> Top:
    """The top-level name or statement of a place of which only the line may be known."""
    if not name.startswith(LINE):
        return name
    loaded = sys.modules.get(module)
    source = source_of_module(loaded) if loaded is not None else None
    top = source.place_at(int(name.removeprefix(LINE))) if source is not None else None
    return "*" if top is None else top


def _named(module: str, top: Top) -> Place:
    """A place by a name that stays when other lines change: of a statement without one, the whole module."""
    return module, top if isinstance(top, str) else "*"
