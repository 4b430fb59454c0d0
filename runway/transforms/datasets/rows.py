"""Ready-made DataOps over the rows and columns of HF datasets: select, filter, concatenate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runway.errors import ConfigError, DataError, must_be_known, must_be_whole
from runway.log import info, warning
from runway.registry import register_transform_functor
from runway.transforms.arrow_tables import codes_of, column, lengths
from runway.transforms.base import BaseTransform, HFDatasetTransform, as_dataset_dict, is_dataset
from runway.transforms.datasets.conditions import OPERATORS, meets

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from datasets import Dataset, DatasetDict


@register_transform_functor
class SelectRows(HFDatasetTransform):
    """Keeps some rows of each split."""

    def setup(
        self,
        num_rows: int | Mapping[str, int] | None = None,
        start: int = 0,
        step: int = 1,
        shuffle: bool = False,
        seed: int | None = None,
        balance_column: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Say which rows.

        Args:
            num_rows: how many; a dict gives a number for each split that it names and leaves the others whole.
                None (or more than there are) takes all; -1 is an error, as it means one thing here and another there.
            start: the first row.
            step: every so many rows.
            shuffle: take the rows at random instead of the first ones.
            seed: for ``shuffle``; None follows from the node's key.
            balance_column: take as many rows for each value of this column (as far as there are).
            **kwargs: the settings of HFDatasetTransform.
        """
        super().setup(**kwargs)
        for name, count in num_rows.items() if isinstance(num_rows, Mapping) else [("", num_rows)]:
            if count is not None:
                setting = f"num_rows.{name}" if name else "num_rows"
                must_be_whole(setting, count, least=0, where=self.where, hint="null takes all rows")
        must_be_whole("start", start, least=0, where=self.where)
        must_be_whole("step", step, least=1, where=self.where)
        self.num_rows = num_rows
        self.start = start
        self.step = step
        self.shuffle = shuffle
        self.seed = seed
        self.balance_column = balance_column

    def _call(self, data: Dataset | DatasetDict) -> Dataset | DatasetDict:
        wanted = self.num_rows
        if not isinstance(wanted, Mapping):
            parts = self.splits_of(data)
            return self.with_splits(data, {name: self._select(rows, wanted, name) for name, rows in parts.items()})
        if not isinstance(data, Mapping):
            raise DataError("`num_rows` names splits, but the data is one Dataset", where=self.where)
        for name in wanted:
            self.split(data, name)
        named = {name: part for name, part in self.splits_of(data).items() if name in wanted}
        return self.with_splits(data, {name: self._select(part, wanted[name], name) for name, part in named.items()})

    def _select(self, dataset: Dataset, num_rows: int | None, split: str) -> Dataset:
        import numpy as np

        if self.balance_column:
            self.need_columns(dataset, [self.balance_column], split=split, setting="balance_column")
        positions: Any = range(self.start, len(dataset), self.step)
        if self.shuffle:
            seed = int(np.random.randint(2**31)) if self.seed is None else self.seed
            positions = np.random.default_rng(seed).permutation(np.asarray(positions))
        if self.balance_column and num_rows is not None:
            codes = codes_of(dataset, self.balance_column)[np.asarray(positions)]
            share = -(-num_rows // max(len(np.unique(codes)), 1))
            rank = np.zeros(len(codes), dtype=np.int64)  # how many of its value stand before each row
            for code in np.unique(codes):
                rank[codes == code] = np.arange((codes == code).sum())
            positions = np.asarray(positions)[rank < share]
        return dataset.select(positions[:num_rows])


class RowFilter:
    """Masks over the rows of one dataset, one after the other; a row counts for the first that drops it."""

    def __init__(self, dataset: Dataset) -> None:
        import numpy as np

        self.dataset = dataset
        self.keep = np.ones(len(dataset), dtype=bool)
        self.dropped: dict[str, int] = {}

    def apply(self, mask: np.ndarray, reason: str) -> None:
        """Keep the rows where ``mask``, bool ``[rows]``, is true; ``reason`` says why the others go."""
        lost = int((self.keep & ~mask).sum())
        if lost:
            self.dropped[reason] = self.dropped.get(reason, 0) + lost
        self.keep &= mask

    def apply_first_of(self, columns: Sequence[str]) -> None:
        """Of the rows that are left and have the same values in ``columns``, keep the first."""
        import numpy as np

        rows = np.flatnonzero(self.keep)
        if not len(rows):
            return
        codes = np.stack([codes_of(self.dataset, name) for name in columns])[:, rows]
        first = np.zeros(len(self.keep), dtype=bool)
        first[rows[np.unique(codes, axis=1, return_index=True)[1]]] = True
        self.apply(first, f"duplicates of {', '.join(columns)}")

    def rows(self) -> Dataset:
        """The rows that are left."""
        import numpy as np

        return self.dataset.select(np.flatnonzero(self.keep)) if self.dropped else self.dataset

    @property
    def counts(self) -> dict[str, Any]:
        """What to tell: ``{rows, kept, dropped: {reason: rows}}``."""
        return {"rows": len(self.keep), "kept": int(self.keep.sum()), "dropped": dict(self.dropped)}


def tell_dropped(transform: BaseTransform, filters: Mapping[str, RowFilter]) -> None:
    """Log what was dropped, and record it under ``filtered`` among the transform's notes; more than half is a warning.

    Args:
        transform: whose rows they are.
        filters: {split: its filter}; the split is empty for data without splits.
    """
    for split, found in filters.items():
        if found.dropped:
            reasons = "; ".join(f"{number} {reason}" for reason, number in found.dropped.items())
            owner = f"{transform.name}: {split}".rstrip(" :")
            tell = warning if found.counts["kept"] < len(found.keep) / 2 else info
            tell(f"{owner} {len(found.keep)} → {found.counts['kept']} rows; dropped: {reasons}")
    transform.note("filtered", {split or "rows": found.counts for split, found in filters.items()})


@register_transform_functor
class FilterRows(HFDatasetTransform):
    """Keeps the rows that meet every condition, and says how many it dropped and why."""

    def setup(
        self,
        conditions: Mapping[str, Any] | None = None,
        drop_empty: Sequence[str] | None = None,
        drop_duplicates: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Say what to keep.

        Args:
            conditions: {column: value to equal | [values to be among] | {operator: value, …}}; the operators are
                ``==``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``in``, ``not_in``, ``contains``, ``regex`` (text),
                ``min_length`` and ``max_length`` (characters of a text, items of a list). Dates and times are written
                as text (``2024-05-31``), a ClassLabel's class by its name. A null meets a condition only that names
                null. ``regex`` is RE2's, or Python's (slower) for what RE2 lacks, such as a look-ahead.
            drop_empty: columns where null, NaN, blank text and empty lists are dropped.
            drop_duplicates: of the rows with the same values in these columns (nulls and NaNs are the same, lists and
                dicts are compared by what they hold) keep the first.
            **kwargs: the settings of HFDatasetTransform.
        """
        super().setup(**kwargs)
        self.conditions = dict(conditions or {})
        self.drop_empty = list(drop_empty or [])
        self.drop_duplicates = list(drop_duplicates or [])
        for name, condition in self.conditions.items():
            operators = condition if isinstance(condition, Mapping) else ()
            where = f"{self.where}, conditions.{name}"
            must_be_known(operators, OPERATORS, "unknown operator", where=where, listing=len(OPERATORS))

    def _call(self, data: Dataset | DatasetDict) -> Dataset | DatasetDict:
        filters = {name: self._filter(part, name) for name, part in self.splits_of(data).items()}
        tell_dropped(self, filters)
        return self.with_splits(data, {name: kept.rows() for name, kept in filters.items()})

    def _filter(self, dataset: Dataset, split: str) -> RowFilter:
        for setting in ("conditions", "drop_empty", "drop_duplicates"):
            self.need_columns(dataset, getattr(self, setting), split=split, setting=setting)
        kept = RowFilter(dataset)
        for name in self.drop_empty:
            kept.apply(_filled(column(dataset, name)), f"with empty {name}")
        for name, condition in self.conditions.items():
            if not isinstance(condition, Mapping):
                condition = {"in" if isinstance(condition, list | tuple) else "==": condition}
            for operator, operand in condition.items():
                try:
                    mask = meets(dataset, name, operator, operand)
                except ConfigError as error:
                    raise ConfigError(error.message, where=f"{self.where}, conditions.{name}") from error
                except (ValueError, TypeError, NotImplementedError) as error:
                    kind = column(dataset, name).type
                    raise DataError(
                        f"the condition {name} {operator} {operand!r} does not go with the column's type {kind}",
                        where=f"{self.where}, split {split!r}" if split else self.where,
                        hint=" ".join(str(error).split())[:200],
                    ) from error
                kept.apply(mask, f"not {name} {operator} {operand!r}")
        if self.drop_duplicates:
            kept.apply_first_of(self.drop_duplicates)
        return kept


def _filled(values: pa.ChunkedArray) -> np.ndarray:
    import pyarrow as pa
    import pyarrow.compute as pc

    mask = pc.is_valid(values)
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        mask = pc.and_(mask, pc.fill_null(pc.greater(pc.utf8_length(pc.utf8_trim_whitespace(values)), 0), False))
    elif pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        return lengths(values) > 0
    elif pa.types.is_floating(values.type):
        mask = pc.and_(mask, pc.fill_null(pc.invert(pc.is_nan(values)), False))
    return mask.to_numpy()


@register_transform_functor
class SelectColumns(HFDatasetTransform):
    """Keeps some columns of each split."""

    def setup(self, columns: Sequence[str] = (), **kwargs: Any) -> None:
        """Say which columns.

        Args:
            columns: their names, in the order in which they come out.
            **kwargs: the settings of HFDatasetTransform.
        """
        super().setup(**kwargs)
        self.columns = list(columns)
        if not self.columns:
            raise ConfigError("`columns` must name the columns to keep, but is empty", where=self.where)

    def _call(self, data: Dataset | DatasetDict) -> Dataset | DatasetDict:
        parts = self.splits_of(data)
        for split, part in parts.items():
            self.need_columns(part, self.columns, split=split, setting="columns")
        return self.with_splits(data, {split: part.select_columns(self.columns) for split, part in parts.items()})


@register_transform_functor
class ConcatenateDatasets(BaseTransform):
    """Puts the rows of all input nodes one after the other, split by split."""

    def _call(self, data: list[Any]) -> Dataset | DatasetDict:
        from datasets import DatasetDict

        parts = [as_dataset_dict(part) for part in (data if isinstance(data, list) else [data])]
        forms = {isinstance(part, Mapping) for part in parts}
        if len(forms) > 1 or not all(map(is_dataset, parts)):
            names = ", ".join(type(part).__name__ for part in parts)
            raise DataError(f"the inputs must be DatasetDicts, or all Datasets, but are {names}", where=self.where)
        if forms == {False}:
            return self._join(parts, self.where)
        splits = list(dict.fromkeys(name for part in parts for name in part))
        rows = {name: [part[name] for part in parts if name in part] for name in splits}
        return DatasetDict({name: self._join(rows[name], f"{self.where}, split {name!r}") for name in splits})

    def _join(self, parts: list[Dataset], where: str) -> Dataset:
        from datasets import concatenate_datasets

        first = parts[0].column_names
        for part in parts:
            if set(part.column_names) != set(first):
                raise DataError(
                    f"the inputs have different columns: {', '.join(first)} and {', '.join(part.column_names)}",
                    where=where,
                    hint="bring them into one form with SelectColumns or rename_col_dict first",
                )
        try:
            return concatenate_datasets(parts)
        except (ValueError, TypeError) as error:
            raise DataError(f"the inputs do not fit together: {error}", where=where) from error


@register_transform_functor
class DummyTransform(BaseTransform):
    """Passes the data on as it is."""

    def _call(self, data: Any) -> Any:
        return data
