"""Slices of a recorder's rows, as a config names them: by a column, by length, by an expression."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from runway.errors import ConfigError, DataError, RunwayError, must_be_known
from runway.log import warning

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from runway.recorder import EvalRecorder

KINDS = ("column", "length", "where")
KEYS = (*KINDS, "name", "at", "most")
MOST_VALUES = 20
"""Values of a column up to which each is a slice of its own; of more the commonest, and of numbers ranges."""
RANGES = 4


class Slice(NamedTuple):
    """Some rows.

    Attributes:
        name: what they have in common.
        rows: their numbers, shape (rows,).
    """

    name: str
    rows: np.ndarray


def make_slices(asked: Sequence[Any], recorder: EvalRecorder, where: str) -> list[Slice]:
    """The slices that a config asks for, of those rows that there are.

    Args:
        asked: a text (a column, or an expression: ``label == 1 and text contains 'great'``) or an object each:
            ``{column}`` a slice for each value, ``{length}`` ranges of a column's words or items, ``{where}`` the rows
            that meet an expression; with ``name``, ``at`` (where ranges end) and ``most`` (values of a column).
        recorder: of the rows.
        where: they stand, for errors.

    Raises:
        ConfigError: one is not of this form.
        DataError: it names a column that is not there.
    """
    found: dict[str, Slice] = {}
    for place, one in enumerate(asked):
        here = f"{where}[{place}]"
        for made in _made(_checked(one, recorder, here), recorder, here):
            if made.name in found:
                raise ConfigError(f"two slices have the name {made.name!r}", where=here, hint="give one a `name`")
            if len(made.rows):
                found[made.name] = made
            else:
                warning(f"{here}: no row is in the slice {made.name!r}")
    return list(found.values())


def _checked(one: Any, recorder: EvalRecorder, where: str) -> dict[str, Any]:
    if isinstance(one, str):
        return {"column" if one in recorder or one.isidentifier() else "where": one}
    if not isinstance(one, Mapping):
        raise ConfigError(f"a slice must be a text or an object, but is {one!r} instead", where=where)
    must_be_known(one, KEYS, "unknown key", where=where)
    kinds = [kind for kind in KINDS if kind in one]
    if len(kinds) != 1 or not isinstance(one[kinds[0]], str):
        raise ConfigError(f"a slice has one of {', '.join(KINDS)}, a text, but is {dict(one)!r}", where=where)
    at = one.get("at")
    is_rising = isinstance(at, list) and at and at == sorted(set(at))
    if at is not None and not (is_rising and all(isinstance(edge, int | float) for edge in at)):
        raise ConfigError(f"`at` must be rising numbers, where ranges end, but is {at!r} instead", where=where)
    return dict(one)


def _made(one: dict[str, Any], recorder: EvalRecorder, where: str) -> Iterator[Slice]:
    import numpy as np

    if "where" in one:
        yield Slice(one.get("name") or one["where"], np.flatnonzero(_meeting(one["where"], recorder, where)))
        return
    column = one.get("column") or one["length"]
    must_be_known([column], recorder.column_names, "the recorder has no such column:", where=where, error=DataError)
    values = recorder.get_sample_logs_column(column, "arrow")
    if "length" in one:
        name = one.get("name") or f"length of {column}"
        yield from _ranges(name, _counted(values, column, where), one.get("at"), ", ")
    else:
        yield from _of_values(one, column, values, where)


def _of_values(one: dict[str, Any], column: str, values: pa.ChunkedArray, where: str) -> Iterator[Slice]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    name = one.get("name") or column
    if pa.types.is_nested(values.type):
        raise ConfigError(f"column {column!r} holds lists, which are no values of slices", where=where)
    is_number = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
    counted = pc.value_counts(values)
    if is_number and ("at" in one or len(counted) > MOST_VALUES):
        yield from _ranges(name, values.cast(pa.float64()).to_numpy(), one.get("at"), " ")
        return
    pairs = zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True)
    common = sorted(pairs, key=lambda pair: -pair[1])
    most = one.get("most", MOST_VALUES)
    if len(common) > most:
        warning(f"{where}: {column!r} has {len(common):,} values; the {most} that are commonest are slices")
    shown = sorted(common[:most], key=lambda pair: (pair[0] is None, pair[0] if is_number else str(pair[0])))
    for value, _ in shown:
        mask = pc.is_null(values) if value is None else pc.fill_null(pc.equal(values, value), False)
        yield Slice(f"{name} = {value}", np.flatnonzero(mask.to_numpy()))


def _ranges(name: str, numbers: np.ndarray, edges: Sequence[float] | None, joint: str) -> Iterator[Slice]:
    """Up to each edge, and above the last; by default as many rows in each."""
    import numpy as np

    if edges is None:
        shares = np.linspace(0, 1, RANGES + 1)[1:-1]
        edges = sorted(set(np.nanquantile(numbers, shares).tolist())) if len(numbers) else []
        edges = [edge for edge in edges if edge < np.nanmax(numbers)]
    place = np.searchsorted(np.asarray(edges, dtype=float), numbers)
    for number in range(len(edges) + 1):
        if number == len(edges):
            told = f"over {edges[-1]:g}" if edges else "all"
        else:
            told = f"up to {edges[0]:g}" if number == 0 else f"{edges[number - 1]:g} to {edges[number]:g}"
        yield Slice(f"{name}{joint}{told}", np.flatnonzero((place == number) & ~np.isnan(numbers)))


def _counted(values: pa.ChunkedArray, column: str, where: str) -> np.ndarray:
    """Words of a text, or items of a list. float, [rows]."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        trimmed = pc.utf8_trim_whitespace(values)
        counts = pc.list_value_length(pc.utf8_split_whitespace(trimmed))
        counts = pc.if_else(pc.equal(trimmed, ""), pa.scalar(0, counts.type), counts)
    elif pa.types.is_list(kind):
        counts = pc.list_value_length(values)
    else:
        raise ConfigError(f"column {column!r} holds neither texts nor lists, which have a length", where=where)
    return counts.cast(pa.float64()).to_numpy()


def _meeting(text: str, recorder: EvalRecorder, where: str) -> np.ndarray:
    """Which rows meet an expression. bool, [rows]."""
    import numpy as np
    import pyarrow as pa
    from datasets import Dataset

    from runway.transforms.datasets.conditions import meets, parse_conditions

    conditions = parse_conditions(text, where)
    names = list(dict.fromkeys(one.column for one in conditions))
    must_be_known(names, recorder.column_names, "the recorder has no such column:", where=where, error=DataError)
    columns = {name: recorder.get_sample_logs_column(name, "arrow") for name in names}
    rows = Dataset(pa.table(columns))
    mask = np.ones(len(recorder), dtype=bool)
    for one in conditions:
        try:
            mask &= meets(rows, one.column, one.operator, one.operand)
        except RunwayError:
            raise
        except (ValueError, TypeError, NotImplementedError) as error:
            raise ConfigError(f"{one.column} {one.operator} {one.operand!r}: {error}", where=where) from error
    return mask
