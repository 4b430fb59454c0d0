"""Ready-made DataOps that divide rows into splits, by rows or by blocks of rows that stay together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runway.errors import ConfigError, DataError, must_be, must_be_whole, told_as_config_error
from runway.log import info, warning
from runway.registry import register_transform_functor
from runway.transforms.arrow_tables import codes_of, column
from runway.transforms.base import HFDatasetTransform
from runway.transforms.datasets.conditions import typed

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset, DatasetDict


DUMMY_ROWS = 20
"""What a split takes from the largest one in a run with dummy data that has no row for it."""


class _NewSplits(HFDatasetTransform):
    """Makes splits of the rows of one."""

    def name_splits(self, parts: Mapping[str, Any], others: Collection[str] = ()) -> None:
        """Say how large the new splits are.

        Args:
            parts: {split: its rows}.
            others: the splits that stay beside them.

        Raises:
            DataError: one of the others has the name of a new one.
        """
        for name in parts:
            if name in others:
                raise DataError(
                    f"there is a split {name!r} already",
                    where=self.where,
                    hint="give the new split another name, or drop the old one with LoadHFDataset's splits",
                )
        info(f"{self.name}: " + ", ".join(f"{name} {len(part)} rows" for name, part in parts.items()))


class _RandomSplit(_NewSplits):
    """Deals rows out at random, one by one or in blocks that stay together."""

    split_kwargs: Mapping[str, Any]

    def setup(self, block_size: int | None = None, group_column: str | None = None, **kwargs: Any) -> None:
        """Say what stays together.

        Args:
            block_size: keep so many neighbouring rows together (reviews of one film, say); whole blocks are
                dealt out at random, so the size may be off by less than a block.
            group_column: keep the rows with the same value in this column together.
            **kwargs: the settings of HFDatasetTransform.
        """
        super().setup(**kwargs)
        self.block_size = block_size
        self.group_column = group_column
        if block_size is not None:
            must_be_whole("block_size", block_size, least=1, where=self.where)

    def deal(self, rows: Dataset, sizes: Sequence[int | float], split: str = "") -> list[Dataset]:
        """Deal rows out; in a run with dummy data, where they are too few for that, a tenth of them to each part.

        Args:
            rows: what to deal out.
            sizes: of the parts to take: rows, or fractions below 1.
            split: whose rows they are, for errors.

        Returns:
            The rows that are left, then the parts, of these sizes (nearly so where blocks or groups stay together).

        Raises:
            DataError: the parts cannot have these sizes.
            ConfigError: the settings do not fit together.
        """
        import numpy as np

        kwargs = dict(self.split_kwargs)
        seed, stratify = kwargs.pop("seed", None), kwargs.pop("stratify_by_column", None)
        for setting, name in (("group_column", self.group_column), ("stratify_by_column", stratify)):
            self.need_columns(rows, [name] if name else [], split=split, setting=setting)
        seed = int(np.random.randint(2**31)) if seed is None else int(seed)  # numpy's state is seeded in a node
        try:
            counts = [self._count(size, len(rows)) for size in sizes]
            self._count(sum(counts), len(rows))
            if self.block_size or self.group_column or stratify:
                return self._deal_blocks(rows, counts, seed, stratify, **kwargs)
            return self._deal_single_rows(rows, counts, seed, kwargs)
        except DataError as error:
            if not self.use_dummy_data:
                raise
            warning(f"{self.name}: {error.message}; a run with dummy data takes a tenth of the rows for each part")
            return self._deal_single_rows(rows, [self._count(0.1, len(rows))] * len(sizes), seed, {})

    def _count(self, size: int | float, total: int) -> int:
        """A size as a number of rows that leaves some on either side."""
        if type(size) not in (int, float):
            raise ConfigError(f"a split's size must be a number, but is {size!r} instead", where=self.where)
        count = round(size * total) if type(size) is float and 0 < size < 1 else size
        if not 0 < count < total or count != int(count):
            raise DataError(
                f"a split of size {size} cannot be taken from {total} rows",
                where=self.where,
                hint="give a number of rows below that, or a fraction between 0 and 1",
            )
        return int(count)

    def _deal_single_rows(self, rows: Dataset, counts: list[int], seed: int, kwargs: dict) -> list[Dataset]:
        parts = []
        what = "split_kwargs do not fit Dataset.train_test_split"
        for count in counts:
            with told_as_config_error(what, TypeError, ValueError, where=self.where):
                split = rows.train_test_split(count, seed=seed, **kwargs)
            rows = split["train"]
            parts.append(split["test"])
        return [rows, *parts]

    def _deal_blocks(
        self, rows: Dataset, counts: list[int], seed: int, stratify: str | None, shuffle: bool = True, **unknown: Any
    ) -> list[Dataset]:
        import numpy as np

        if unknown:
            raise ConfigError(
                f"split_kwargs has {min(unknown)!r}, which does not go with blocks or strata", where=self.where
            )
        by_number = np.arange(len(rows)) // (self.block_size or 1)
        groups = codes_of(rows, self.group_column) if self.group_column else by_number
        strata = codes_of(rows, stratify) if stratify else np.zeros(len(rows), dtype=np.int64)
        random = np.random.default_rng(seed)
        part_of_row = _deal_groups(groups, strata, counts, random)
        dealt = []
        for part in (len(counts), *range(len(counts))):
            chosen = np.flatnonzero(part_of_row == part)
            if not len(chosen):
                raise DataError(
                    f"{len(rows)} rows in {len(np.unique(groups))} blocks cannot be split: one part would be empty",
                    where=self.where,
                    hint="use smaller blocks",
                )
            if shuffle:
                random.shuffle(chosen)
            dealt.append(rows.select(chosen))
        return dealt


@register_transform_functor
class SplitHFDataset(_RandomSplit):
    """Moves part of one split into a new split."""

    def setup(
        self,
        src_split: str = "train",
        tgt_split: str = "valid",
        split_size: int | float = 0.1,
        split_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Say what to split off.

        Args:
            src_split: the split to take from.
            tgt_split: the name of the new split.
            split_size: rows of the new split: a number, or a fraction below 1 of the source's.
            split_kwargs: further arguments of ``Dataset.train_test_split``: ``seed``, ``shuffle``,
                ``stratify_by_column`` (of any type). Without a seed the split follows from the node's key.
            **kwargs: ``block_size``, ``group_column`` and the settings of HFDatasetTransform.
        """
        super().setup(**kwargs)
        self.src_split = src_split
        self.tgt_split = tgt_split
        self.split_size = split_size
        self.split_kwargs = dict(split_kwargs or {})

    def _call(self, data: DatasetDict) -> DatasetDict:
        rest, part = self.deal(self.split(data, self.src_split), [self.split_size], self.src_split)
        parts = {self.src_split: rest, self.tgt_split: part}
        self.name_splits(parts, [name for name in data if name != self.src_split])
        data.update(parts)
        return data


@register_transform_functor
class SplitHFDatasetToTrainTestValidation(_RandomSplit):
    """Splits one set of rows into train, test and, where asked for, validation."""

    def setup(
        self,
        test_size: int | float = 0.1,
        valid_size: int | float | None = None,
        train_test_split_kwargs: Mapping[str, Any] | None = None,
        src_split: str = "train",
        valid_split: str = "validation",
        **kwargs: Any,
    ) -> None:
        """Say how large the parts are; sizes are numbers of rows, or fractions of all rows.

        Args:
            test_size: of the split ``test``.
            valid_size: of the validation split; None makes none.
            train_test_split_kwargs: ``seed``, ``shuffle``, ``stratify_by_column``, as in SplitHFDataset.
            src_split: the split to take, where the input is a DatasetDict; its other splits are left out.
            valid_split: the name of the validation split.
            **kwargs: ``block_size``, ``group_column`` and the settings of HFDatasetTransform.
        """
        super().setup(**kwargs)
        self.test_size = test_size
        self.valid_size = valid_size
        self.split_kwargs = dict(train_test_split_kwargs or {})
        self.src_split = src_split
        self.valid_split = valid_split

    def _call(self, data: Dataset | DatasetDict) -> DatasetDict:
        from datasets import DatasetDict

        rows = self.split(data, self.src_split) if isinstance(data, Mapping) else data
        split = self.src_split if isinstance(data, Mapping) else ""
        dealt = self.deal(rows, [size for size in (self.test_size, self.valid_size) if size], split)
        parts = dict(zip(("train", "test", self.valid_split), dealt, strict=False))
        self.name_splits(parts)
        return DatasetDict(parts)


@register_transform_functor
class SplitHFDatasetByRule(_NewSplits):
    """Splits rows by what they are, not at random: ranges of rows, or chosen books, films, years, speakers."""

    def setup(
        self,
        splits: Mapping[str, Mapping[str, Any]],
        group_column: str | None = None,
        src_split: str = "train",
        rest_split: str = "train",
        **kwargs: Any,
    ) -> None:
        """Say which rows go where; those that no rule names stay in ``rest_split``.

        Args:
            splits: ``{split: rule}``, where a rule is ``{values: [of group_column]}`` (dates as text; null for the rows
                that have none) or ``{rows: [start, stop]}`` (from 0, without ``stop``; negative ones count from the
                end, null is the end).
            group_column: the column whose values ``values`` means, such as ``book``.
            src_split: the split to take, where the input is a DatasetDict; its other splits pass through.
            rest_split: the split of the rows that are left.
            **kwargs: the settings of HFDatasetTransform.
        """
        super().setup(**kwargs)
        self.group_column = group_column
        self.src_split = src_split
        self.rest_split = rest_split
        self.rules = {str(name): rule for name, rule in splits.items()}
        for name, rule in self.rules.items():
            where = f"{self.where}, splits.{name}"
            is_rule = isinstance(rule, Mapping) and set(rule) in ({"values"}, {"rows"})
            if not is_rule or not isinstance(next(iter(rule.values())), list | tuple):
                raise ConfigError(
                    f"a rule must be {{values: [...]}} or {{rows: [start, stop]}}, but is {rule} instead", where=where
                )
            if "values" in rule and group_column is None:
                raise ConfigError("a rule names values, but `group_column` does not say of which column", where=where)
            if "rows" in rule:
                is_range = [type(row) in (int, type(None)) for row in rule["rows"]] == [True, True]
                hint = "whole numbers; negative ones count from the end, null is the end"
                must_be(is_range, "rows", "[start, stop]", list(rule["rows"]), where=where, hint=hint)
        if not self.rules or rest_split in self.rules:
            raise ConfigError(
                f"`splits` must name the splits beside {rest_split!r}, but is {sorted(self.rules)} instead",
                where=self.where,
            )

    def _call(self, data: Dataset | DatasetDict) -> DatasetDict:
        import numpy as np
        from datasets import DatasetDict

        rows = self.split(data, self.src_split) if isinstance(data, Mapping) else data
        others = {name: part for name, part in data.items() if name != self.src_split} if data is not rows else {}
        part_of_row = np.full(len(rows), -1)
        for number, (name, rule) in enumerate(self.rules.items()):
            mask = self._mask(rows, rule, name, self.src_split if isinstance(data, Mapping) else "")
            if (part_of_row[mask] >= 0).any():
                other = list(self.rules)[int(part_of_row[mask].max())]
                raise ConfigError(
                    f"the splits {other!r} and {name!r} have rows in common", where=f"{self.where}, splits"
                )
            part_of_row[mask] = number
        names = (self.rest_split, *self.rules)
        parts = {name: np.flatnonzero(part_of_row == number) for number, name in enumerate(names, start=-1)}
        for name, chosen in parts.items():
            if not len(chosen):
                self._fill(parts, name)
        self.name_splits(parts, others)
        return DatasetDict({**{name: rows.select(chosen) for name, chosen in parts.items()}, **others})

    def _fill(self, parts: dict[str, np.ndarray], empty: str) -> None:
        """Give an empty split a few rows in a run with dummy data, which has the first rows only; raise in others."""
        largest = max(parts, key=lambda name: len(parts[name]))
        count = min(DUMMY_ROWS, len(parts[largest]) // 2)
        if not self.use_dummy_data or not count:
            raise DataError(f"the split {empty!r} would be empty: the rules leave it no row", where=self.where)
        warning(f"{self.name}: no row of the dummy data is for {empty!r}; it takes {count} of {largest!r}")
        parts[largest], parts[empty] = parts[largest][:-count], parts[largest][-count:]

    def _mask(self, rows: Dataset, rule: Mapping[str, Any], name: str, split: str) -> np.ndarray:
        """Which rows a rule means. bool, ``[rows]``."""
        import numpy as np
        import pyarrow.compute as pc

        if "rows" in rule:
            mask = np.zeros(len(rows), dtype=bool)
            mask[slice(*rule["rows"])] = True
            return mask
        group, where = str(self.group_column), f"{self.where}, splits.{name}"
        self.need_columns(rows, [group], split=split, setting="group_column")
        values = column(rows, group)
        try:
            wanted = typed(rows, group, rule["values"])
            known = pc.unique(values)
            mask = pc.is_in(values, wanted).to_numpy()
        except (ValueError, TypeError, NotImplementedError) as error:
            raise DataError(
                f"the values {list(rule['values'])[:5]} do not go with the type {values.type} of {group!r}",
                where=where,
                hint=" ".join(str(error).split())[:200],
            ) from error
        strange = pc.invert(pc.is_in(wanted, known)).to_pylist()
        if any(strange) and not self.use_dummy_data:
            present = ", ".join("null" if value is None else str(value) for value in known[:70].to_pylist())
            missing = rule["values"][strange.index(True)]
            raise DataError(f"no row has {group} {missing!r}", where=where, hint=f"there are: {present}")
        return mask


def _deal_groups(groups: np.ndarray, strata: np.ndarray, counts: list[int], random: np.random.Generator) -> np.ndarray:
    """The part of each row, ``[rows]``: 0 for the first of ``counts``, and so on; their number for what is left."""
    import numpy as np

    names, first, group_of_row, sizes = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    part_of_group = np.zeros(len(names), dtype=np.int64)
    for stratum in np.unique(strata):
        members = random.permutation(np.flatnonzero(strata[first] == stratum))  # a group is where its first row is
        share = sizes[members].sum() / len(groups)
        before = np.cumsum(sizes[members]) - sizes[members]
        part_of_group[members] = np.searchsorted(np.round(np.cumsum(counts) * share), before, side="right")
    return part_of_group[group_of_row]
