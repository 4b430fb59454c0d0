"""The base classes of every DataOp: a functor with ``setup(**setup_kwargs)`` and ``_call(data)``."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from runway.config.reads import Reads
from runway.errors import DataError, did_you_mean
from runway.log import warning

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


class BaseTransform:
    """The most general DataOp: any data in, any data out.

    Write ``setup`` (what the config gives) and ``_call`` (what is done). ``data`` is the output of the
    input node, a list of outputs where ``input_node`` is a list, and None where there is none.
    A transform may change ``data`` in place as far as containers go: each consumer has its own copy.
    """

    VERSION: ClassVar[int | str | None] = None
    """Replaces the code's digest in the cache key: what is edited does not count until this is changed."""

    DEPENDS_ON: ClassVar[tuple[Any, ...]] = ()
    """Functions, classes or values that count as this transform's code although its source does not name them."""

    INTERACTIVE: ClassVar[bool] = False
    """It is for a person at a terminal; where there is none it is not run again for data it has shown already."""

    name: str = ""
    global_config: Any = None
    project: Path = Path()
    input_mapping: Mapping[str, str] | None = None
    output_mapping: Mapping[str, str] | None = None

    def __init__(
        self,
        *,
        name: str | None = None,
        global_config: Any = None,
        use_dummy_data: bool = False,
        project: Path | None = None,
        reads: Reads | None = None,
    ) -> None:
        self.name = name or type(self).__name__
        self.global_config = global_config
        self.project = project or Path.cwd()
        self._use_dummy_data = use_dummy_data
        self._reads = reads if reads is not None else Reads()

    def setup(
        self, *, input_mapping: Mapping[str, str] | None = None, output_mapping: Mapping[str, str] | None = None
    ) -> None:
        """Take the node's ``setup_kwargs``; called once, before ``_call``.

        Args:
            input_mapping: {name in the data: name that this transform expects}, for columns or keys.
            output_mapping: {name that this transform gives: name in its output}.
        """
        self.input_mapping = input_mapping
        self.output_mapping = output_mapping

    def __call__(self, data: Any = None) -> Any:
        """Run the transform: map names, preprocess, check, ``_call``, check, map names."""
        data = self._rename(data, self.input_mapping, "input_mapping")
        data = self._preprocess(data)
        self._accept(self._check_input(data), "input", data)
        output = self._call(data)
        self._accept(self._check_output(output), "output", output)
        return self._rename(output, self.output_mapping, "output_mapping")

    def _call(self, data: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define _call(self, data)")

    def _preprocess(self, data: Any) -> Any:
        """Prepare the data before the check and ``_call``."""
        return data

    def _check_input(self, data: Any) -> bool | None:
        """Raise, or return False, where ``data`` is not what this transform takes."""

    def _check_output(self, data: Any) -> bool | None:
        """Raise, or return False, where ``data`` is not what this transform promised."""

    def _accept(self, verdict: bool | None, side: str, data: Any) -> None:
        if verdict is False:
            raise DataError(
                f"the {side} of {type(self).__name__} does not pass its _check_{side}: {type(data).__name__}",
                where=self.where,
            )

    def _rename(self, data: Any, mapping: Mapping[str, str] | None, setting: str) -> Any:
        if not mapping:
            return data
        if isinstance(data, Mapping) and not hasattr(data, "rename_column"):
            missing = [key for key in mapping if key not in data]
            if missing:
                raise DataError(
                    f"{setting} names {missing[0]!r}, which the data does not have",
                    where=self.where,
                    hint=did_you_mean(missing[0], data),
                )
            return {mapping.get(key, key): value for key, value in data.items()}
        raise DataError(
            f"{setting} needs a dict or a Dataset, but the data is a {type(data).__name__} instead",
            where=self.where,
        )

    @property
    def where(self) -> str:
        """This node, as errors and warnings name it."""
        return f"node {self.name!r}"

    def need_columns(self, data: Any, names: Iterable[str], *, split: str | None = None) -> None:
        """Check that a dataset has some columns.

        Args:
            data: a Dataset, or anything with ``column_names``.
            names: the columns.
            split: the split's name, for the error.

        Raises:
            DataError: one is not there; with the closest names.
        """
        for name in names:
            if name not in data.column_names:
                owner = "the data has" if split is None else f"the split {split!r} has"
                hint = did_you_mean(name, data.column_names)
                raise DataError(f"{owner} no column {name!r}", where=self.where, hint=hint)

    @property
    def use_dummy_data(self) -> bool:
        """Whether the run asks for a few rows only (``--use_dummy_data``); reading it is recorded."""
        self._reads.flags["use_dummy_data"] = self._use_dummy_data
        return self._use_dummy_data

    def resolve_path(self, path: str | Path) -> Path:
        """A path from the config: absolute, with ``~``, or relative to the project's folder."""
        return self.project / Path(path).expanduser()

    def track_file(self, path: str | Path) -> Path:
        """Note that the output depends on this file or folder, and give its path.

        The next run re-runs this node if the content has changed.
        """
        resolved = self.resolve_path(path)
        self._reads.note_file("file", str(resolved))
        return resolved

    def note(self, name: str, value: Any) -> None:
        """Keep a fact about the work with the output: counts of what was dropped and why, say.

        It stands under ``notes`` in the entry's ``meta.json`` and in ``runway cache ls --json``; nothing depends on
        it. A node that is not cached leaves its notes with the node that runs it.

        Args:
            name: what it is called; a second note of this name replaces the first.
            value: plain data: what JSON can hold.

        Raises:
            TypeError: ``value`` is not plain data.
        """
        try:
            self._reads.notes[str(name)] = json.loads(json.dumps(value))
        except (TypeError, ValueError) as error:
            raise TypeError(f"`value` of note({name!r}) must be plain data: {error}") from error

    def track_glob(self, pattern: str | Path) -> list[Path]:
        """Note that the output depends on all files that match, present and to come; gives them sorted."""
        import glob

        resolved = str(self.resolve_path(pattern))
        self._reads.note_file("glob", resolved)
        return [Path(match) for match in sorted(glob.glob(resolved, recursive=True))]


class RowWiseTransform(BaseTransform):
    """A transform of one row at a time: write ``_call(self, row_n, row)``, which returns the new row.

    Takes any iterable of rows, a Dataset or a DatasetDict, and gives a list, a Dataset or a DatasetDict.
    A row for which ``_call`` returns None is left out.
    """

    def __call__(self, data: Any = None) -> Any:
        """Run ``_call`` over every row."""
        data = self._preprocess(data)
        self._accept(self._check_input(data), "input", data)
        output = self._over_rows(data)
        self._accept(self._check_output(output), "output", output)
        return output

    def _call(self, row_n: int, row: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define _call(self, row_n, row)")

    def _check_input(self, data: Any) -> bool | None:
        return isinstance(data, Iterable)

    def _over_rows(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            outputs = {key: self._over_rows(part) for key, part in data.items()}
            return _like(data, outputs)
        rows = self._mapped_rows(data)
        if hasattr(data, "rename_column"):
            from datasets import Dataset

            return Dataset.from_list(list(rows))
        return list(rows)

    def _mapped_rows(self, rows: Iterable) -> Iterator:
        for row_n, row in enumerate(rows):
            output = self._call(row_n, self._rename(row, self.input_mapping, "input_mapping"))
            if output is not None:
                yield self._rename(output, self.output_mapping, "output_mapping")


class HFDatasetTransform(BaseTransform):
    """A transform of HF datasets; takes a Dataset, a DatasetDict or a plain dict of Datasets.

    A plain dict arrives in ``_call`` as a DatasetDict, and one that ``_call`` returns leaves as one.
    """

    rename_col_dict: Mapping[str, str] | None = None
    splits_to_process: list[str] | None = None

    def setup(
        self,
        rename_col_dict: Mapping[str, str] | None = None,
        splits_to_process: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Take the settings that every dataset transform has.

        Args:
            rename_col_dict: {column: new name}, applied to the output of the processed splits.
            splits_to_process: the splits to work on; None means all. A split that is not there is skipped
                with a warning.
            **kwargs: ``input_mapping`` and ``output_mapping`` (column names), see BaseTransform.
        """
        super().setup(**kwargs)
        self.rename_col_dict = rename_col_dict
        self.splits_to_process = splits_to_process

    def _preprocess(self, data: Any) -> Any:
        return as_dataset_dict(data)

    def _check_input(self, data: Any) -> None:
        self._check_dataset(data, "needs")

    def _check_output(self, data: Any) -> None:
        self._check_dataset(as_dataset_dict(data), "must return")

    def _check_dataset(self, data: Any, verb: str) -> None:
        from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict

        if not isinstance(data, Dataset | DatasetDict | IterableDataset | IterableDatasetDict):
            raise DataError(
                f"{type(self).__name__} {verb} a Dataset or a DatasetDict, but has a {type(data).__name__} instead",
                where=self.where,
            )

    def __call__(self, data: Any = None) -> Any:
        """Run the transform; a dict of Datasets that ``_call`` returns becomes a DatasetDict."""
        output = as_dataset_dict(super().__call__(data))
        if not self.rename_col_dict:
            return output
        return self.map_splits(output, self._rename_columns, quiet=True)

    def _rename_columns(self, dataset: Dataset) -> Dataset:
        present = {old: new for old, new in (self.rename_col_dict or {}).items() if old in dataset.column_names}
        return dataset.rename_columns(present) if present else dataset

    def _rename(self, data: Any, mapping: Mapping[str, str] | None, setting: str) -> Any:
        if not mapping:
            return data
        data = as_dataset_dict(data)

        def rename(dataset: Dataset) -> Dataset:
            missing = [column for column in mapping if column not in dataset.column_names]
            if missing:
                raise DataError(
                    f"{setting} names the column {missing[0]!r}, which the data does not have",
                    where=self.where,
                    hint=did_you_mean(missing[0], dataset.column_names),
                )
            return dataset.rename_columns(dict(mapping))

        return self.map_splits(data, rename, quiet=True)

    def map_splits(self, data: Any, function: Callable[[Any], Any], *, quiet: bool = False) -> Any:
        """Apply ``function`` to a Dataset, or to the splits of a DatasetDict that are to be processed."""
        if not isinstance(data, Mapping):
            return function(data)
        names = self.split_names(data, quiet=quiet)
        return _like(data, {name: function(part) if name in names else part for name, part in data.items()})

    def split_names(self, data: Mapping, *, quiet: bool = False) -> list[str]:
        """The splits to process that ``data`` has, in its order; a warning for each that it lacks."""
        if self.splits_to_process is None:
            return list(data)
        for name in self.splits_to_process:
            if name not in data and not quiet:
                warning(f"node {self.name!r}: there is no split {name!r}, it is skipped (there are: {', '.join(data)})")
        return [name for name in data if name in self.splits_to_process]

    def split(self, data: DatasetDict, name: str) -> Dataset:
        """One split.

        Raises:
            DataError: it is not there, or it has no rows.
        """
        if name not in data:
            raise DataError(f"there is no split {name!r}", where=self.where, hint=did_you_mean(name, data))
        if not len(data[name]):
            raise DataError(
                f"the split {name!r} is empty",
                where=self.where,
                hint="look at its input node: every row was filtered out, or the source has none",
            )
        return data[name]


def as_dataset_dict(data: Any) -> Any:
    """A plain dict of Datasets as a DatasetDict; anything else as it is."""
    if type(data) is dict and data and all(hasattr(part, "rename_column") for part in data.values()):
        from datasets import DatasetDict

        return DatasetDict(data)
    return data


def _like(container: Mapping, parts: dict) -> Any:
    """``parts`` in a container of the same type as ``container``."""
    if type(container) is dict:
        return parts
    twin = copy.copy(container)
    twin.clear()  # type: ignore[attr-defined]
    twin.update(parts)  # type: ignore[attr-defined]
    return twin
