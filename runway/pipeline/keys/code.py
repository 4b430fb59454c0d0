"""The digest of a transform's code: of its class and, transitively, of all that its source can reach.

Followed are the user's functions, classes and constants (everything that is not installed), and of runway the
ready-made transforms and metrics. An object counts by what it is when the key is made: a function by its source and
its defaults, a class by its source, its attributes and what was put into it from elsewhere, any other object by its
type's code and its attributes; one that cannot be looked into, by how it was made and what is done to it. What is
loaded only under a condition counts by its text. Third-party packages are noted by name.

Not seen is what a computed name leads to: the functions that really ran are noted beside it (``observed``).
``VERSION`` and ``DEPENDS_ON`` on the class, and ``regenerate`` on the node, are the ways out.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

from runway import user_code
from runway.pipeline.keys.class_parts import attributes_of, functions_of, is_generated
from runway.pipeline.keys.effects import Effects
from runway.pipeline.keys.fingerprint import Unfingerprintable, combine, digest
from runway.pipeline.keys.loaded import place_of, source_of_module
from runway.pipeline.keys.names import Reference, absolute
from runway.pipeline.keys.origin import executors_count, is_local, without_path
from runway.pipeline.keys.source import NOTHING, READERS, Facts, SourceFile, Top
from runway.pipeline.keys.state import CODE, State
from runway.pipeline.keys.syntax import ANNOTATIONS
from runway.pipeline.keys.unloaded import texts_behind
from runway.project_modules import MARKS, WATCHED

_MISSING = object()

_READ_NO_ANNOTATIONS = {"torch", "numpy", "numba", "pandas", "pytest", "lightning", "tqdm", "runway"}
"""Packages whose decorators do not; of others it is not known."""


class Code:
    """What counts of a transform's code.

    Args:
        parts: {qualified name: digest} of everything reached: kept with each entry, so that a change can be named.
        packages: the top-level names of the third-party packages that the source mentions.
        used: {(module, top-level name): digests of its text as it runs} of the project's modules.
        unknown: the names of objects that cannot be looked into and whose making has no text: it has no key.
        statements: (module, number) of the statements that bind no name and count, as they run.
        by_version: whether a ``VERSION`` stands for all of it.
    """

    def __init__(
        self,
        parts: dict[str, str],
        packages: frozenset[str],
        *,
        used: dict[tuple[str, str], set[str]] | None = None,
        unknown: frozenset[str] = NOTHING,
        statements: frozenset[tuple[str, int]] = frozenset(),
        by_version: bool = False,
    ) -> None:
        self.parts = parts
        self.packages = packages
        self.used = used or {}
        self.unknown = unknown
        self.statements = statements
        self.by_version = by_version
        self.digest = digest(parts)

    def by_owner(self) -> dict[str, str]:
        """The project's parts by name, and those of runway as one, ``runway``."""
        return by_owner(self.parts)

    def knows(self, module: str, top: Top) -> bool:
        """Whether a top-level name or statement of a module counts, or need not."""
        if self.by_version or (module, top) in self.statements:
            return True
        places = (f"{module}.{top}", f"{module}.*")
        return any(place in self.parts or f"text of {place}" in self.parts for place in places)


def by_owner(parts: Mapping[str, str]) -> dict[str, str]:
    """Parts of code, those of runway as one, ``runway``: which of them differ says nothing to a user."""
    own = {name: part for name, part in parts.items() if not name.removeprefix("text of ").startswith("runway.")}
    of_runway = [part for item in sorted(parts.items()) if item[0] not in own for part in item]
    return {**own, "runway": combine(*of_runway)} if of_runway else own


def code_of(cls: type) -> Code:
    """The code of a transform class, as it is now: modules may have been reloaded, and objects changed.

    Raises:
        Unfingerprintable: a value in ``DEPENDS_ON`` has no stable fingerprint.
    """
    walk = _Walk()
    code = walk.run(cls)
    _latest[cls] = code, walk.values
    return code


def code_of_executor(cls: type) -> Code:
    """The code of an executor class: what a transform's holds, what of runway's executors it reaches, and what modules
    of ``src/executors`` and ``src/models`` do to objects when they are imported.

    Raises:
        Unfingerprintable: a value in ``DEPENDS_ON`` has no stable fingerprint.
    """
    with executors_count():
        walk = _Walk()
        code = walk.run(cls, user_code.training_modules)
    _latest[cls] = code, walk.values
    return code


def code_behind(found: Iterable[Any]) -> Code:
    """The code of classes and functions of the project that a value carries."""
    return _Walk().run_from(found)


def latest_code_of(cls: type) -> Code:
    """The code of a class as it was when it was asked for last."""
    return _latest[cls][0] if cls in _latest else code_of(cls)


def forgive_what_running_changed(classes: Iterable[type]) -> None:
    """Values that differ since their code was asked for (a memo, a counter) count as they did before.

    To be called when nodes have run: what they do to the objects of their modules is no change of the code.
    """
    for cls in dict.fromkeys(classes):
        walk = _Walk()
        walk.run(cls)
        _forgive(cls, walk)


def forgive_what_training_changed(cls: type) -> None:
    """The same for an executor, when it has trained."""
    with executors_count():
        walk = _Walk()
        walk.run(cls, user_code.training_modules)
    _forgive(cls, walk)


def _forgive(cls: type, walk: _Walk) -> None:
    before = _latest[cls][1] if cls in _latest else {}
    for name, value in walk.values.items():
        if before.get(name, value) != value:
            _as_before[name, value] = before[name]


_latest: dict[type, tuple[Code, dict[str, str]]] = {}
_as_before: dict[tuple[str, str], str] = {}


class _Text(NamedTuple):
    """A definition that counts by its source, and what of it counts."""

    module: ModuleType
    source: SourceFile
    top: Top
    counts: frozenset[str]

    @property
    def facts(self) -> Facts:
        return self.source.facts(self.top, self.counts)


class _Walk:
    """One walk over everything that a class can reach; a work list, so that depth does not matter."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.texts: dict[tuple[str, Top, int], _Text] = {}
        self.packages: set[str] = set()
        self.libraries: set[str] = set()
        self.libraries_of_project: set[str] = set()
        self.of_project = True  # whether the name that is followed stands in the project's code
        self.mentions: set[str] = set()
        self.used: dict[tuple[str, str], set[str]] = {}
        self.unknown: set[str] = set()
        self.classes: dict[str, type] = {}
        self.identities: dict[int, str] = {}
        self.partly: set[int] = set()  # of these, what is captured cannot all be told
        self.waiting: list[tuple[ModuleType, Reference]] = []
        self.alive: list[Any] = []  # ``identities`` holds ids: what they belong to must not go away
        self.effects = Effects(user_code.data_modules)
        self.effects_taken: set[tuple[str, str]] = set()

    def run(self, cls: type, further_modules: Iterable[str] = ()) -> Code:
        self.effects = Effects({*user_code.data_modules, cls.__module__, *further_modules})
        name = f"{cls.__module__}.{cls.__qualname__}"
        version = vars(cls).get("VERSION")
        if version is not None:
            self.values[f"{name}.VERSION"] = digest(version)
        elif not is_local(cls.__module__):  # of an installed plugin: its source is not followed, its files count
            from runway.pipeline.keys.packages import package_content

            self.values[name] = package_content(cls.__module__.partition(".")[0])
        else:
            self._add_code(cls)
        for index, dependency in enumerate(cls.__dict__.get("DEPENDS_ON", ())):
            name = f"{cls.__qualname__}.DEPENDS_ON[{index}]"
            if not self._add_value(name, dependency):
                raise Unfingerprintable(name, dependency)
        return self._code(by_version=version is not None)

    def run_from(self, found: Iterable[Any]) -> Code:
        for item in found:
            self._add_code(item)
        return self._code()

    def _code(self, *, by_version: bool = False) -> Code:
        while self.waiting:
            self._follow(*self.waiting.pop())
            if not self.waiting:  # what was found may make more count, which is followed in turn
                self._add_subclasses()
                self._add_changes_to_packages()
                self._count_what_is_read()
        return Code(
            _without_paths(self._parts()),
            frozenset(self.packages),
            used=self.used,
            unknown=frozenset(self.unknown),
            statements=frozenset((module, top) for module, top, _ in self.texts if isinstance(top, int)),
            by_version=by_version,
        )

    def _parts(self) -> dict[str, str]:
        found = {name: [value] for name, value in self.values.items()}
        for (module, top, _), text in self.texts.items():  # of a module that was reloaded, two texts may be in use
            name = f"{module}.<a statement>" if isinstance(top, int) else f"{module}.{top}"
            found.setdefault(name, []).append(text.facts.digest)
        return {name: parts[0] if len(parts) == 1 else combine(*sorted(parts)) for name, parts in found.items()}

    # -- functions and classes

    def _add_code(self, found: Any) -> str:
        """Take a function, class or module in; gives what stands for it in values: its name, and what it captures."""
        if isinstance(found, ModuleType):
            self._add_module(found)
            return without_path(found.__name__)
        if not isinstance(found, CODE):
            return self._state_of(found)[0]
        if id(found) not in self.identities:
            name = f"{_home(found)}.{getattr(found, '__qualname__', type(found).__qualname__)}"
            identity = without_path(name)
            self.alive.append(found)
            self.identities[id(found)] = identity  # what is captured may lead back here
            self._add_source(name, found)
            captured = self._add_captured(name, found)
            self.identities[id(found)] = combine(identity, *captured) if captured else identity
        return self.identities[id(found)]

    def _code_of(self, found: Any) -> tuple[str, bool]:
        """What stands for a function or class, and whether all of it can be told."""
        return self._add_code(found), id(found) not in self.partly

    def _add_source(self, name: str, found: Any) -> None:
        home = _home(found)
        module = sys.modules.get(home)
        if module is None and isinstance(found, FunctionType):  # of ``exec``
            self._add_bytecode(name, found.__code__, found.__globals__)
            return
        if module is None or not is_local(home):
            self._note_package(home)
            return
        if isinstance(found, FunctionType):
            place = place_of(found)
            if found.__globals__ is not vars(module):  # of ``exec`` with a namespace of its own
                self._add_bytecode(name, found.__code__, found.__globals__)
            elif place is not None:
                self._add_text(module, *place)
            else:
                self._add_bytecode(name, found.__code__, module)
        elif isinstance(found, type):
            self.classes[name] = found
            self._add_class(name, module, found)

    def _add_class(self, name: str, module: ModuleType, cls: type) -> None:
        """By its source where it has one, and by all that stands in it now and does not stand there."""
        top = cls.__qualname__.partition(".")[0]
        functions = [(key, function) for key, value in vars(cls).items() for function in functions_of(value)]
        functions = [(key, function) for key, function in functions if not is_generated(function, cls)]
        places = {key: place_of(function) for key, function in functions}
        written = [place[0] for place in places.values() if place is not None and place[1] == top]
        last = source_of_module(module)
        if not functions and last is not None and top in last:
            written = [last]
        for source in dict.fromkeys(written):
            self._add_text(module, source, top)
        for base in () if written else cls.__bases__:  # made by ``type(…)``, or at a prompt
            self._add_code(base)
        for key, function in functions:
            if _home(function) != module.__name__ or (places[key] or (None, ""))[1] != top:
                self.values.setdefault(f"{name}.{key}", digest(self._add_code(function)))
        for key, value in attributes_of(cls):
            self._add_value(f"{name}.{key}", value)

    def _add_captured(self, name: str, found: Any) -> list[str]:
        """Take in what a function or a class's methods hold besides their source: closures, defaults, attributes."""
        if not is_local(_home(found)):
            wrapped = getattr(found, "__wrapped__", None)
            registered = getattr(found, "registry", None)  # of functools.singledispatch
            return [self._add_code(wrapped), self._state_of(registered)[0]] if wrapped is not None else []
        if isinstance(found, FunctionType):
            functions = [found]
        else:
            functions = [function for value in vars(found).values() for function in functions_of(value)]
        captured: list[str] = []
        for function in functions:
            for key, value in _held_by(function):
                place = f"{name if function is found else f'{name}.{function.__name__}'}.<{key}>"
                if not self._add_value(place, value):
                    self.partly.add(id(found))
                captured.append(self.values.get(place, ""))
        return captured

    def _add_bytecode(self, name: str, code: CodeType, names: ModuleType | dict[str, Any]) -> None:
        """Code whose text is not known (of a prompt, of ``exec``): its bytecode and the names that it uses.

        Args:
            name: what it is called.
            code: the bytecode.
            names: where it looks names up.
        """
        codes = [code]
        pieces: list[bytes | str] = []
        while codes:
            inner = codes.pop()
            codes += [constant for constant in inner.co_consts if isinstance(constant, CodeType)]
            constants = [constant for constant in inner.co_consts if not isinstance(constant, CodeType)]
            used_names = [used for used in inner.co_names if used not in (MARKS, WATCHED)]
            pieces += [inner.co_code, digest(constants), " ".join(used_names)]
            self.mentions.update(used_names)
            for used in used_names:
                if isinstance(names, ModuleType):
                    self.waiting.append((names, Reference((used,))))
                elif used in names:
                    self._add_value(f"{name}.<global {used}>", names[used])
        self.values[name] = combine(self.values.get(name, ""), *pieces)

    def _add_module(self, module: ModuleType) -> None:
        source = source_of_module(module) if is_local(module.__name__) else None
        if source is not None:
            self._add_text(module, source, "*")
            for name, value in list(vars(module).items()):  # who has the module has what it imports, or was given
                if not isinstance(value, ModuleType) and not name.startswith("__"):
                    origins = [absolute(origin, module) for origin in source.imports(name)]
                    if name not in source or any(map(is_local, origins)):
                        self.waiting.append((module, Reference((name,))))
        elif not is_local(module.__name__):
            self._note_package(module.__name__)

    def _add_text(self, module: ModuleType, source: SourceFile, top: Top, counts: frozenset[str] = NOTHING) -> None:
        place = (module.__name__, top, id(source))
        if place not in self.texts or self.texts[place].counts != counts:
            self.texts[place] = text = _Text(module, source, top, counts)
            self.waiting += [(module, reference) for reference in text.facts.references]
            if not module.__name__.startswith("runway."):
                self.mentions |= text.facts.mentions
                if isinstance(top, str):
                    self._note_use(module, source, top)

    def _note_use(self, module: ModuleType, source: SourceFile, top: str) -> None:
        self.used.setdefault((module.__name__, top), set()).add(source.facts(top).digest)

    def _note_package(self, module_name: str) -> None:
        top = module_name.partition(".")[0]
        if top in sys.stdlib_module_names:
            self.libraries.add(top)
            if self.of_project:
                self.libraries_of_project.add(top)
        elif top not in ("", "runway", "__main__"):
            self.packages.add(top)

    # -- values

    def _state_of(self, value: Any) -> tuple[str, bool]:
        """The digest of a value, and whether all of it can be told."""
        state = State(self._code_of, tuple(user_code.projects))
        self.alive.append(value)
        return state.digest(value), not state.opaque

    def _add_value(self, name: str, value: Any) -> bool:
        """Take a value in by its content; False where not all of it can be told."""
        if isinstance(value, ModuleType):
            self._add_module(value)
            return True
        found, whole = self._state_of(value)
        self.values[name] = _as_before.get((name, found), found)
        return whole

    def _add_making_of(self, full: str, owner: ModuleType, name: str, value: Any) -> None:
        """How an object came to be, in its own module or where that has it from, and what is done to it."""
        for module, source, number in self.effects.on(value):
            self._add_effect(f"{full}.<changed in {module.__name__}>", module, source, number)
        written = source_of_module(owner)
        if written is None:
            self.unknown.add(full)
            return
        targets = written.imports(name)
        if not targets and name in written:
            self._add_text(owner, written, name)
        for target in targets:
            home = self._imported(absolute(target, owner))
            if home is None or not is_local(home.__name__) or not target.chain:
                continue
            inner = f"{home.__name__}.{target.chain[0]}"
            if inner not in self.values and vars(home).get(target.chain[0]) is value:
                self.values[inner] = self.values[full]
                self._add_making_of(inner, home, target.chain[0], value)

    def _add_effect(self, name: str, module: ModuleType, source: SourceFile, number: int) -> None:
        facts = source.facts(number)
        if (name, facts.digest) not in self.effects_taken:
            self.effects_taken.add((name, facts.digest))
            self.values[name] = combine(self.values.get(name, ""), facts.digest)
            self.waiting += [(module, reference) for reference in facts.references]

    # -- what counts because of what was found

    def _add_subclasses(self) -> None:
        """Where code asks for the subclasses of its classes, they count, and a new one does."""
        if "__subclasses__" not in self.mentions:
            return
        for name, cls in list(self.classes.items()):
            place = f"{name}.__subclasses__()"
            if place not in self.values and not name.startswith("runway."):
                found: list[type] = type.__subclasses__(cls)
                below = [sub for sub in found if is_local(sub.__module__)]
                self.values[place] = digest(sorted(f"{sub.__module__}.{sub.__qualname__}" for sub in below))
                for sub in below:
                    self._add_code(sub)

    def _add_changes_to_packages(self) -> None:
        """What the project changes in a library, or sets there, counts for all that use the library."""
        for module, source, number, package in self.effects.on_packages(
            self.packages | self.libraries_of_project, self.packages | self.libraries
        ):
            self._add_effect(f"{module.__name__}.<changes to {package}>", module, source, number)

    def _count_what_is_read(self) -> None:
        """Annotations and docstrings count where code may read them."""
        everywhere = {kind for kind, names in READERS.items() if names & self.mentions}
        for text in list(self.texts.values()):
            counts = set(everywhere)
            if text.top != "*" and any(
                self._may_read(text.module, chain[0]) for chain in text.source.decorators(text.top)
            ):
                counts.add(ANNOTATIONS)
            if counts and not text.module.__name__.startswith("runway."):
                self._add_text(text.module, text.source, text.top, frozenset(counts))

    def _may_read(self, module: ModuleType, decorator: str) -> bool:
        value = vars(module).get(decorator)
        home = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None) or ""
        top = home.partition(".")[0]
        return top not in sys.stdlib_module_names and top not in _READ_NO_ANNOTATIONS and not is_local(home)

    # -- names

    def _follow(self, module: ModuleType, reference: Reference) -> None:
        """Find what a name stands for, and take it in."""
        owner: ModuleType | None = module
        chain = reference.chain
        self.of_project = not module.__name__.startswith("runway.")
        if reference.module is not None:
            home = absolute(reference, module)
            owner = None if reference.conditional and not home.startswith("runway.") else self._imported(home)
            if owner is None:
                self._add_unloaded(home, chain)
                return
            if not chain:
                self._add_module(owner)
                return
        assert owner is not None
        for depth, name in enumerate(chain):
            value = vars(owner).get(name, _MISSING)
            if value is _MISSING:
                submodule = self._imported(f"{owner.__name__}.{name}") if hasattr(owner, "__path__") else None
                if submodule is None:
                    self._missing(owner, name)
                    return
                value = submodule
            if not isinstance(value, ModuleType) or value is owner:
                self._add_name(owner, name, value)
                return
            if not is_local(value.__name__):
                self._note_package(value.__name__)
                self._add_replaced(value, chain[depth + 1 :])
                return
            owner = value
            if depth == len(chain) - 1:
                self._add_module(owner)

    def _add_replaced(self, library: Any, chain: tuple[str, ...]) -> None:
        """Of a library's names, what the project has put there."""
        value = library
        for name in chain:
            value = vars(value).get(name) if isinstance(value, ModuleType | type) else None
            if isinstance(value, FunctionType | type) and is_local(_home(value)):
                self._add_code(value)

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
        source = source_of_module(owner)
        if isinstance(value, type | FunctionType):
            identity = self._add_code(value)
            renamed = value.__name__ != name  # ``from helpers import other as clean``
            if renamed or identity != without_path(f"{_home(value)}.{value.__qualname__}"):
                self.values.setdefault(full, digest(identity))
            written = source is not None and source.defines_code(name)
            if id(value) in self.partly and not written:
                self._add_making_of(full, owner, name, value)
            if not written or _home(value) == owner.__name__:
                return
        if source is not None and source.defines_code(name):  # decorated, it is another thing with another source
            self._add_text(owner, source, name)
        if full in self.values or isinstance(value, type | FunctionType):
            return
        if source is not None and name in source and not full.startswith("runway."):
            self._note_use(owner, source, name)
        if not self._add_value(full, value):
            self._add_making_of(full, owner, name, value)

    def _imported(self, module_name: str) -> ModuleType | None:
        """A module that the source imports: the user's are imported (they would be anyway), others only noted."""
        if not is_local(module_name):
            self._note_package(module_name)
            return sys.modules.get(module_name)
        try:
            return importlib.import_module(module_name)
        except (Exception, SystemExit):  # told by whoever needs it, when the node runs
            return sys.modules.get(module_name)

    def _add_unloaded(self, module_name: str, chain: tuple[str, ...]) -> None:
        """What may be imported counts by its text, and is not imported for that."""
        if not is_local(module_name):
            self._note_package(module_name)
            return
        for place, found in texts_behind(module_name, chain, self._note_package).items():
            self.values[place] = found


def _held_by(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """What a function holds besides its code, by name."""
    for variable, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):  # not filled yet: a recursive definition
            if variable != "__class__":
                yield variable, cell.cell_contents
    yield from ((f"default {number}", value) for number, value in enumerate(function.__defaults__ or ()))
    yield from ((f"default {key}", value) for key, value in sorted((function.__kwdefaults__ or {}).items()))
    yield from ((f"attribute {key}", value) for key, value in sorted(vars(function).items()) if key != "__wrapped__")


def _home(found: Any) -> str:
    """The name of the module in which a function or class was written; ``functools.wraps`` fakes ``__module__``."""
    if isinstance(found, FunctionType):
        return found.__globals__.get("__name__") or ""
    return getattr(found, "__module__", None) or ""


def _without_paths(parts: dict[str, str]) -> dict[str, str]:
    """The parts under the names that count: those of one name that several of runway's modules have, together."""
    named: dict[str, list[str]] = {}
    for full, part in sorted(parts.items()):
        named.setdefault(without_path(full), []).append(part)
    return {name: found[0] if len(found) == 1 else combine(*sorted(found)) for name, found in sorted(named.items())}
