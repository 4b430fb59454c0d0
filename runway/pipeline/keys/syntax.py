"""A syntax tree as text in which comments, formatting and positions do not count, and what nobody reads does not."""

from __future__ import annotations

import ast

ANNOTATIONS, DOCSTRINGS = "annotations", "docstrings"
"""What counts only where code reads it: the annotations of functions, and docstrings."""
_SKIPPED_FIELDS = {"ctx", "type_comment", "type_ignores", "kind", "type_params"}


def normalise(node: ast.AST, pieces: list[str], counts: frozenset[str], in_function: bool = False) -> None:
    """Add a syntax tree as pieces of text; fields that are empty are left out, so that a field which a newer Python
    adds does not change the digest.

    Args:
        node: its root.
        pieces: where to add them.
        counts: ANNOTATIONS, DOCSTRINGS, both or none.
        in_function: whether it stands in a function.
    """
    pieces += (type(node).__name__, "(")
    function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    inside = function or (in_function and not isinstance(node, ast.ClassDef))
    for field in node._fields:
        value = getattr(node, field, None)
        if field in _SKIPPED_FIELDS or value is None or value == []:
            continue
        if field == "module" and isinstance(value, str) and value.startswith("runway."):
            value = "runway"  # what is imported from there is followed; where its module stands does not count
        # A class reads its annotations (dataclasses do), a function does not, and nobody those of its variables.
        if field == "returns" or (field == "annotation" and isinstance(node, ast.arg)):
            if ANNOTATIONS not in counts:
                continue
        elif field == "annotation" and in_function:
            continue
        if field == "body" and isinstance(node, _WITH_DOCSTRING) and DOCSTRINGS not in counts:
            value = value[1:] if _is_docstring(value[0]) else value
            value = [statement for statement in value if not isinstance(statement, ast.Pass)]
        pieces += (field, "=")
        _normalise_value(value, pieces, counts, inside)
    pieces.append(")")


_WITH_DOCSTRING = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)


def _normalise_value(value: object, pieces: list[str], counts: frozenset[str], in_function: bool) -> None:
    if isinstance(value, ast.AST):
        normalise(value, pieces, counts, in_function)
    elif isinstance(value, list):
        pieces.append("[")
        for item in value:
            _normalise_value(item, pieces, counts, in_function)
            pieces.append(",")
        pieces.append("]")
    else:
        pieces.append(f"{type(value).__name__}:{value!r}")


def _is_docstring(statement: object) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
