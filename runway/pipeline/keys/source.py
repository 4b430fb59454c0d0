"""What a source file says: each top-level definition's normalised digest, and the names that it uses.

Comments, formatting and positions do not count; docstrings and annotations of functions do where code reads them.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from runway.disk import blake2b
from runway.pipeline.keys import names, syntax
from runway.pipeline.keys.names import Chain, Reference, references_in
from runway.pipeline.keys.syntax import ANNOTATIONS, DOCSTRINGS, normalise
from runway.project_modules import kept_beside

DEEPEST = 20_000
NOTHING: frozenset[str] = frozenset()
READERS = {
    ANNOTATIONS: {"__annotations__", "get_annotations", "get_type_hints", "getfullargspec", "signature"},
    DOCSTRINGS: {"__doc__", "getdoc", "getsource"},
}
"""Where code mentions one of these names, it may read what otherwise nobody reads."""
TELLING = {"__subclasses__"}.union(*READERS.values())
Top = str | int
"""A top-level name, or the number of a statement that binds none."""
CALL, ASSIGN, OTHER = "call", "assign", "other"


class Facts(NamedTuple):
    """What counts of one definition.

    Attributes:
        digest: of its normalised text.
        references: the names that it takes from outside.
        mentions: those of READERS and ``__subclasses__`` that occur in it.
    """

    digest: str
    references: tuple[Reference, ...]
    mentions: frozenset[str] = NOTHING


class Effect(NamedTuple):
    """A statement at the top level that may change an object: ``name.method(…)``, ``name.field = …``,
    ``function(name)``, ``@name.method`` above a definition.

    Attributes:
        on: the object, as the module names it.
        kind: CALL of a method, ASSIGN of an attribute, or OTHER.
        number: of the statement, for ``SourceFile.facts``.
    """

    on: Chain
    kind: str
    number: int


class SourceFile:
    """One file. What it says is kept beside its bytecode: parsing takes longer than all else that a cached run does.

    Args:
        path: its name, for errors.
        content: its bytes.
    """

    def __init__(self, path: Path, content: bytes) -> None:
        self._path = path
        self._content = content
        self._parsed: _Parsed | None = None
        self._facts: dict[tuple[Top, frozenset[str]], Facts] = {}
        self._says: dict[str, Any] = kept_beside(
            str(path), content, "runwayfacts", lambda: self._tree().says(), (__file__, names.__file__, syntax.__file__)
        )

    def _tree(self) -> _Parsed:
        if self._parsed is None:
            self._parsed = _Parsed(ast.parse(self._content, filename=str(self._path)))
        return self._parsed

    def __contains__(self, name: str) -> bool:
        """Whether the file binds a name at its top level."""
        return name in self._says["names"]

    def defines_code(self, name: str) -> bool:
        """Whether ``name`` is bound by ``def`` or ``class``."""
        return self._says["names"].get(name, False)

    def facts(self, place: Top, counts: frozenset[str] = NOTHING) -> Facts:
        """Of the definition of a name: all of them with their conditions, where branches define it differently.

        Args:
            place: a top-level name; ``*`` is the file as a whole, for a module that is handed around as a value; or the
                number of a statement.
            counts: what else counts: ANNOTATIONS, DOCSTRINGS.
        """
        key = (place, counts)
        if key not in self._facts:
            plain = self._tree().facts(place, counts) if counts else self._says["facts"][place]
            digest, references, mentions = plain
            found = tuple(Reference(*reference) for reference in references)
            self._facts[key] = Facts(digest, found, frozenset(mentions))
        return self._facts[key]

    def members(self, name: str) -> dict[str, str]:
        """{name of a method or a nested class: digest of its text} of a class; empty where ``name`` is none."""
        tree = self._tree()
        classes = [part for part in tree._code(name) if isinstance(part, ast.ClassDef)] if name in self else []
        kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        members = [member for found in classes for member in found.body if isinstance(member, kinds)]
        return {member.name: facts_of(list[ast.stmt]([member]), NOTHING)[0] for member in members}

    def effects(self) -> Iterator[Effect]:
        """What is done to objects at the top level of the file."""
        return (Effect(*effect) for effect in self._says["effects"])

    def decorators(self, name: Top) -> Iterable[Chain]:
        """What stands over the definition of a function or class, and over its methods."""
        return self._says["decorators"].get(name, ())

    def place_at(self, line: int) -> Top | None:
        """The top-level name whose definition holds a line, or the number of a statement with a lambda in it."""
        return next((name for first, last, name in self._says["lines"] if first <= line <= last), None)

    def all_imports(self) -> Iterator[Reference]:
        """Every import at the top level of the file, by the full names."""
        return (Reference(*reference) for reference in self._says["all imports"])

    def imports(self, name: str) -> list[Reference]:
        """What a top-level name may stand for, where an import binds it."""
        if name in self:
            return [Reference(*reference) for reference in self._says["imports"].get(name, ())]
        return [Reference((name,), module, level) for module, level in self._says["star imports"]]


class _Parsed:
    """A file's syntax tree, and what it says as plain data."""

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self.statements = list(_top_level(tree.body, []))
        self.definitions: dict[str, list[int]] = {}
        for number, (statement, _) in enumerate(self.statements):
            for name in _bound_by(statement):
                self.definitions.setdefault(name, []).append(number)

    def facts(self, place: Top, counts: frozenset[str]) -> tuple:
        if place == "*":
            return facts_of(self.tree.body, counts)
        numbers = [place] if isinstance(place, int) else self.definitions[place]
        parts = [(*conditions, statement) for statement, conditions in (self.statements[n] for n in numbers)]
        return facts_of([node for nodes in parts for node in nodes], counts)

    def says(self) -> dict[str, Any]:
        effects = list(self._effects())
        lines = list(self._lines())
        places: list[Top] = ["*", *self.definitions, *(number for _, _, number in effects)]
        places += [place for _, _, place in lines if isinstance(place, int)]
        code = {name: self._code(name) for name in self.definitions}
        return {
            "names": {name: bool(found) for name, found in code.items()},
            "facts": {place: self.facts(place, NOTHING) for place in places},
            "effects": effects,
            "decorators": {name: chains for name, found in code.items() if (chains := _decorators(found))},
            "imports": {name: found for name in self.definitions if (found := self._imports(name))},
            "all imports": list(self._all_imports()),
            "star imports": [
                (statement.module or "", statement.level)
                for statement, _ in self.statements
                if isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*"
            ],
            "lines": lines,
        }

    def _lines(self) -> Iterator[tuple[int, int, Top]]:
        """First and last line of each statement that may define code, what is inside before what holds it."""
        for number in reversed(range(len(self.statements))):
            statement = self.statements[number][0]
            names = list(_bound_by(statement))
            if names or any(isinstance(node, ast.Lambda) for node in ast.walk(statement)):
                yield (*_lines_of(statement), names[0] if names else number)

    def _code(self, name: str) -> list[ast.stmt]:
        statements = (self.statements[number][0] for number in self.definitions[name])
        return [s for s in statements if isinstance(s, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)]

    def _effects(self) -> Iterator[tuple[Chain, str, int]]:
        for number, (statement, _) in enumerate(self.statements):
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
                chain = _chain(statement.value.func)
                if len(chain) > 1:
                    yield chain[:-1], CALL, number
                handed = [*statement.value.args, *(keyword.value for keyword in statement.value.keywords)]
                yield from ((chain, OTHER, number) for argument in handed if (chain := _chain(argument)))
            elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Delete):
                targets = getattr(statement, "targets", None) or [statement.target]  # type: ignore[union-attr]
                for target in targets:
                    if isinstance(target, ast.Attribute | ast.Subscript) and (chain := _chain(target.value)):
                        yield chain, ASSIGN if isinstance(target, ast.Attribute) else OTHER, number
            for decorator in getattr(statement, "decorator_list", ()):
                if len(chain := _chain(decorator)) > 1:
                    yield chain[:-1], OTHER, number

    def _all_imports(self) -> Iterator[tuple[Chain, str, int]]:
        for statement, _ in self.statements:
            if isinstance(statement, ast.Import):
                yield from (((), alias.name, 0) for alias in statement.names)
            elif isinstance(statement, ast.ImportFrom):
                names = statement.names
                yield from (((alias.name,), statement.module or "", statement.level) for alias in names)

    def _imports(self, name: str) -> list[tuple[Chain, str, int]]:
        found: list[tuple[Chain, str, int]] = []
        for number in self.definitions[name]:
            statement = self.statements[number][0]
            for alias in statement.names if isinstance(statement, ast.Import | ast.ImportFrom) else ():
                if isinstance(statement, ast.ImportFrom) and (alias.asname or alias.name) == name:
                    found.append(((alias.name,), statement.module or "", statement.level))
                elif isinstance(statement, ast.Import) and (alias.asname or alias.name.partition(".")[0]) == name:
                    found.append(((), alias.name if alias.asname else name, 0))
        return found


def facts_of(statements: list[ast.AST] | list[ast.stmt], counts: frozenset[str]) -> tuple[str, tuple, tuple[str, ...]]:
    """What Facts holds, as plain data."""
    pieces: list[str] = []
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, DEEPEST))  # a long chain of ``elif`` or of ``+`` is a deep tree
    try:
        for statement in statements:
            normalise(statement, pieces, counts)
        references, mentions = references_in(statements, annotations=ANNOTATIONS in counts)
    finally:
        sys.setrecursionlimit(limit)
    state = blake2b("".join(pieces).encode("utf-8", "surrogatepass"), digest_size=16)
    return state.hexdigest(), tuple(map(tuple, references)), tuple(sorted(mentions & TELLING))


def _decorators(statements: list[ast.stmt]) -> list[Chain]:
    lists = (getattr(node, "decorator_list", ()) for statement in statements for node in ast.walk(statement))
    return sorted({chain for decorators in lists for decorator in decorators if (chain := _chain(decorator))})


def _top_level(statements: Iterable[ast.stmt], conditions: list[ast.expr]) -> Iterator[tuple[ast.stmt, list[ast.expr]]]:
    """Top-level statements, with those inside ``if``, ``try``, ``with`` and loops; each with what it hangs on."""
    for statement in statements:
        yield statement, conditions
        if isinstance(statement, ast.If | ast.For | ast.While | ast.With | ast.Try | ast.TryStar):
            header = getattr(statement, "test", None) or getattr(statement, "iter", None)
            inner = [*conditions, header] if header is not None else conditions
            for field in ("body", "orelse", "finalbody"):
                yield from _top_level(getattr(statement, field, ()), inner)
            for handler in getattr(statement, "handlers", ()):
                yield from _top_level(handler.body, inner)


def _lines_of(statement: ast.stmt) -> tuple[int, int]:
    """The first and the last line of a statement, from its first decorator on."""
    decorators = getattr(statement, "decorator_list", ())
    first = min([statement.lineno, *(decorator.lineno for decorator in decorators)])
    return first, statement.end_lineno or statement.lineno


def _chain(node: ast.AST) -> Chain:
    """``a.b.c`` of ``a.b.c``, ``a.b.c(…)`` and ``a.b.c[…]``; empty where it does not begin with a name."""
    names: list[str] = []
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        if isinstance(node, ast.Attribute):
            names.append(node.attr)
        elif not isinstance(node, ast.Call):
            names.clear()  # what an item is, nobody knows: the effect is on what holds it
        node = node.func if isinstance(node, ast.Call) else node.value
    return (node.id, *reversed(names)) if isinstance(node, ast.Name) else ()


def _bound_by(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for target in targets:
            for node in ast.walk(target):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    yield node.id
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        for alias in statement.names:
            yield alias.asname or alias.name.partition(".")[0]
