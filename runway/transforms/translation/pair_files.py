"""Reads the plain files that sentence pairs come in: the lines of one side, and tables with tabs and no quoting."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runway.errors import DataError, did_you_mean
from runway.log import warning
from runway.transforms.arrow_tables import TableWriter
from runway.transforms.loading.data_files import format_of, read_files
from runway.transforms.loading.hf_dataset import LoadHFDataset

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from datasets import Dataset

ENDINGS = ("", ".gz", ".bz2", ".zst", ".txt", ".txt.gz")
"""What may follow the language in the name of a file: ``train.de.gz``."""


def pairs_in_folder(
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
    names = sorted(entry.name for entry in folder.iterdir())
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


def is_table(path: Path) -> bool:
    """Whether a file's name says that it is a table with tabs: ``.tsv`` or ``.txt``, also compressed."""
    return format_of(path) in ("tsv", "text")


def read_lines(path: Path, *, where: str, encoding: str = "utf-8", limit: int | None = None) -> pa.ChunkedArray:
    """The lines of a file, ended by line feeds alone: a sentence may hold any other character.

    Raises:
        DataError: the file is empty, damaged, or in another encoding.
    """
    import pyarrow as pa

    try:
        found = read_files([path], where=where, file_format="text", encoding=encoding, limit=limit)
    except OSError as error:
        raise DataError(
            f"the file {path.name!r} cannot be read: {error}",
            where=f"{where}, file {path}",
            hint="is it whole, and compressed as its name says?",
        ) from error
    lines = found.with_format("arrow")[:].column("text")
    if len(lines) and lines[0].as_py().startswith("\ufeff"):  # a byte order mark
        first = pa.array([lines[0].as_py()[1:]], lines.type)
        lines = pa.chunked_array([first, *lines.slice(1).chunks], lines.type)
    return lines


def read_table(
    path: Path,
    columns: Mapping[str, int | str],
    *,
    where: str,
    encoding: str = "utf-8",
    limit: int | None = None,
    drop_bad_rows: bool = False,
) -> tuple[dict[str, pa.ChunkedArray], np.ndarray, int]:
    """Columns of a table.

    Args:
        path: the table.
        columns: ``{name: column}``: its number from 0, or its name in the first line.
        where: the place that an error names.
        encoding: of the file.
        limit: stop after so many lines.
        drop_bad_rows: leave out rows of too few columns, with a warning, instead of an error.

    Returns:
        The columns, the number of each row's line, and how many rows were left out.

    Raises:
        DataError: there is no such column, or a row has too few.
    """
    import numpy as np
    import pyarrow.compute as pc

    lines = read_lines(path, where=where, encoding=encoding, limit=limit)
    places, first_line = _places(columns, lines, f"{where}, file {path}, line 1")
    cells = pc.split_pattern(lines.slice(first_line - 1), "\t")
    needed = max(places.values()) + 1
    widths = pc.list_value_length(cells).to_numpy()
    numbers = np.arange(first_line, first_line + len(widths))
    bad = numbers[widths < needed]
    if len(bad):
        found = f"line {bad[0]} of {path.name!r} has {widths[bad[0] - first_line]} columns, but {needed} are needed"
        if not drop_bad_rows:
            raise DataError(
                f"{found}: {shown(lines[int(bad[0]) - 1].as_py())}",
                where=f"{where}, file {path}, line {bad[0]}",
                hint=f"{len(bad)} lines are like that; columns are separated by tabs; "
                "mend the file, choose other columns, or set on_bad_row: 'drop'",
            )
        warning(f"{where}: {len(bad)} lines dropped that have too few columns, first {found}")
        numbers, cells = numbers[widths >= needed], cells.filter(widths >= needed)
    return {name: pc.list_element(cells, place) for name, place in places.items()}, numbers, len(bad)


def _places(columns: Mapping[str, int | str], lines: pa.ChunkedArray, where: str) -> tuple[dict[str, int], int]:
    """The number of each column, and the line where the rows begin: below the names, where names are asked for."""
    if not any(isinstance(column, str) for column in columns.values()):
        return {name: int(column) for name, column in columns.items()}, 1
    header = lines[0].as_py().split("\t")
    for column in columns.values():
        if isinstance(column, str) and column not in header:
            raise DataError(
                f"there is no column {column!r} in the first line",
                where=where,
                hint=did_you_mean(column, header, listing=12),
            )
    return {name: header.index(place) if isinstance(place, str) else place for name, place in columns.items()}, 2


def shown(text: str) -> str:
    """A text as an error shows it: its beginning."""
    return repr(text if len(text) <= 60 else f"{text[:60]}…")


class FilesOfPairs(LoadHFDataset):
    """Finds files and splits as LoadHFDataset does, and reads each file as pairs that know where they come from."""

    read_file: Callable[[Path, str | None], Dataset]
    has_read_files = False

    def _read(self, splits: Mapping[str, Sequence[Path]], limit: int | None) -> dict[str, Dataset]:
        self.has_read_files = True
        found = {}
        for split, paths in splits.items():
            writer = TableWriter(self.where)
            for path in paths:
                if limit is None or writer.rows < limit:
                    pairs = self.read_file(path, self.file_format).with_format("arrow")[:]
                    writer.add(pairs if limit is None else pairs.slice(0, limit - writer.rows))
            found[str(split)] = writer.finish()
        return found
