"""Which text a function was compiled from.

A module that was reloaded has had several, and functions of each may still be in use; ``%autoreload`` puts the new
code into the old function; a function of a notebook's cell has the text of the cell. Where no text gives the bytecode
that runs, there is none.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

from runway.errors import UserCodeError
from runway.log import warning
from runway.pipeline.keys.source import SourceFile, Top
from runway.project_modules import is_own_file, versions_of

_RUNWAY = str(Path(__file__).parents[2]) + os.sep

_parsed: dict[tuple[str, bytes], SourceFile] = {}
_inside: dict[tuple[str, int], set[int]] = {}
_texts: dict[str, bytes] = {}
_compiled: dict[tuple[str, bytes], dict[str, list[CodeType]]] = {}


def source_of_module(module: ModuleType) -> SourceFile | None:
    """The text that a module was executed with last."""
    file = getattr(module, "__file__", None) or ""
    text = _loaded_text(file) if file.endswith(".py") else None
    return None if text is None else _parse(file, text)


def place_of(function: FunctionType) -> tuple[SourceFile, Top] | None:
    """The text that a function was compiled from, and the top-level name or statement that it belongs to there."""
    code = function.__code__
    file = code.co_filename
    versions = versions_of(file)
    for number in reversed(range(len(versions))):
        if id(code) in _codes_in(file, number, versions[number].code):
            return _at(_parse(file, versions[number].text), code.co_firstlineno)
    text = _loaded_text(file)
    if text is not None and not versions and file.startswith(_RUNWAY):
        return _at(_parse(file, text), code.co_firstlineno)
    for candidate in (text, _read(file) if versions else None):  # the second: what ``%autoreload`` has taken from
        line = _line_in(file, candidate, function) if candidate is not None else None
        if candidate is not None and line is not None:
            return _at(_parse(file, candidate), line)
    return None


def _at(source: SourceFile, line: int) -> tuple[SourceFile, Top] | None:
    top = source.place_at(line)
    return None if top is None else (source, top)


def tell_edited(used: Mapping[tuple[str, str], set[str]], *, stop: bool) -> None:
    """Find definitions that say something else in their files by now than what runs.

    Args:
        used: {(module, top-level name): digests of its text as it runs}.
        stop: raise an error; otherwise warn, once for each text.

    Raises:
        UserCodeError: there is one, and ``stop`` is set.
    """
    for name in sorted({module for module, _ in used}):
        file = getattr(sys.modules.get(name), "__file__", None) or ""
        loaded = _loaded_text(file) if file else None
        now = _read(file) if loaded is not None else None
        if now is None or (now == loaded and len(versions_of(file)) < 2):
            continue
        try:
            source = _parse(file, now)
        except (SyntaxError, ValueError):  # a null byte, before Python 3.11.4
            edited = ["its text does not compile now"]
        else:
            edited = [
                top
                for (module, top), digests in sorted(used.items())
                if module == name and digests != {source.facts(top).digest if top == "*" or top in source else ""}
            ]
        if not edited:
            continue
        message = f"the module {name!r} was edited after what is in use of it was imported: {', '.join(edited)}"
        if stop:
            hint = f"importlib.reload(sys.modules[{name!r}]), then what imports from it; `%autoreload 2`; or start anew"
            raise UserCodeError(message, where=file, hint=hint)
        if (file, now) not in _told:
            _told.add((file, now))
            warning(f"{message}; this process goes on with the code that it began with ({file})")


_told: set[tuple[str, bytes]] = set()


def keep_texts() -> None:
    """Read the files of modules that were imported in another way, before they are edited."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None) or ""
        if file.startswith(_RUNWAY) or not file.endswith(".py") or file in _texts or versions_of(file):
            continue
        if is_own_file(file):
            _loaded_text(file)


# --- texts


def _loaded_text(file: str) -> bytes | None:
    """What a module was executed with last; of one that others imported, what its file held when it was asked for
    first; of a notebook's cell its text."""
    versions = versions_of(file)
    if versions:
        return versions[-1].text
    if file not in _texts:
        text = _read(file)
        if text is None:
            import linecache  # where notebooks put the text of their cells

            text = "".join(linecache.getlines(file)).encode("utf-8", "surrogatepass") or None
        if text is None:
            return None
        _texts[file] = text
    return _texts[file]


def _read(file: str) -> bytes | None:
    try:
        return Path(file).read_bytes()
    except (OSError, ValueError):
        return None


def _parse(file: str, text: bytes) -> SourceFile:
    key = (file, text)
    if key not in _parsed:
        _parsed[key] = SourceFile(Path(file), text)
    return _parsed[key]


# --- bytecode


def _nested(code: CodeType) -> Iterator[CodeType]:
    waiting = [code]
    while waiting:
        current = waiting.pop()
        yield current
        waiting += [constant for constant in current.co_consts if isinstance(constant, CodeType)]


def _codes_in(file: str, number: int, code: CodeType) -> set[int]:
    key = (file, number)
    if key not in _inside:
        _inside[key] = {id(inner) for inner in _nested(code)}
    return _inside[key]


def _line_in(file: str, text: bytes, function: FunctionType) -> int | None:
    """Where a text has a function of this name that compiles to what runs: Python may have taken that from stale
    bytecode, or somebody may have put it there."""
    key = (file, text)
    if key not in _compiled:
        _compiled[key] = {}
        try:
            for inner in _nested(compile(text, file, "exec", dont_inherit=True)):
                _compiled[key].setdefault(inner.co_qualname, []).append(inner)
        except (SyntaxError, ValueError):
            return None
    code = function.__code__
    named = [*_compiled[key].get(code.co_qualname, ()), *_compiled[key].get(function.__qualname__, ())]
    return next((found.co_firstlineno for found in named if _is_same(found, code)), None)


def _is_same(one: CodeType, other: CodeType) -> bool:
    """Whether two pieces of bytecode do the same, wherever their lines are."""
    if _shape(one) != _shape(other) or len(one.co_consts) != len(other.co_consts):
        return False
    for mine, theirs in zip(one.co_consts, other.co_consts, strict=True):
        if isinstance(mine, CodeType) and isinstance(theirs, CodeType):
            if not _is_same(mine, theirs):
                return False
        elif type(mine) is not type(theirs) or repr(mine) != repr(theirs):
            return False
    return True


def _shape(code: CodeType) -> tuple:
    counts = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags
    return code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, *counts
