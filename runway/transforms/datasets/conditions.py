"""What a config says of a column's values, held against them: comparisons, sets, patterns; dates come as text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from runway.config.literals import parse_value
from runway.errors import ConfigError
from runway.transforms.arrow_tables import column, lengths

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from datasets import Dataset

LENGTHS = ("min_length", "max_length")
OPERATORS = ("==", "!=", "<", "<=", ">", ">=", "in", "not_in", "contains", "regex", *LENGTHS)
_QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_ONE = re.compile(
    rf"""\s*(?P<column>{_QUOTED}|[^\s=!<>'"]+)\s*
    (?P<operator>==|!=|<=|>=|<|>|(?<=\s)(?:{"|".join(name for name in OPERATORS if name.isidentifier())})\b)\s*
    (?P<operand>(?:{_QUOTED}|(?!\sand\s).)+)""",
    re.VERBOSE | re.DOTALL,
)


class Condition(NamedTuple):
    """What a row's value is held against, as ``meets`` takes it."""

    column: str
    operator: str
    operand: Any


def parse_conditions(text: str, where: str) -> list[Condition]:
    """Conditions in words, of which a row must meet all: ``label == 1 and text contains 'great'``.

    Args:
        text: the words; values are written as in an override.
        where: where they stand, for errors.

    Raises:
        ConfigError: they are not of this form.
    """
    found: list[Condition] = []
    at = 0
    while True:
        one = _ONE.match(text, at)
        if one is None:
            hint = f"COLUMN OPERATOR VALUE, several joined by `and`; operators: {', '.join(OPERATORS)}"
            raise ConfigError(f"cannot be read: {text[at:].strip() or text!r}", where=where, hint=hint)
        operand = parse_value(one["operand"].strip())
        if one["operator"] in ("in", "not_in") and not isinstance(operand, list):
            raise ConfigError(f"`{one['operator']}` takes a list: [a, b]", where=where)
        if one["operator"] in LENGTHS and (not isinstance(operand, int) or isinstance(operand, bool)):
            raise ConfigError(f"`{one['operator']}` takes a whole number", where=where)
        found.append(Condition(one["column"].strip("'\""), one["operator"], operand))
        if one.end() == len(text):
            return found
        at = one.end() + len(" and ")


def meets(dataset: Dataset, name: str, operator: str, operand: Any) -> np.ndarray:
    """Which rows meet a condition; a null meets one only that names null. bool, ``[rows]``.

    Args:
        dataset: the rows.
        name: the column.
        operator: one of OPERATORS.
        operand: what the config gives: text for a date or time, or for a ClassLabel's number.

    Raises:
        ConfigError: the operand is a pattern that is not right.
        ValueError: it does not go with the column's type; or TypeError, or NotImplementedError.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    values = column(dataset, name)
    if operator in LENGTHS:
        counts = lengths(values)
        mask = counts >= operand if operator == "min_length" else counts <= operand
        return mask & pc.is_valid(values).to_numpy()
    if operator in ("in", "not_in"):
        wanted = typed(dataset, name, list(operand))
        mask = pc.is_in(values, wanted)
        if operator == "not_in":
            mask = pc.and_(pc.is_valid(values), pc.invert(mask))
    elif operand is None:
        if operator not in ("==", "!="):
            raise ValueError(f"nothing is {operator} null")
        mask = pc.is_null(values) if operator == "==" else pc.is_valid(values)
    elif operator == "contains":
        mask = pc.match_substring(values, str(operand))
    elif operator == "regex":
        mask = _matches(values, str(operand))
    else:
        compare = {"==": pc.equal, "!=": pc.not_equal, "<": pc.less, "<=": pc.less_equal, ">": pc.greater}
        compare |= {">=": pc.greater_equal}
        is_text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
        given = operand if is_text or not isinstance(operand, str) else typed(dataset, name, [operand])[0]
        mask = compare[operator](values, given)
    return pc.fill_null(mask, False).to_numpy()


def typed(dataset: Dataset, name: str, given: Sequence[Any]) -> pa.Array:
    """Values of a config in the type of a column.

    Text stands for a date (``2024-05-31``), a time of day (``12:00``), the name of a ClassLabel's class, or a point in
    time (``2024-05-31 12:00``), which is one of the column's time zone unless it says ``Z`` or ``+02:00`` itself.

    Raises:
        ValueError: one does not go with the type; or TypeError, or NotImplementedError.
    """
    import datetime

    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column(dataset, name).type
    names = getattr(dataset.features[name], "names", None)
    if names is not None:
        given = [names.index(value) if value in names else value for value in given]
    is_text = all(isinstance(value, str | None) for value in given) and any(given)
    if is_text and pa.types.is_time(kind):
        return pa.array([None if value is None else datetime.time.fromisoformat(value) for value in given], kind)
    values = pa.array(given)
    if is_text and pa.types.is_timestamp(kind) and kind.tz is not None:
        local = [value is not None and not re.search(r"(Z|[+-]\d\d(:?\d\d)?)$", value[10:]) for value in given]
        here = pc.assume_timezone(pc.if_else(pa.array(local), values, None).cast(pa.timestamp(kind.unit)), kind.tz)
        return pc.coalesce(here, pc.if_else(pa.array(local), None, values).cast(kind))
    return values.cast(kind)


def _matches(values: pa.ChunkedArray, pattern: str) -> pa.ChunkedArray:
    """Where a regular expression is found: by RE2, or by Python's ``re`` for what RE2 lacks, such as a look-ahead."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        pc.match_substring_regex(pa.array([""]), pattern)
    except pa.ArrowInvalid as fast:
        try:
            found = re.compile(pattern).search
        except re.error as error:
            place = "" if error.pos is None else f"\n  {pattern}\n  {' ' * error.pos}^"
            raise ConfigError(f"the regular expression {pattern!r} is not right: {error}{place}") from fast
        if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
            raise ValueError("a regular expression is for text") from fast
        return pa.chunked_array(
            [[None if text is None else found(text) is not None for text in values.to_pylist()]], pa.bool_()
        )
    return pc.match_substring_regex(values, pattern)
