"""The base classes of every DataOp: a functor with ``setup(**setup_kwargs)`` and ``_call(data)``."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from runway.config.reads import Reads
from runway.disk import expanded
from runway.errors import DataError, RunwayError, did_you_mean, must_be, must_be_known
from runway.log import warning
from runway.user_code import placed, user_traceback
from runway.walk import escape_existing, matches

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


VALIDATION_NAMES = ("valid", "validation", "val", "dev")
"""What the split for validation may be called."""


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
        self._runway_use_dummy_data = use_dummy_data
        self._runway_reads = reads if reads is not None else Reads()

    def setup(
        self, *, input_mapping: Mapping[str, str] | None = None, output_mapping: Mapping[str, str] | None = None
    ) -> None:
        """Take the node's ``setup_kwargs``; called once, before ``_call``.

        Args:
            input_mapping: {name in the data: name that this transform expects}, for columns or keys.
            output_mapping: {name that this transform gives: name in its output}.
        """
        self.input_mapping = distinct(input_mapping, "input_mapping", where=self.where)
        self.output_mapping = distinct(output_mapping, "output_mapping", where=self.where)

    def __call__(self, data: Any = None, **inputs: Any) -> Any:
        """Run the transform: map names, preprocess, check, ``_call``, check, map names."""
        data = self._runway_rename(data, self.input_mapping, "input_mapping")
        data = self._preprocess(data)
        self._runway_accept(self._check_input(data), "input", data)
        output = self._call(data, **inputs)
        self._runway_accept(self._check_output(output), "output", output)
        return self._runway_rename(output, self.output_mapping, "output_mapping")

    def _call(self, data: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define _call(self, data)")

    def _preprocess(self, data: Any) -> Any:
        """Prepare the data before the check and ``_call``."""
        return data

    def _check_input(self, data: Any) -> bool | None:
        """Raise, or return False, where ``data`` is not what this transform takes."""

    def _check_output(self, data: Any) -> bool | None:
        """Raise, or return False, where ``data`` is not what this transform promised."""

    def _runway_accept(self, verdict: bool | None, side: str, data: Any) -> None:
        if verdict is False:
            raise DataError(
                f"the {side} of {type(self).__name__} does not pass its _check_{side}: {type(data).__name__}",
                where=self.where,
            )

    def _runway_rename(self, data: Any, mapping: Mapping[str, str] | None, setting: str, split: str = "") -> Any:
        """The keys of a dict, or the columns of a dataset (of each split), under the names that ``mapping`` gives."""
        if not mapping:
            return data
        if isinstance(data, Mapping) and is_dataset(data):
            return _with_parts(
                data, {name: self._runway_rename(part, mapping, setting, name) for name, part in data.items()}
            )
        if not isinstance(data, Mapping) and not is_dataset(data):
            raise DataError(
                f"{setting} needs a dict or a Dataset, but the data is a {type(data).__name__} instead",
                where=self.where,
            )
        names = data.column_names if is_dataset(data) else data
        owner = f"the split {split!r}" if split else "the data"
        for old, new in mapping.items():
            if old not in names:
                raise DataError(
                    f"{setting} names {old!r}, which {owner} does not have",
                    where=f"{self.where}, {setting}",
                    hint=did_you_mean(old, names),
                )
            if new != old and new in names and new not in mapping:
                raise DataError(
                    f"{setting} calls {old!r} {new!r}, but {owner} has a {new!r} already",
                    where=f"{self.where}, {setting}",
                    hint=f"give {new!r} another name too, or leave it out before, with SelectColumns",
                )
        if is_dataset(data):
            return data.rename_columns({old: new for old, new in mapping.items() if old != new})
        return {mapping.get(key, key): value for key, value in data.items()}

    @property
    def where(self) -> str:
        """This node, as errors and warnings name it."""
        return f"node {self.name!r}"

    def need_columns(
        self,
        data: Any,
        names: Iterable[str],
        *,
        split: str | None = None,
        setting: str | None = None,
        hint: str = "",
    ) -> None:
        """Check that a dataset has some columns.

        Args:
            data: a Dataset, or anything with ``column_names``.
            names: the columns.
            split: the split's name, for the error; empty or None for a Dataset without splits.
            setting: the one that names the columns, for the error.
            hint: what to do about it, said after the closest names.

        Raises:
            DataError: one is not there; with the closest names.
        """
        owner = f"the split {split!r}" if split else "the data"
        where = f"{self.where}, {setting}" if setting else self.where
        must_be_known(names, data.column_names, f"{owner} has no column", where=where, hint=hint, error=DataError)

    @property
    def use_dummy_data(self) -> bool:
        """Whether the run asks for a few rows only (``--use_dummy_data``); reading it is recorded."""
        self._runway_reads.flags["use_dummy_data"] = self._runway_use_dummy_data
        return self._runway_use_dummy_data

    def resolve_path(self, path: str | Path) -> Path:
        """A path from the config: absolute, with ``~``, or relative to the project's folder."""
        return placed(self.project, expanded(path))

    def from_config(self, *keys: str, default: Any = None) -> Any:
        """A value of the experiment's config, by its keys; ``default`` where it is null or not there."""
        value = self.global_config
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return default if value is None else value

    def track_file(self, path: str | Path) -> Path:
        """Record that the output depends on this file, or on all files of this folder, and give its path.

        The next run re-runs this node if the content has changed. Links are followed; a cache in a folder (one with
        a ``CACHEDIR.TAG``, as runway's has) does not count.
        """
        resolved = self.resolve_path(path)
        self._runway_reads.note_file("file", str(resolved))
        return resolved

    def track_folder(self, path: str | Path) -> Path:
        """``track_file`` for a folder of which what is hidden (``.DS_Store``, ``_SUCCESS``) does not count."""
        resolved = self.resolve_path(path)
        self._runway_reads.note_file("folder", str(resolved))
        return resolved

    def track_code(self, found: type | Callable) -> None:
        """Record that the output depends on the code of a class or function that was found at run time.

        What the source of a transform names counts anyway. A class counts with those above it.
        """
        packages = {"builtins"}
        for part in getattr(found, "__mro__", (found,)):
            package = part.__module__.partition(".")[0]
            if package not in packages:  # within a package the text of the first leads to those above it
                packages.add(package)
                self._runway_reads.code.add((part.__module__, part.__qualname__.partition(".")[0]))

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
            self._runway_reads.notes[str(name)] = json.loads(json.dumps(value))
        except (TypeError, ValueError) as error:
            raise TypeError(f"`value` of note({name!r}) must be plain data: {error}") from error

    def track_glob(self, pattern: str | Path) -> list[Path]:
        """Record that the output depends on all files that match, present and to come; gives them sorted.

        A folder in the pattern that is there by that very name is taken literally (``theses [2024]/*.csv``). What lies
        in a cache is left out.
        """
        resolved = escape_existing(self.resolve_path(pattern), self.project)
        self._runway_reads.note_file("glob", resolved)
        return [Path(match) for match in matches(resolved)]


class RowWiseTransform(BaseTransform):
    """A transform of one row at a time: write ``_call(self, row_n, row)``, which returns the new row.

    Takes any iterable of rows, a Dataset or a DatasetDict, and gives a list, a Dataset or a DatasetDict.
    A row for which ``_call`` returns None is left out. Of a Dataset a row is a dict, with its place there as ``row_n``;
    a column of the output keeps the feature (ClassLabel, Image, int32) of the column of that name where its values
    still go with it, and has null where a row lacks it. The rows are never in memory all at once.
    """

    def __call__(self, data: Any = None, **inputs: Any) -> Any:
        """Run ``_call`` over every row."""
        data = self._preprocess(data)
        self._runway_accept(self._check_input(data), "input", data)
        output = self._runway_over_rows(data, None, inputs)
        self._runway_accept(self._check_output(output), "output", output)
        return output

    def _call(self, row_n: int, row: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define _call(self, row_n, row)")

    def _check_input(self, data: Any) -> bool | None:
        return isinstance(data, Iterable)

    def _runway_over_rows(self, data: Any, split: Any, inputs: Mapping[str, Any]) -> Any:
        if isinstance(data, Mapping):
            return _with_parts(data, {name: self._runway_over_rows(part, name, inputs) for name, part in data.items()})
        rows = self._runway_mapped_rows(data, split, inputs)
        if not is_dataset(data):
            return list(rows)
        from runway.transforms.rows_to_dataset import dataset_of_rows

        features = self._runway_rename(dict(data.features or {}), self.input_mapping, "input_mapping")
        renamed = self.output_mapping or {}
        return dataset_of_rows(rows, {renamed.get(name, name): kind for name, kind in features.items()}, self.where)

    def _runway_mapped_rows(self, rows: Iterable, split: Any, inputs: Mapping[str, Any]) -> Iterator:
        for row_n, given in enumerate(rows):
            row = self._runway_rename(given, self.input_mapping, "input_mapping")
            try:
                output = self._call(row_n, row, **inputs)
            except Exception as error:
                _tell_row(error, row_n, row, split, self.where)
                raise
            if output is not None:
                yield self._runway_rename(output, self.output_mapping, "output_mapping")


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
            rename_col_dict: {column: new name}, applied to the output of the processed splits, which must have them.
            splits_to_process: the splits to work on; None means all. A split that is not there is skipped
                with a warning.
            **kwargs: ``input_mapping`` and ``output_mapping`` (column names), see BaseTransform.
        """
        super().setup(**kwargs)
        self.rename_col_dict = distinct(rename_col_dict, "rename_col_dict", where=self.where)
        self.splits_to_process = splits_to_process

    def _preprocess(self, data: Any) -> Any:
        return as_dataset_dict(data)

    def _check_input(self, data: Any) -> None:
        self._runway_check_dataset(data, "needs")

    def _check_output(self, data: Any) -> None:
        self._runway_check_dataset(as_dataset_dict(data), "must return")

    def _runway_check_dataset(self, data: Any, verb: str) -> None:
        if not is_dataset(data):
            raise DataError(
                f"{type(self).__name__} {verb} a Dataset or a DatasetDict, but has a {type(data).__name__} instead",
                where=self.where,
            )

    def __call__(self, data: Any = None, **inputs: Any) -> Any:
        """Run the transform; a dict of Datasets that ``_call`` returns becomes a DatasetDict."""
        output = as_dataset_dict(super().__call__(data, **inputs))
        return self._runway_rename(output, self.rename_col_dict, "rename_col_dict")

    def _runway_rename(self, data: Any, mapping: Mapping[str, str] | None, setting: str, split: str = "") -> Any:
        data = as_dataset_dict(data)
        if not mapping or not is_dataset(data):
            return super()._runway_rename(data, mapping, setting, split)
        rename = super()._runway_rename
        parts = self.splits_of(data, quiet=True)
        return self.with_splits(data, {name: rename(part, mapping, setting, name) for name, part in parts.items()})

    def splits_of(self, data: Any, *, quiet: bool = False) -> dict[str, Any]:
        """The splits to work on, in the order of ``data``.

        Args:
            data: a DatasetDict; or a Dataset, which is one split without a name.
            quiet: leave out the warning for each split of ``splits_to_process`` that is not there.

        Returns:
            ``{split: Dataset}``; the name is empty for a Dataset.
        """
        if not isinstance(data, Mapping):
            return {"": data}
        wanted = list(data) if self.splits_to_process is None else self.splits_to_process
        for name in wanted:
            if name not in data and not quiet:
                warning(f"{self.where}: there is no split {name!r}, it is skipped (there are: {', '.join(data)})")
        return {name: part for name, part in data.items() if name in wanted}

    def with_splits(self, data: Any, parts: Mapping[str, Any]) -> Any:
        """``data`` with some of its splits replaced: the way back from ``splits_of``."""
        return _with_parts(data, parts) if isinstance(data, Mapping) else parts[""]

    def map_splits(self, data: Any, function: Callable[[Any], Any], *, quiet: bool = False) -> Any:
        """Apply ``function`` to a Dataset, or to the splits of a DatasetDict that are to be processed."""
        parts = self.splits_of(data, quiet=quiet)
        return self.with_splits(data, {name: function(part) for name, part in parts.items()})

    def split(self, data: DatasetDict, name: str) -> Dataset:
        """One split.

        Raises:
            DataError: it is not there, or it has no rows.
        """
        must_be_known([name], data, "there is no split", where=self.where, error=DataError)
        if not len(data[name]):
            raise DataError(
                f"the split {name!r} is empty",
                where=self.where,
                hint="look at its input node: every row was filtered out, or the source has none",
            )
        return data[name]


def _tell_row(error: Exception, row_n: int, row: Any, split: Any, where: str) -> None:
    """Say in which row an error was raised; for a column that is not there, which the row has.

    Raises:
        DataError: it is a KeyError about a column of the row.
    """
    place = f"row {row_n}" if split is None else f"row {row_n} of {split!r}"
    if not isinstance(row, Mapping) or isinstance(error, RunwayError):
        return
    if not isinstance(error, KeyError) or error.args[:1] == () or error.args[0] in row:
        error.add_note(f"({place}, with the columns {', '.join(map(str, row))})")
        return
    told = DataError(
        f"{place} has no column {error.args[0]!r}; it has {', '.join(map(repr, row)) or 'none'}",
        where=where,
        hint=did_you_mean(str(error.args[0]), map(str, row)),
    )
    told.traceback = user_traceback(error)  # type: ignore[attr-defined]
    raise told from error


def distinct(mapping: Mapping[str, str] | None, setting: str, *, where: str) -> Mapping[str, str] | None:
    """The mapping; a ConfigError where it gives one name twice."""
    names = list((mapping or {}).values())
    must_be(len(set(names)) == len(names), setting, "names to different names", mapping, where=where)
    return mapping


def is_dataset(data: Any) -> bool:
    """Whether data is a Dataset or a DatasetDict (iterable ones too), told without loading ``datasets``."""
    return hasattr(data, "rename_column")


def as_dataset_dict(data: Any) -> Any:
    """A plain dict of Datasets as a DatasetDict; anything else as it is."""
    if type(data) is dict and data and all(map(is_dataset, data.values())):
        from datasets import DatasetDict

        return DatasetDict(data)
    return data


def _with_parts(container: Mapping, parts: Mapping[str, Any]) -> Any:
    """A container like ``container``, with some of its values replaced."""
    twin: Any = copy.copy(container)
    twin.update(parts)
    return twin
