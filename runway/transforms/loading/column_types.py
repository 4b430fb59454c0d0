"""The types of columns that the user says, and how values become them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from runway.errors import ConfigError, DataError, did_you_mean, must_be_known
from runway.log import warning
from runway.transforms.arrow_tables import dataset_of

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

_NAMES = (
    *("bool", "string", "large_string", "binary", "large_binary", "date32", "date64"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    *("float16", "float32", "float64"),
)
_WITH_UNIT = re.compile(
    r"timestamp\[(s|ms|us|ns)(, ?tz=[^\]]+)?\]|time32\[m?s\]|time64\[(us|ns)\]|duration\[(s|ms|us|ns)\]"
    r"|decimal(128|256)\(\d+(, ?-?\d+)?\)"
)
NULLS = (
    *("", "NA", "N/A", "#N/A", "#N/A N/A", "#NA", "n/a", "<NA>", "NULL", "null", "NaN", "nan", "-NaN", "-nan"),
    *("1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
)
"""What stands for a missing number, bool or time in a csv file. A column of text has none: these are texts there."""


def check_column_types(types: Mapping[str, Any], where: str) -> dict[str, str]:
    """The setting ``column_types``, if each of its types is one of HF's ``Value`` types.

    Raises:
        ConfigError: a type is not known.
    """
    for name, kind in types.items():
        if not isinstance(kind, str) or not (kind in _NAMES or _WITH_UNIT.fullmatch(kind)):
            raise ConfigError(
                f"`column_types` gives the column {name!r} the type {kind!r}, which is not known",
                where=f"{where}, column_types",
                hint=f"{did_you_mean(str(kind), _NAMES, listing=20)}; also timestamp[s], time32[s], decimal128(10, 2)",
            )
    return dict(types)


def arrow_types(types: Mapping[str, str]) -> dict[str, pa.DataType]:
    """Arrow's types of those that HF's ``Value`` knows by these names."""
    from datasets import Value

    return {name: Value(kind).pa_type for name, kind in types.items()}


def with_types(splits: Mapping[str, Dataset], types: Mapping[str, str], where: str) -> dict[str, Dataset]:
    """Datasets with the types that the user says; what has them is left as it is.

    Raises:
        DataError: none has one of the columns, or a value does not fit.
    """
    known = dict.fromkeys(name for dataset in splits.values() for name in dataset.column_names)
    must_be_known(types, known, "there is no column", where=f"{where}, column_types", error=DataError)
    return {split: _with_types(dataset, types, f"{where}, split {split!r}") for split, dataset in splits.items()}


def _with_types(dataset: Dataset, types: Mapping[str, str], where: str) -> Dataset:
    from datasets import Features, Value

    for name, kind in arrow_types(types).items() if types else ():
        if name not in dataset.column_names or dataset.data.schema.field(name).type.equals(kind):
            continue
        table = dataset.with_format("arrow")[:]
        typed = as_type(table.column(name), kind, name, where)
        table = table.set_column(table.column_names.index(name), name, typed)
        dataset = dataset_of(table, Features({**dataset.features, name: Value(types[name])}))
    return dataset


def warn_of_different_types(splits: Mapping[str, Dataset], where: str) -> None:
    """Warn of a column that has other types in some splits."""
    first: dict[str, tuple[str, Any]] = {}
    for split, dataset in splits.items():
        for name, feature in dataset.features.items():
            before, kind = first.setdefault(name, (split, feature))
            if kind != feature and "null" not in (_shown_type(kind), _shown_type(feature)):  # labels that are not told
                warning(
                    f"{where}: the column {name!r} has different types: {_shown_type(kind)} in {before!r}, "
                    f"{_shown_type(feature)} in {split!r}; column_types: {{{name}: 'string'}} gives it one"
                )


def _shown_type(feature: Any) -> str:
    from datasets import Value

    return feature.dtype if isinstance(feature, Value) else str(feature)[:80]


def as_type(values: pa.ChunkedArray, kind: pa.DataType, name: str, where: str, first_row: int = 1) -> pa.ChunkedArray:
    """A column as the type that the user says.

    Args:
        values: the column.
        kind: its type to be. In a text, ``NULLS`` and spaces around a value go for what they mean.
        name: of the column.
        where: the place of an error: whose work it is, the file.
        first_row: the number of the first value, from 1.

    Raises:
        DataError: a value does not fit; it is named with its row.
    """
    import pyarrow as pa

    if values.type.equals(kind):
        return values
    try:
        return cast(values, kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        at = _first_misfit(values, kind)
        raise DataError(
            f"row {first_row + at}: {shown(values[at].as_py())} in the column {name!r} is no {kind}",
            where=where,
            hint=f"set column_types: {{{name}: 'string'}}, or mend the value ({error})",
        ) from error


def cast(values: Any, kind: pa.DataType) -> Any:
    """Values as another type; of a text, ``NULLS`` are null and spaces around a number do not count.

    Raises:
        pa.ArrowInvalid: a value does not fit.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    is_text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
    if not is_text or pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind):
        return values.cast(kind)
    if pa.types.is_time(kind):  # Arrow reads a time of day only as part of a timestamp
        dated = pc.binary_join_element_wise("1970-01-01", missing_as_null(values), "T")
        return dated.cast(pa.timestamp(kind.unit)).cast(kind)
    if pa.types.is_null(kind):  # what an empty column of csv is
        return pa.chunked_array([pa.nulls(len(values))])
    with suppress(pa.ArrowInvalid):
        numbers = values.cast(kind)
        if not pa.types.is_floating(kind) or not pc.any(pc.is_nan(numbers)).as_py():
            return numbers
    return missing_as_null(values).cast(kind)


def missing_as_null(texts: Any) -> Any:
    """Texts without spaces around them, and null for each of ``NULLS``."""
    import pyarrow as pa
    import pyarrow.compute as pc

    trimmed = pc.utf8_trim_whitespace(texts)
    missing = pc.is_in(trimmed, pa.array(NULLS, texts.type))
    return pc.if_else(missing, pa.scalar(None, texts.type), trimmed)


def _first_misfit(values: Any, kind: pa.DataType) -> int:
    """The index of the first value that does not go with the type, by halves."""
    import pyarrow as pa

    low, high = 0, len(values)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            cast(values.slice(low, middle - low), kind)
            low = middle
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
            high = middle
    return low


def shown(value: Any) -> str:
    """A value as an error shows it: its beginning."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
