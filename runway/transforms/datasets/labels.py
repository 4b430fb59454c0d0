"""The ready-made DataOp that turns labels of any type into the numbers of classes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runway.errors import DataError, did_you_mean, must_be
from runway.log import warning
from runway.registry import register_transform_functor
from runway.transforms.arrow_tables import column
from runway.transforms.base import HFDatasetTransform

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset, DatasetDict


@register_transform_functor
class EncodeLabels(HFDatasetTransform):
    """Turns a column of names into numbers with names (a ClassLabel), the same in every split.

    The column may hold text, numbers, true and false, dates or times, or be a ClassLabel already. A missing label stays
    so, with a warning.
    """

    def setup(self, label_column: str = "label", names: Sequence[Any] | None = None, **kwargs: Any) -> None:
        """Say which column.

        Args:
            label_column: the column.
            names: the classes in the order of their numbers; by default those of a ClassLabel, else all that occur,
                sorted (numbers by their value).
            **kwargs: the settings of HFDatasetTransform.
        """
        super().setup(**kwargs)
        self.label_column = label_column
        self.names = list(names) if names is not None else None
        texts = [_text(name) for name in self.names or ()]
        must_be(len(set(texts)) == len(texts), "names", "different from each other", self.names, where=self.where)

    def _call(self, data: Dataset | DatasetDict) -> Dataset | DatasetDict:
        parts = self.splits_of(data)
        for split, part in parts.items():
            self.need_columns(part, [self.label_column], split=split, setting="label_column")
        labels = {split: self._labels(part, split) for split, part in parts.items()}
        found = {name: value for values, names in labels.values() for name, value in names.items()}
        names = self._names(found, [_classes(part, self.label_column) for part in parts.values()])
        for split, (values, _) in labels.items():
            if values.null_count:
                warning(f"{self.where}: {split or 'the data'}: {values.null_count} rows have no label, and get none")
        encoded = {split: self._encode(part, labels[split][0], names) for split, part in parts.items()}
        return self.with_splits(data, encoded)

    def _names(self, found: Mapping[str, Any], classes: Sequence[Sequence[str] | None]) -> list[str]:
        """The names of all classes, in order.

        Args:
            found: {name: value} of all that occur.
            classes: the names that the column of each split has as a ClassLabel.
        """
        if self.names is None:
            if classes and all(classes):
                return list(dict.fromkeys(name for names in classes for name in names or ()))
            if not found:
                raise DataError(f"the column {self.label_column!r} holds no label at all", where=self.where)
            return _sorted(found)
        names = [_as_found(name, found) for name in self.names]
        unknown = [label for label in found if label not in names]
        if unknown:
            raise DataError(
                f"the column {self.label_column!r} holds {unknown[0]!r}, which is none of the {len(names)} names",
                where=self.where,
                hint=did_you_mean(unknown[0], names),
            )
        return names

    def _labels(self, dataset: Dataset, split: str) -> tuple[pa.Array, dict[str, Any]]:
        """The names of the labels ``[rows]``, null where one is missing; and ``{name: value}``."""
        import pyarrow as pa

        values = column(dataset, self.label_column).combine_chunks()
        classes = _classes(dataset, self.label_column)
        try:
            coded = values.dictionary_encode()
            distinct = coded.dictionary.to_pylist()
        except pa.ArrowNotImplementedError as error:
            raise self._misfit(values.type, split) from error
        if classes is not None:  # HF has -1 for a missing one
            distinct = [
                classes[value] if value is not None and 0 <= value < len(classes) else None for value in distinct
            ]
        if not all(_is_label(value) for value in distinct):
            raise self._misfit(values.type, split)
        texts = [None if _is_missing(value) else _text(value) for value in distinct]
        names = pa.array(texts, pa.string()).take(coded.indices)
        return names, {text: value for text, value in zip(texts, distinct, strict=True) if text is not None}

    def _misfit(self, kind: pa.DataType, split: str) -> DataError:
        return DataError(
            f"the labels must be text, numbers, true and false, or dates, but the column {self.label_column!r} holds "
            f"{kind} instead",
            where=f"{self.where}, split {split!r}" if split else self.where,
            hint="make one label of each row before",
        )

    def _encode(self, dataset: Dataset, labels: pa.Array, names: list[str]) -> Dataset:
        import pyarrow as pa
        import pyarrow.compute as pc
        from datasets import ClassLabel

        numbers = pc.index_in(labels, pa.array(names, pa.string()), skip_nulls=True).cast(pa.int64())
        order = dataset.column_names
        rest = dataset.remove_columns(self.label_column)
        encoded = rest.add_column(self.label_column, numbers) if len(order) > 1 else _only(self.label_column, numbers)
        return encoded.select_columns(order).cast_column(self.label_column, ClassLabel(names=names))


def _classes(dataset: Dataset, name: str) -> list[str] | None:
    """The names of a column that is a ClassLabel."""
    return getattr(dataset.features[name], "names", None)


def _only(name: str, numbers: pa.Array) -> Dataset:
    """A dataset of one column: one without columns has no rows to add another to."""
    import pyarrow as pa

    from runway.transforms.arrow_tables import dataset_of

    return dataset_of(pa.table({name: numbers}))


def _is_label(value: Any) -> bool:
    return not isinstance(value, list | tuple | dict | bytes)


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _text(value: Any) -> str:
    """A label as text, as JSON has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _as_found(name: Any, found: Mapping[str, Any]) -> str:
    """A name from the config as the data has it: 1, ``1`` and 1.0 mean the same number, ``True`` means true."""
    text = _text(name)
    for known, value in found.items():
        if text == known or (isinstance(value, bool) and text.lower() == known):
            return known
        if isinstance(value, float) and not isinstance(name, bool):
            try:
                if float(text) == value:
                    return known
            except ValueError:
                pass
    return text


def _sorted(found: Mapping[str, Any]) -> list[str]:
    kinds = Counter(type(value) for value in found.values())
    if len(kinds) == 1:
        return sorted(found, key=lambda name: found[name])
    return sorted(found)
