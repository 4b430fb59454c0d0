"""What modules of the project do, at their top level, to objects that are not theirs or that nobody can look into."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

from runway.pipeline.keys.loaded import source_of_module
from runway.pipeline.keys.names import Reference, absolute
from runway.pipeline.keys.origin import is_local
from runway.pipeline.keys.source import ASSIGN, CALL, Effect, SourceFile

_MISSING = object()
_OF_THE_RUN = {"logging", "warnings", "sys", "os", "atexit", "signal", "gc", "faulthandler", "multiprocessing", "time"}


class Effects:
    """The index of the effects of modules of the project; made when it is asked for.

    Args:
        roots: the names of modules: these count, and what they import. Not all that is loaded does: a training also
            loads executors, whose settings must not give its data other keys than ``runway prepare`` gave it.
    """

    def __init__(self, roots: Iterable[str]) -> None:
        self._roots = set(roots)
        self._found: list[tuple[ModuleType, SourceFile, Effect, list[Any]]] | None = None

    def on(self, value: Any) -> Iterator[tuple[ModuleType, SourceFile, int]]:
        """The statements that may change an object."""
        for module, source, effect, objects in self._all():
            if any(found is value for found in objects):
                yield module, source, effect.number

    def on_packages(self, called: set[str], changed: set[str]) -> Iterator[tuple[ModuleType, SourceFile, int, str]]:
        """The statements that replace something in a library, or that call it for its effect.

        Args:
            called: top-level modules of which calls count, unless they say how to run, not what.
            changed: those of which replacements count.
        """
        for module, source, effect, objects in self._all():
            top = _home(objects[0]).partition(".")[0]
            if (effect.kind == ASSIGN and top in changed) or (
                effect.kind == CALL and top in called and top not in _OF_THE_RUN
            ):
                yield module, source, effect.number, top

    def _all(self) -> list[tuple[ModuleType, SourceFile, Effect, list[Any]]]:
        if self._found is None:
            self._found = []
            for module, source in sorted(self._modules(), key=lambda pair: pair[0].__name__):
                for effect in source.effects():
                    objects = list(_along(module, effect.on))
                    if objects:
                        self._found.append((module, source, effect, objects))
        return self._found

    def _modules(self) -> Iterator[tuple[ModuleType, SourceFile]]:
        waiting, seen = list(self._roots), set(self._roots)
        while waiting:
            name = waiting.pop()
            module = sys.modules.get(name)
            if module is None or name.startswith("runway.") or not is_local(name):
                continue
            source = source_of_module(module)
            if source is None:
                values = [value.__name__ for value in vars(module).values() if isinstance(value, ModuleType)]
            else:
                yield module, source
                values = [part for found in source.all_imports() for part in _modules_of(found, module)]
            parents = [name.rpartition(".")[0]]
            new = {value for value in (*values, *parents) if value} - seen
            seen |= new
            waiting += new


def _modules_of(reference: Reference, module: ModuleType) -> Iterator[str]:
    """The modules that an import may load: ``from a import b`` loads ``a``, and ``a.b`` where that is a module."""
    home = absolute(reference, module)
    yield home
    if reference.chain:
        yield f"{home}.{reference.chain[0]}"


def _along(module: ModuleType, chain: tuple[str, ...]) -> Iterator[Any]:
    """The objects that the names of a chain stand for, as far as they are there without running any code."""
    value: Any = module
    for name in chain:
        attributes = getattr(value, "__dict__", {})
        value = attributes.get(name, _MISSING)
        if value is _MISSING:
            return
        yield value


def _home(value: Any) -> str:
    if isinstance(value, ModuleType):
        return value.__name__
    return getattr(value, "__module__", None) or type(value).__module__
