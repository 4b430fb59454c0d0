"""The digest of a transform's code: of its class and, transitively, of all that its source can reach.

Followed are the user's functions, classes and constants (everything that is not installed), and of runway the
ready-made transforms and metrics. Third-party packages are noted by name. Not seen: what is reached through
``getattr`` with a computed name, environment variables, files (see ``track_file``). ``VERSION`` and
``DEPENDS_ON`` on the class, and ``regenerate`` on the node, are the ways out.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from runway.pipeline.keys.fingerprint import Unfingerprintable, combine, digest
from runway.pipeline.keys.origin import is_local, package_versions, without_path
from runway.pipeline.keys.source import Facts, Reference, SourceFile
from runway.user_code import source_of

_MISSING = object()


class Code:
    """What counts of a transform's code.

    Args:
        parts: {qualified name: digest} of everything reached: kept with each entry, so that a change can be named.
        packages: the top-level names of the third-party packages that the source mentions.
    """

    def __init__(self, parts: dict[str, str], packages: frozenset[str]) -> None:
        self.parts = parts
        self.packages = packages
        self.digest = digest(parts)


_codes: dict[type, Code] = {}
_sources: dict[str, SourceFile | None] = {}


def code_of(cls: type) -> Code:
    """The code of a transform class, computed once per process.

    Raises:
        Unfingerprintable: a value in ``DEPENDS_ON`` has no stable fingerprint.
    """
    if cls not in _codes:
        _codes[cls] = _Walk().run(cls)
    return _codes[cls]


class _Walk:
    """One walk over everything that a class can reach; a work list, so that depth does not matter."""

    def __init__(self) -> None:
        self.parts: dict[str, str] = {}
        self.packages: set[str] = set()
        self.identities: dict[int, str] = {}
        self.waiting: list[tuple[ModuleType, Reference]] = []
        self.alive: list[Any] = []  # ``identities`` holds ids: what they belong to must not go away

    def run(self, cls: type) -> Code:
        name = f"{cls.__module__}.{cls.__qualname__}"
        version = vars(cls).get("VERSION")
        if version is not None:
            self.parts[f"{name}.VERSION"] = digest(version)
        elif not is_local(cls.__module__):  # of an installed plugin: its source is not followed, its version counts
            self.parts[name] = digest(package_versions([cls.__module__.partition(".")[0]]))
        else:
            self._add_code(cls)
        for index, dependency in enumerate(cls.__dict__.get("DEPENDS_ON", ())):
            name = f"{cls.__qualname__}.DEPENDS_ON[{index}]"
            if not self._add_value(name, dependency):
                raise Unfingerprintable(name, dependency)
        while self.waiting:
            self._follow(*self.waiting.pop())
        return Code(_without_paths(self.parts), frozenset(self.packages))

    # -- objects

    def _add_code(self, found: Any) -> str:
        """Take a function or class in; gives what stands for it in values: its name, and what it has captured.

        Raises:
            Unfingerprintable: it is a method of an object whose content cannot be told.
        """
        if isinstance(found, staticmethod | classmethod):
            found = found.__func__
        if isinstance(found, MethodType):
            return combine(self._add_code(found.__func__), digest(found.__self__, "self", self._add_code))
        if not isinstance(found, type | FunctionType) and hasattr(found, "__wrapped__"):  # of functools.lru_cache
            return self._add_code(found.__wrapped__)
        holder = getattr(found, "__self__", None)
        if isinstance(found, BuiltinFunctionType) and not isinstance(holder, ModuleType | None):  # ``", ".join``
            return combine(found.__qualname__, digest(holder, "self", self._add_code))
        if id(found) not in self.identities:
            name = f"{_home(found)}.{getattr(found, '__qualname__', type(found).__qualname__)}"
            identity = without_path(name)
            self.alive.append(found)
            self.identities[id(found)] = identity  # what is captured may lead back here
            self._add_source(name, found)
            captured = self._add_captured(name, found)
            self.identities[id(found)] = combine(identity, *captured) if captured else identity
        return self.identities[id(found)]

    def _add_source(self, name: str, found: Any) -> None:
        module = sys.modules.get(_home(found))
        if module is None or not is_local(module.__name__):
            self._note_package(_home(found))
            return
        source = _source(module)
        if isinstance(found, FunctionType):
            top = source.name_at(found.__code__.co_firstlineno) if source is not None else None
            if source is not None and top is not None:
                self._add_facts(f"{module.__name__}.{top}", module, source.facts(top))
            else:
                self._add_code_object(name, module, found.__code__)
        elif isinstance(found, type):
            top = found.__qualname__.partition(".")[0]
            if source is not None and top in source.definitions:
                self._add_facts(f"{module.__name__}.{top}", module, source.facts(top))
            else:  # made by ``type(…)``: what it is made of
                for base in found.__bases__:
                    self._add_code(base)
                for key, value in sorted(vars(found).items()):
                    if not key.startswith("__") and not hasattr(value, "__get__"):
                        self._add_value(f"{name}.{key}", value, fallback=_type_name(value))

    def _add_captured(self, name: str, found: Any) -> list[str]:
        """Take in what a function or a class's methods hold besides their source: closures and default values."""
        if not is_local(_home(found)):
            wrapped = getattr(found, "__wrapped__", None)
            return [self._add_code(wrapped)] if wrapped is not None else []
        captured: list[str] = []
        functions = [found] if isinstance(found, FunctionType) else _functions_in(found)
        for function in functions:
            values = {}
            cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
            for variable, cell in cells:
                with contextlib.suppress(ValueError):  # not filled yet: a recursive definition
                    values[variable] = cell.cell_contents
            values.pop("__class__", None)
            if "<" in function.__qualname__:  # inside another function: the source does not say what they are
                values.update({f"default {n}": value for n, value in enumerate(function.__defaults__ or ())})
                values.update({f"default {key}": value for key, value in (function.__kwdefaults__ or {}).items()})
            captured += [self._add_capture(f"{name}.<{key}>", value) for key, value in values.items()]
        return captured

    def _add_capture(self, name: str, value: Any) -> str:
        """The digest of a captured value; where it has none, its type stands for it."""
        if isinstance(value, ModuleType):
            self._add_module(value)
            return without_path(value.__name__)
        try:
            found = digest(value, name, self._add_code)
        except (Unfingerprintable, RecursionError):
            if isinstance(type(value), type) and is_local(type(value).__module__):
                self._add_code(type(value))
            found = digest(_type_name(value))
        self.parts.setdefault(name, found)
        return found

    def _add_code_object(self, name: str, module: ModuleType, code: CodeType) -> None:
        """Code without a source file (of a notebook or of ``exec``): its bytecode and the names that it uses."""
        names = [code]
        pieces: list[bytes | str] = []
        while names:
            inner = names.pop()
            names += [constant for constant in inner.co_consts if isinstance(constant, CodeType)]
            constants = [constant for constant in inner.co_consts if not isinstance(constant, CodeType)]
            pieces += [inner.co_code, digest(constants), " ".join(inner.co_names)]
            for used in inner.co_names:
                self.waiting.append((module, Reference((used,))))
        self.parts[name] = combine(self.parts.get(name, ""), *pieces)

    def _add_value(self, name: str, value: Any, fallback: str | None = None) -> bool:
        """Take a constant in by its content; False where it has no fingerprint and there is no fallback."""
        if isinstance(value, ModuleType):
            self._add_module(value)
            return True
        try:
            self.parts.setdefault(name, digest(value, name, self._add_code))
        except (Unfingerprintable, RecursionError):
            if fallback is None:
                return False
            self.parts[name] = digest(fallback)
        return True

    def _add_module(self, module: ModuleType) -> None:
        if is_local(module.__name__):
            source = _source(module)
            if source is not None:
                self._add_facts(f"{module.__name__}.*", module, source.whole())
        else:
            self._note_package(module.__name__)

    def _add_facts(self, name: str, module: ModuleType, facts: Facts) -> None:
        if name not in self.parts:
            self.parts[name] = facts.digest
            self.waiting.extend((module, reference) for reference in facts.references)

    def _note_package(self, module_name: str) -> None:
        top = module_name.partition(".")[0]
        if top and top not in sys.stdlib_module_names and top not in ("runway", "builtins", "__main__"):
            self.packages.add(top)

    # -- names

    def _follow(self, module: ModuleType, reference: Reference) -> None:
        """Find what a name stands for, and take it in."""
        owner: ModuleType | None = module
        chain = reference.chain
        if reference.module is not None:
            absolute = _absolute(reference, module)
            owner = self._imported(absolute)
            if owner is None:
                return
            if not chain:
                self._add_module(owner)
                return
        assert owner is not None
        for depth, name in enumerate(chain):
            value = vars(owner).get(name, _MISSING)
            if value is _MISSING:
                submodule = self._imported(f"{owner.__name__}.{name}") if _is_package(owner) else None
                if submodule is None:
                    self._missing(owner, name)
                    return
                value = submodule
            if not isinstance(value, ModuleType) or value is owner:
                self._add_name(owner, name, value)
                return
            if not is_local(value.__name__):
                self._note_package(value.__name__)
                return
            owner = value
            if depth == len(chain) - 1:
                self._add_module(owner)

    def _missing(self, owner: ModuleType, name: str) -> None:
        if not is_local(owner.__name__):
            self._note_package(owner.__name__)
        elif not hasattr(builtins, name):
            lazy = getattr(owner, name, None)  # a module-level __getattr__, as runway's own
            if isinstance(lazy, type | FunctionType):
                self._add_code(lazy)

    def _add_name(self, owner: ModuleType, name: str, value: Any) -> None:
        """Take in what ``owner.name`` stands for."""
        if not is_local(owner.__name__):
            if isinstance(value, type | FunctionType):
                self._add_code(value)  # ``from runway import HFDatasetTransform`` is a name of another module
            else:
                self._note_package(owner.__name__)
            return
        full = f"{owner.__name__}.{name}"
        source = _source(owner)
        if source is not None and source.defines_code(name):
            self._add_facts(full, owner, source.facts(name))
            if isinstance(value, type | FunctionType):  # decorated, it may be another function with another source
                self._add_code(value)
        elif isinstance(value, type | FunctionType):
            identity = self._add_code(value)
            renamed = value.__name__ != name  # ``from helpers import other as clean``
            if is_local(_home(value)) and (renamed or identity != without_path(f"{_home(value)}.{value.__qualname__}")):
                self.parts.setdefault(full, digest(identity))
        elif full not in self.parts and not self._add_value(full, value):
            # An object made when its module was imported (a logger, a tokenizer): what counts is how it was made.
            self._add_making_of(full, owner, name, value)

    def _add_making_of(self, full: str, owner: ModuleType, name: str, value: Any) -> None:
        source = _source(owner)
        if source is not None and name in source.definitions:
            self._add_facts(full, owner, source.making_of(name))
        else:
            self.parts[full] = digest(_type_name(value))
        if source is None:
            return
        for statement in [*source.definitions.get(name, ()), *source.definitions.get("*", ())]:
            for target in _imported_names(statement, name):
                module = self._imported(_absolute(target, owner))
                source_name = f"{module.__name__}.{target.chain[0]}" if module is not None else full
                if module is not None and is_local(module.__name__) and source_name not in self.parts:
                    self._add_making_of(source_name, module, target.chain[0], value)

    def _imported(self, module_name: str) -> ModuleType | None:
        """A module that the source imports: the user's are imported (they would be anyway), others only noted."""
        if not is_local(module_name):
            self._note_package(module_name)
            return sys.modules.get(module_name)
        try:
            return importlib.import_module(module_name)
        except ImportError:
            return sys.modules.get(module_name)


def _imported_names(statement: Any, name: str) -> Iterator[Reference]:
    if isinstance(statement, ast.ImportFrom):
        for alias in statement.names:
            if (alias.asname or alias.name) == name or alias.name == "*":
                original = name if alias.name == "*" else alias.name
                yield Reference((original,), statement.module or "", statement.level)


def _absolute(reference: Reference, module: ModuleType) -> str:
    if not reference.level:
        return reference.module or ""
    return importlib.util.resolve_name("." * reference.level + (reference.module or ""), module.__package__ or "")


def _home(found: Any) -> str:
    """The name of the module in which a function or class was written; ``functools.wraps`` fakes ``__module__``."""
    if isinstance(found, FunctionType):
        return found.__globals__.get("__name__") or ""
    return getattr(found, "__module__", None) or ""


def _functions_in(cls: Any) -> list[FunctionType]:
    found = []
    for value in vars(cls).values() if isinstance(cls, type) else ():
        parts: list[Any] = [value.fget, value.fset, value.fdel] if isinstance(value, property) else [value]
        parts = [part.__func__ if isinstance(part, staticmethod | classmethod) else part for part in parts]
        found += [part for part in parts if isinstance(part, FunctionType)]
    return found


def _type_name(value: Any) -> str:
    return without_path(f"{type(value).__module__}.{type(value).__qualname__}")


def _without_paths(parts: dict[str, str]) -> dict[str, str]:
    """The parts under the names that count: those of one name that several of runway's modules have, together."""
    named: dict[str, list[str]] = {}
    for full, part in sorted(parts.items()):
        named.setdefault(without_path(full), []).append(part)
    return {name: found[0] if len(found) == 1 else combine(*sorted(found)) for name, found in sorted(named.items())}


def _is_package(module: ModuleType) -> bool:
    return hasattr(module, "__path__")


def _source(module: ModuleType) -> SourceFile | None:
    if module.__name__ not in _sources:
        path = getattr(module, "__file__", None) or ""
        content = source_of(path) if path.endswith(".py") else None
        _sources[module.__name__] = None if content is None else SourceFile(Path(path), content)
    return _sources[module.__name__]
