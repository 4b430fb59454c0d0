"""The names that a piece of source takes from outside itself.

The scoping rules are those of the Python reference, "Execution model", section "Naming and binding".
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterable
from types import ModuleType
from typing import NamedTuple

Chain = tuple[str, ...]


class Reference(NamedTuple):
    """A name that a definition uses: ``chain`` is looked up in the module's globals, or in ``module`` where a
    function imports it (``level`` dots before it).

    ``conditional``: the import stands under a condition or a ``try``: it may never happen.
    """

    chain: Chain
    module: str | None = None
    level: int = 0
    conditional: bool = False


def absolute(reference: Reference, module: ModuleType) -> str:
    """The full name of the module that a reference in ``module`` names."""
    return resolve(reference, module.__package__ or "")


def resolve(reference: Reference, package: str) -> str:
    """The same for a module in ``package``; empty where the dots lead out of it."""
    if not reference.level:
        return reference.module or ""
    try:
        return importlib.util.resolve_name("." * reference.level + (reference.module or ""), package)
    except ImportError:
        return ""


def references_in(statements: Iterable[ast.AST], *, annotations: bool) -> tuple[tuple[Reference, ...], frozenset[str]]:
    """What statements use, sorted, and every attribute and name that is mentioned in them.

    Args:
        statements: of a module's top level.
        annotations: whether those of functions count.
    """
    finder = _References(annotations)
    for statement in statements:
        finder.visit(statement)
    return tuple(sorted(finder.found, key=str)), frozenset(finder.mentions)


class _Scope:
    def __init__(self, names: set[str], imports: dict[str, list[Reference]], is_class: bool = False) -> None:
        self.names = names
        self.imports = imports
        self.is_class = is_class


class _References(ast.NodeVisitor):
    """Finds the names that a definition takes from outside itself."""

    def __init__(self, annotations: bool) -> None:
        self.annotations = annotations
        self.found: set[Reference] = set()
        self.mentions: set[str] = set()
        self.scopes: list[_Scope] = []

    def visit_Name(self, node: ast.Name) -> None:
        self.mentions.add(node.id)
        if isinstance(node.ctx, ast.Load):
            self._use((node.id,))

    def visit_Call(self, node: ast.Call) -> None:
        """``import_module("a.b")`` is an import, whatever is then used of it."""
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in ("import_module", "__import__") and self.scopes and node.args:
            literal = node.args[0].value if isinstance(node.args[0], ast.Constant) else None
            if isinstance(literal, str) and (module := literal.lstrip(".")):
                self.found.add(Reference((), module, len(literal) - len(module), conditional=True))
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        attributes: list[str] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            self.mentions.add(inner.attr)
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
        if self.annotations:
            self._visit_annotations(node)
        self._inside(_function_scope(node.args, node.body), node.body)

    def _visit_annotations(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for argument in ast.walk(node.args):
            if isinstance(argument, ast.arg) and argument.annotation is not None:
                self.visit(argument.annotation)
        if node.returns is not None:
            self.visit(node.returns)

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
    stack: list[tuple[ast.AST, bool]] = [(node, False) for node in body]
    while stack:
        node, conditional = stack.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            continue  # what is bound inside is bound there
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, ast.comprehension):  # its target is bound inside of the comprehension
            stack += [(inner, conditional) for inner in (node.iter, *node.ifs)]
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
                module = alias.name if alias.asname else alias.name.partition(".")[0]
                target = Reference((), module, conditional=conditional)
                imports.setdefault(alias.asname or module, []).append(target)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                target = Reference((alias.name,), node.module or "", node.level, conditional)
                imports.setdefault(alias.asname or alias.name, []).append(target)
        inside = conditional or isinstance(node, ast.If | ast.Try | ast.TryStar | ast.Match | ast.While)
        stack += [(inner, inside) for inner in ast.iter_child_nodes(node)]
    for name in outer:
        imports.pop(name, None)
    return _Scope(names - outer, imports)
