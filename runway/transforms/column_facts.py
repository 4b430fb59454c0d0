"""What the values of a column are like: how long texts and lists are, how often each class comes, how numbers lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from runway.transforms.arrow_tables import RowTable

CLASSES = 12
"""Up to so many different values are counted one by one."""
BINS = 10
_BARS = " ▁▂▃▄▅▆▇█"


def column_facts(table: RowTable) -> dict[str, dict[str, Any]]:
    """What is to be said of each column that holds anything.

    Args:
        table: the rows.

    Returns:
        {column: facts}; of a text or list ``length`` and of a number ``range``, each ``{min, median, max}``, with
        ``histogram``, the counts in BINS equal parts of that; of classes, truth values and whole numbers or texts that
        come often ``balance`` {value: count}, most frequent first; ``nulls`` where there are any.
    """
    found = {name: _facts(table.table.column(name), table.features[name].names) for name in table.column_names}
    return {name: facts for name, facts in found.items() if facts}


def _facts(values: pa.ChunkedArray, names: list[str] | None) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    facts: dict[str, Any] = {"nulls": values.null_count} if values.null_count else {}
    values, kind = values.drop_null(), values.type
    if not len(values):
        return facts
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if is_text or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        counts = pc.value_counts(values)
        few = len(counts) <= CLASSES and (names or pa.types.is_boolean(kind) or len(values) >= 2 * len(counts))
        if few:
            pairs = sorted(((one["counts"], one["values"]) for one in counts.to_pylist()), key=lambda pair: -pair[0])
            facts["balance"] = {_named(value, names): count for count, value in pairs}
            return facts
    if is_text or is_list:
        counts = pc.utf8_length(values) if is_text else pc.list_value_length(values)
        facts["length"], facts["histogram"] = _spread(_numbers(counts))
    elif is_number:
        finite = _numbers(pc.cast(values, pa.float64(), safe=False))
        finite = finite[(finite - finite) == 0]
        if len(finite) < len(values):
            facts["not finite"] = len(values) - len(finite)
        if len(finite):
            facts["range"], facts["histogram"] = _spread(finite)
    return facts


def _numbers(values: pa.ChunkedArray) -> np.ndarray:
    """Numbers without a null. Neither Arrow's ``to_numpy`` nor its ``fill_null``: they load pandas."""
    import numpy as np

    return np.from_dlpack(values.combine_chunks())


def _named(value: Any, names: list[str] | None) -> str:
    return names[value] if names is not None and 0 <= value < len(names) else str(value)


def _spread(numbers: np.ndarray) -> tuple[dict[str, float], list[int]]:
    import numpy as np

    low, middle, high = (float(found) for found in (numbers.min(), np.median(numbers), numbers.max()))
    counts = np.histogram(numbers, bins=BINS, range=(low, high))[0] if high > low else [len(numbers)]
    return {"min": low, "median": middle, "max": high}, [int(count) for count in counts]


def facts_line(facts: Mapping[str, Any]) -> str:
    """The facts of one column, in a line for a terminal."""
    parts = [f"{facts[name]:,} {name}" for name in ("nulls", "not finite") if name in facts]
    for name in ("length", "range"):
        if name in facts:
            low, middle, high = (f"{facts[name][key]:,.6g}" for key in ("min", "median", "max"))
            parts.append(f"{name} {low} to {high}, median {middle}  {bars(facts['histogram'])}")
    if "balance" in facts:
        total = sum(facts["balance"].values())
        parts.append(", ".join(f"{name} {count:,} ({count / total:.0%})" for name, count in facts["balance"].items()))
    return "; ".join(parts)


def bars(counts: list[int]) -> str:
    """A histogram as one word; what is not empty shows at least the lowest bar."""
    most = max(counts)
    return "".join(_BARS[max(round(count / most * 8), 1 if count else 0)] for count in counts)
