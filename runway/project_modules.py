"""Imports the project's modules from their very text, and marks which of their definitions run.

Python knows stale bytecode by the second of the source's last change and by its size: a module that was edited twice
within one second runs what it no longer says. Here each module is compiled from the bytes that were read, and these
bytes are kept: the key of a node is made of the code that runs, whatever the file says by now.

The marks: while a node runs, each top-level function of the project, and each method, notes that it is
entered. That is all it costs (some 15 ns a call; 5 ns when no node runs): ``sys.setprofile``, which also sees what
was imported in another way, costs 0.7 µs a call, and ``sys.monitoring``, which costs nothing, came with Python 3.12.
They stand in a list, which ``torch.compile`` can follow; a forked worker process notes in memory that it shares with
its parent, so that it reports too.
"""

from __future__ import annotations

import ast
import builtins
import importlib.util
import marshal
import mmap
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any, NamedTuple

Place = tuple[str, str]
"""A module's name and the top-level name in it, or LINE and the line of a statement that binds none."""

LINE = "line "
"""What stands before a number in place of a name, where only the line of a lambda is known."""

MARKS, WATCHED = "__runway_ran__", "__runway_watched__"
_COMPILED_ELSEWHERE = (b"numba", b"triton", b"taichi")  # what compiles a function's bytecode does not know the marks


class Version(NamedTuple):
    """A module's text as it was executed once, and what it was compiled to."""

    text: bytes
    code: CodeType


class _Shared(mmap.mmap):
    """One byte for each definition, shared with forked processes; where it is pickled, its copy marks nothing."""

    def __reduce__(self) -> tuple:
        return bytearray, (len(self),)


class _Marked:
    """A module's marks: one for each name, 1 where its code ran."""

    def __init__(self, names: tuple[str, ...], namespace: dict[str, Any]) -> None:
        self.names = names
        self.namespace = namespace
        self.marks = [0] * len(names)
        self.of_workers: _Shared | None = None

    def take(self) -> set[str]:
        """The names whose code ran since this was asked last."""
        noted = [bytes(self.marks), b"" if self.of_workers is None else self.of_workers[:]]
        ran = {name for marks in noted for name, mark in zip(self.names, marks, strict=False) if mark}
        if ran:
            self.marks[:] = [0] * len(self.names)
            if self.of_workers is not None:
                self.of_workers[:] = bytes(len(self.of_workers))
        return ran


_versions: dict[str, list[Version]] = {}
_marked: dict[str, _Marked] = {}
_watchers: list[set[Place]] = []


def is_own_file(file: str) -> bool:
    """Whether a file is neither of Python's library nor installed."""
    if f"{os.sep}site-packages{os.sep}" in file or f"{os.sep}dist-packages{os.sep}" in file:
        return False
    if file.startswith((_LIBRARY_AS_NAMED, _ALIAS)):
        return False
    return not os.path.realpath(file).startswith(_LIBRARY)


_RUNWAY = os.path.dirname(__file__) + os.sep
_ALIAS = os.path.join(os.path.dirname(os.path.dirname(__file__)), "runway_for_ml", "")  # a library, as runway is
_LIBRARY_AS_NAMED = os.path.dirname(os.__file__) + os.sep
_LIBRARY = os.path.realpath(os.path.dirname(os.__file__)) + os.sep


def versions_of(file: str) -> list[Version]:
    """Every text that a file was executed with in this process, the last one last; none where others imported it."""
    return _versions.get(file, [])


def is_marked(module: ModuleType) -> bool:
    """Whether what runs in a module is noted."""
    return module.__name__ in _marked


@contextmanager
def watching(*, thorough: bool = False) -> Iterator[set[Place]]:
    """Note what runs; the set is filled when the block ends.

    Args:
        thorough: see what bears no marks too (imported before runway, defined in a cell); some 0.7 µs a call.
    """
    found: set[Place] = set()
    _collect()
    _watchers.append(found)
    _switch(True)
    try:
        with _profiling(found) if thorough else nullcontext():
            yield found
    finally:
        _collect()
        _watchers[:] = [watcher for watcher in _watchers if watcher is not found]  # another's may hold the same
        _switch(bool(_watchers))


@contextmanager
def _profiling(found: set[Place]) -> Iterator[None]:
    """Note every function of the project that is called, on any thread."""
    import threading

    seen: set[CodeType] = set()

    def on_event(frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event != "call" or code in seen:
            return
        seen.add(code)
        file = code.co_filename
        if not file.startswith(("<frozen", _RUNWAY)) and code.co_name != "<module>" and is_own_file(file):
            top = code.co_qualname.partition(".")[0]
            module = frame.f_globals.get("__name__", "")
            if file.startswith("<") and module != "__main__":
                return  # made by a library
            if top != "<lambda>":
                found.add((module, top))
            elif module not in _marked:  # which of them its line says
                found.add((module, f"{LINE}{code.co_firstlineno}"))

    before = sys.getprofile()
    threading.setprofile(on_event)
    sys.setprofile(on_event)
    try:
        yield
    finally:
        sys.setprofile(before)
        threading.setprofile(before)


def _switch(on: bool) -> None:
    for marked in list(_marked.values()):
        marked.namespace[WATCHED] = on


def _collect() -> None:
    """Hand the marks to whoever watches, and clear them."""
    for module, marked in list(_marked.items()):
        ran = {(module, name) for name in marked.take()}
        for watcher in _watchers if ran else ():
            watcher |= ran


def _before_fork() -> None:
    for marked in list(_marked.values()) if _watchers else ():
        if marked.of_workers is None:
            marked.of_workers = _Shared(-1, len(marked.names))


def _in_child() -> None:
    for marked in list(_marked.values()) if _watchers else ():
        marked.namespace[MARKS] = marked.of_workers


os.register_at_fork(before=_before_fork, after_in_child=_in_child)


# --- importing


def install() -> None:
    """Import the project's modules through here from now on."""
    setattr(builtins, WATCHED, False)  # for code that is run with other globals than its module's
    if not any(isinstance(finder, _ProjectFinder) for finder in sys.meta_path):
        places = [index for index, finder in enumerate(sys.meta_path) if finder is PathFinder]
        sys.meta_path.insert(places[0] if places else len(sys.meta_path), _ProjectFinder())


class _ProjectFinder:
    """Finds what ``PathFinder`` finds; what is not installed it gives another loader."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target)
        loader = spec.loader if spec is not None else None
        if type(loader) is SourceFileLoader and not name.startswith("runway.") and is_own_file(loader.path):
            spec.loader = _MarkingLoader(name, loader.path)  # type: ignore[union-attr]
        return spec


class _MarkingLoader(SourceFileLoader):
    """Compiles a module from its text, with marks."""

    def get_code(self, fullname: str) -> CodeType:
        return self._compiled(self.get_data(self.path))[1]

    def exec_module(self, module: ModuleType) -> None:
        text = self.get_data(self.path)
        names, code = self._compiled(text)
        _versions.setdefault(self.path, []).append(Version(text, code))
        if names:
            marked = _Marked(names, module.__dict__)
            module.__dict__[MARKS], module.__dict__[WATCHED] = marked.marks, bool(_watchers)
            _marked[module.__name__] = marked
        exec(code, module.__dict__)  # noqa: S102 (a module of the project's own, as any import does)

    def _compiled(self, text: bytes) -> tuple[tuple[str, ...], CodeType]:
        """The names of the marks, and the code."""
        how = f"{self.path} -O{sys.flags.optimize}"
        return kept_beside(self.path, text + how.encode(), "runway", lambda: self._compile(text), (__file__,))

    def _compile(self, text: bytes) -> tuple[tuple[str, ...], CodeType]:
        try:
            tree = ast.parse(text, filename=self.path)
        except (
            SyntaxError,
            ValueError,
        ) as error:  # the latter for a null byte before 3.11.4
            told = error if isinstance(error, SyntaxError) else SyntaxError(str(error))
            told.filename = told.filename or self.path  # of a null byte it says no place
            told.lineno = told.lineno or 1 + text.partition(b"\0")[0].count(b"\n")
            raise told from None
        marked = not any(word in text for word in _COMPILED_ELSEWHERE)
        names = _mark(tree) if marked else ()
        return names, compile(tree, self.path, "exec", dont_inherit=True)


def kept_beside(file: str, text: bytes, tag: str, make: Callable[[], Any], makers: tuple[str, ...]) -> Any:
    """What is made of a module's text, from its ``__pycache__``, with a hash of the text, or made and kept there.

    Args:
        file: the module's.
        text: what it is made of.
        tag: says what it is, letters and digits; other tools do not take it for theirs.
        make: makes it: plain data or code.
        makers: the files of the code that makes it: with another version of them it is made anew.
    """
    if not file.endswith(".py"):  # a cell of a notebook
        return make()
    if makers not in _makers:
        _makers[makers] = b"".join(Path(maker).read_bytes() for maker in makers)
    header = importlib.util.MAGIC_NUMBER + b"\3\0\0\0" + importlib.util.source_hash(text + _makers[makers])
    place = importlib.util.cache_from_source(file, optimization=tag)
    loader = SourceFileLoader("kept", file)
    try:
        data = loader.get_data(place)
        if data.startswith(header):
            return marshal.loads(memoryview(data)[len(header) :])  # noqa: S302 (__pycache__, as any import does)
    except (OSError, ValueError, EOFError, TypeError):
        pass  # not kept, or torn
    made = make()
    if not sys.dont_write_bytecode:
        loader.set_data(place, header + marshal.dumps(made))  # which writes beside and renames, and may not be able to
    return made


_makers: dict[tuple[str, ...], bytes] = {}


# --- marking

BLOCKS = (ast.If, ast.Try, ast.TryStar, ast.With, ast.For, ast.While, ast.Match, ast.ExceptHandler, ast.match_case)
"""What holds statements that are at the top level of a module too."""


def _mark(tree: ast.Module) -> tuple[str, ...]:
    """Put a mark at the start of each function that is not inside another one; gives the name that each stands for."""
    names: dict[str, int] = {}
    waiting: list[tuple[ast.AST, str]] = [(statement, _name_of(statement)) for statement in tree.body]
    while waiting:
        node, top = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            index = names.setdefault(top, len(names))
            _mark_function(node, index)
            outside = (*node.args.defaults, *filter(None, node.args.kw_defaults), *getattr(node, "decorator_list", ()))
            waiting += [(part, top) for part in outside]
            continue
        nested = isinstance(node, BLOCKS)
        for inner in ast.iter_child_nodes(node):
            waiting.append((inner, _name_of(inner) if nested and isinstance(inner, ast.stmt) else top))
    return tuple(names)


def _name_of(statement: ast.AST) -> str:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return statement.name
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
        if isinstance(target, ast.Name):
            return target.id
    return f"{LINE}{getattr(statement, 'lineno', 0)}"


def _mark_function(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, index: int) -> None:
    if isinstance(node, ast.Lambda):
        marked = ast.parse(f"{WATCHED} and {MARKS}.__setitem__({index}, 1) or ...", mode="eval").body
        _put_at(marked, node.body)
        assert isinstance(marked, ast.BoolOp)
        marked.values[-1] = node.body  # what stands before it is never true
        node.body = marked
    else:
        mark = ast.parse(f"if {WATCHED}: {MARKS}[{index}] = 1").body[0]
        start = int(ast.get_docstring(node, clean=False) is not None)
        _put_at(mark, node.body[min(start, len(node.body) - 1)])
        node.body.insert(start, mark)


def _put_at(mark: ast.AST, place: ast.AST) -> None:
    """On the line that it stands before: a debugger does not stop at it, and a traceback does not show it."""
    for part in ast.walk(mark):
        if "lineno" in part._attributes:
            ast.copy_location(part, place)
