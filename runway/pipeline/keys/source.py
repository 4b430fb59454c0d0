"""What a source file says: each top-level definition's normalised digest, and the names that it uses.

Comments, docstrings, formatting, annotations of functions and positions do not count. The scoping rules are
those of the Python reference, "Execution model", section "Naming and binding".
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

Chain = tuple[str, ...]
DEEPEST = 20_000


class Reference(NamedTuple):
    """A name that a definition uses: ``chain`` is looked up in the module's globals, or in ``module`` where a
    function imports it (``level`` dots before it)."""

    chain: Chain
    module: str | None = None
    level: int = 0


class Facts(NamedTuple):
    """What counts of one definition."""

    digest: str
    references: tuple[Reference, ...]


class SourceFile:
    """One parsed file.

    Args:
        path: its name, for errors.
        content: its bytes.
    """

    def __init__(self, path: Path, content: bytes) -> None:
        self.tree = ast.parse(content, filename=str(path))
        self.definitions: dict[str, list[ast.stmt]] = {}
        """The statements that bind each top-level name."""
        self.uses: dict[str, list[ast.stmt]] = {}
        """The top-level statements that may change the object with that name: a method's call, a stored item."""
        self._conditions: dict[int, list[ast.expr]] = {}
        self._names_by_line: dict[int, str] = {}
        for statement, conditions in _top_level(self.tree.body, []):
            self._conditions[id(statement)] = conditions
            for name in _bound_by(statement):
                self.definitions.setdefault(name, []).append(statement)
                self._names_by_line.update(dict.fromkeys(_lines_of(statement), name))
            changed = _changed_by(statement)
            if changed is not None:
                self.uses.setdefault(changed, []).append(statement)
        self._facts: dict[str, Facts] = {}

    def facts(self, name: str) -> Facts:
        """Of the definition of ``name``: all of them with their conditions, where branches define it differently."""
        if name not in self._facts:
            self._facts[name] = facts_of(self._with_conditions(self.definitions[name]))
        return self._facts[name]

    def making_of(self, name: str) -> Facts:
        """Of the definition of an object, and of all that is done to it at the top level of the file."""
        place = f"{name} and its uses"
        if place not in self._facts:
            statements = [*self.definitions[name], *self.uses.get(name, ())]
            self._facts[place] = facts_of(self._with_conditions(statements))
        return self._facts[place]

    def _with_conditions(self, statements: list[ast.stmt]) -> list[ast.AST]:
        found: list[ast.AST] = []
        for statement in statements:
            found += [*self._conditions[id(statement)], statement]
        return found

    def name_at(self, line: int) -> str | None:
        """The top-level name whose definition holds a line."""
        return self._names_by_line.get(line)

    def whole(self) -> Facts:
        """Of the file as a whole, for a module that is handed around as a value."""
        if "*" not in self._facts:
            self._facts["*"] = facts_of(self.tree.body)
        return self._facts["*"]

    def defines_code(self, name: str) -> bool:
        """Whether ``name`` is bound by ``def`` or ``class``."""
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        return any(isinstance(statement, kinds) for statement in self.definitions.get(name, ()))


def facts_of(statements: Iterable[ast.AST]) -> Facts:
    """Digest and references of some statements."""
    pieces: list[str] = []
    finder = _References()
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, DEEPEST))  # a long chain of ``elif`` or of ``+`` is a deep tree
    try:
        for statement in statements:
            _normalise(statement, pieces)
            finder.visit(statement)
    finally:
        sys.setrecursionlimit(limit)
    state = blake2b("".join(pieces).encode("utf-8", "surrogatepass"), digest_size=16)
    return Facts(state.hexdigest(), tuple(sorted(finder.found, key=str)))


def _top_level(statements: Iterable[ast.stmt], conditions: list[ast.expr]) -> Iterator[tuple[ast.stmt, list[ast.expr]]]:
    """Top-level statements, with those inside ``if``, ``try``, ``with`` and loops; each with the tests before it."""
    for statement in statements:
        yield statement, conditions
        if isinstance(statement, ast.If | ast.For | ast.While | ast.With | ast.Try):
            inner = [*conditions, statement.test] if isinstance(statement, ast.If | ast.While) else conditions
            for field in ("body", "orelse", "finalbody"):
                yield from _top_level(getattr(statement, field, ()), inner)
            for handler in getattr(statement, "handlers", ()):
                yield from _top_level(handler.body, inner)


def _lines_of(statement: ast.stmt) -> range:
    """The lines of a statement, from its first decorator on."""
    decorators = getattr(statement, "decorator_list", ())
    first = min([statement.lineno, *(decorator.lineno for decorator in decorators)])
    return range(first, (statement.end_lineno or statement.lineno) + 1)


def _changed_by(statement: ast.stmt) -> str | None:
    """The name of the object that ``name.method()``, ``name[key] = value`` or ``name.field = value`` works on."""
    inner: ast.AST | None = None
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        inner = statement.value.func
    elif isinstance(statement, ast.Assign | ast.AugAssign | ast.Delete):
        inner = statement.target if isinstance(statement, ast.AugAssign) else statement.targets[0]
    if not isinstance(inner, ast.Attribute | ast.Subscript):
        return None
    while isinstance(inner, ast.Attribute | ast.Subscript | ast.Call):
        inner = inner.func if isinstance(inner, ast.Call) else inner.value
    return inner.id if isinstance(inner, ast.Name) else None


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


# --- the normalised text of a syntax tree

_SKIPPED_FIELDS = {"ctx", "type_comment", "type_ignores", "kind", "returns", "type_params"}


def _normalise(node: ast.AST, pieces: list[str], in_function: bool = False) -> None:
    """Add the tree as pieces of text; fields that are empty are left out, so that a field which a newer Python adds
    does not change the digest."""
    pieces += (type(node).__name__, "(")
    function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    inside = function or (in_function and not isinstance(node, ast.ClassDef))
    for field in node._fields:
        value = getattr(node, field, None)
        if field in _SKIPPED_FIELDS or value is None or value == []:
            continue
        if field == "module" and isinstance(value, str) and value.startswith("runway."):
            value = "runway"  # what is imported from there is followed; where its module stands does not count
        # A class reads its annotations (dataclasses do), a function does not.
        if field == "annotation" and (isinstance(node, ast.arg) or in_function):
            continue
        if field == "body" and isinstance(value, list) and isinstance(node, _WITH_DOCSTRING):
            value = value[1:] if _is_docstring(value[0]) else value
        pieces += (field, "=")
        _normalise_value(value, pieces, inside)
    pieces.append(")")


_WITH_DOCSTRING = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)


def _normalise_value(value: object, pieces: list[str], in_function: bool) -> None:
    if isinstance(value, ast.AST):
        _normalise(value, pieces, in_function)
    elif isinstance(value, list):
        pieces.append("[")
        for item in value:
            _normalise_value(item, pieces, in_function)
            pieces.append(",")
        pieces.append("]")
    else:
        pieces.append(f"{type(value).__name__}:{value!r}")


def _is_docstring(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


# --- the names that a syntax tree uses


class _Scope:
    def __init__(self, names: set[str], imports: dict[str, list[Reference]], is_class: bool = False) -> None:
        self.names = names
        self.imports = imports
        self.is_class = is_class


class _References(ast.NodeVisitor):
    """Finds the names that a definition takes from outside itself."""

    def __init__(self) -> None:
        self.found: set[Reference] = set()
        self.scopes: list[_Scope] = []

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._use((node.id,))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        attributes: list[str] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            attributes.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name):
            self._use((inner.id, *reversed(attributes)))
        else:
            self.visit(inner)

    def _use(self, chain: Chain) -> None:
        for depth, scope in enumerate(reversed(self.scopes)):
            if scope.is_class and depth > 0:  # a method does not see the names of its class's body
                continue
            if chain[0] in scope.imports:
                for target in scope.imports[chain[0]]:
                    self.found.add(target._replace(chain=target.chain + chain[1:]))
                return
            if chain[0] in scope.names:
                return
        self.found.add(Reference(chain))

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for outside in (*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)):
            self.visit(outside)
        self._inside(_function_scope(node.args, node.body), node.body)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def visit_Lambda(self, node: ast.Lambda) -> None:
        for outside in (*node.args.defaults, *filter(None, node.args.kw_defaults)):
            self.visit(outside)
        self._inside(_function_scope(node.args, []), [node.body])

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for outside in (*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)):
            self.visit(outside)
        scope = _function_scope(None, node.body)
        scope.is_class = True
        # Inside a class's body a name may be read before the class binds it (``x = x``): it is the outer one then.
        scope.names -= {name for name in scope.names if name not in scope.imports}
        self._inside(scope, node.body)

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        self.visit(node.generators[0].iter)
        names = {
            inner.id
            for generator in node.generators
            for inner in ast.walk(generator.target)
            if isinstance(inner, ast.Name)
        }
        results = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        later = [generator.iter for generator in node.generators[1:]]
        conditions = [condition for generator in node.generators for condition in generator.ifs]
        self._inside(_Scope(names, {}), [*results, *later, *conditions])

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension  # noqa: N815

    def visit_Import(self, node: ast.Import) -> None:
        """Only what is used of an import counts; see ``_use``."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """As ``import``."""

    def visit_arg(self, node: ast.arg) -> None:
        """Annotations of functions do not count."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if self.scopes and not self.scopes[-1].is_class:
            for part in filter(None, (node.target, node.value)):
                self.visit(part)
        else:
            self.generic_visit(node)

    def _inside(self, scope: _Scope, nodes: Iterable[ast.AST]) -> None:
        self.scopes.append(scope)
        for node in nodes:
            self.visit(node)
        self.scopes.pop()


def _function_scope(arguments: ast.arguments | None, body: list[ast.stmt]) -> _Scope:
    names: set[str] = set()
    imports: dict[str, list[Reference]] = {}
    outer: set[str] = set()
    if arguments is not None:
        listed = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        names |= {argument.arg for argument in listed if argument is not None}
    stack: list[ast.AST] = list(body)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            continue  # what is bound inside is bound there
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, ast.comprehension):  # its target is bound inside of the comprehension
            stack += [node.iter, *node.ifs]
            continue
        if isinstance(node, ast.Global | ast.Nonlocal):
            outer |= set(node.names)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif (isinstance(node, ast.ExceptHandler) and node.name) or (
            isinstance(node, ast.MatchAs | ast.MatchStar) and node.name
        ):
            names.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            names.add(node.rest)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                # ``import a.b`` binds ``a``; what is used of it says how deep to look
                target = Reference((), alias.name if alias.asname else alias.name.partition(".")[0])
                imports.setdefault(alias.asname or alias.name.partition(".")[0], []).append(target)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                target = Reference((alias.name,), node.module or "", node.level)
                imports.setdefault(alias.asname or alias.name, []).append(target)
        stack.extend(ast.iter_child_nodes(node))
    for name in outer:
        imports.pop(name, None)
    return _Scope(names - outer, imports)
