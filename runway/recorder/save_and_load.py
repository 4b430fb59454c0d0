"""A recorder's files: the samples as parquet, json, csv or pickle, beside them its stats and its meta config as json.

``<prefix>-sample_log.<format>``, ``<prefix>-stats_log.json``, ``<prefix>-meta_config.json`` and a folder
``<prefix>-images``; with pickle one ``<prefix>.pkl``. Each file is written under another name and then renamed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.disk import replace_text, replacing, stays_inside
from runway.errors import DataError, damage_told_as, did_you_mean
from runway.recorder.encoding import IMAGES
from runway.recorder.file_formats import FORMATS, IMAGE, column_notes
from runway.recorder.plain import Png, to_json, untag

if TYPE_CHECKING:
    from runway.recorder.table import SampleTable


_IN_META = ("version", "rows", "position", "columns", "intervals", "slices")
"""What json and csv keep of the header beside the meta config."""


@dataclass(frozen=True)
class Paths:
    """Where the files of one recorder are."""

    folder: Path
    prefix: str
    file_format: str

    def __post_init__(self) -> None:
        if self.file_format not in FORMATS:
            raise DataError(
                f"file_format must be one of {', '.join(FORMATS)}, but is {self.file_format!r} instead",
                hint=did_you_mean(str(self.file_format), FORMATS),
            )
        prefix = self.prefix
        if not isinstance(prefix, str) or not stays_inside(prefix) or Path(prefix).name != prefix:
            raise DataError(f"file_prefix must be a file name without a folder, but is {self.prefix!r} instead")

    @property
    def samples(self) -> Path:
        """The samples; with pickle, everything."""
        end = ".pkl" if self.file_format == "pkl" else f"-sample_log.{self.file_format}"
        return self.folder / (self.prefix + end)

    @property
    def stats(self) -> Path:
        """The stats."""
        return self.folder / f"{self.prefix}-stats_log.json"

    @property
    def meta(self) -> Path:
        """The meta config, and what the reader of json and csv must know."""
        return self.folder / f"{self.prefix}-meta_config.json"

    def all(self) -> list[Path]:
        """Every file that loading reads, but for the images."""
        return [self.samples, self.stats, self.meta] if self.file_format in ("json", "csv") else [self.samples]


def save(paths: Paths, table: SampleTable, header: dict[str, Any]) -> None:
    """Write everything; what was there is replaced file by file, the samples first.

    Args:
        paths: where to.
        table: the samples.
        header: all else, plain: ``version``, ``rows``, ``position``, ``stats``, ``meta``.

    Raises:
        DataError: the disk is full, the folder read-only.
    """
    images = _ImageFolder(paths.folder / f"{paths.prefix}-images")
    header = {**header, "columns": column_notes(table)}
    write, _ = FORMATS[paths.file_format]
    try:
        paths.folder.mkdir(parents=True, exist_ok=True)
        table = images.with_paths(table)
        with replacing(paths.samples) as temporary:
            write(temporary, table, header)
        if paths.file_format != "pkl":
            about = {key: header[key] for key in _IN_META if key in header}
            _write_json(paths.stats, header["stats"])
            _write_json(paths.meta, {**header["meta"], "runway_recorder": about})
        images.remove_others()
    except OSError as error:
        raise DataError(
            f"the recorder cannot be saved: {error.strerror or error}",
            where=str(error.filename or paths.folder),
            hint="make room or name another folder; what was saved there before is still whole",
        ) from error


def load(paths: Paths) -> tuple[SampleTable, dict[str, Any]]:
    """Read what ``save`` wrote: the samples and the header, with ``stats`` and ``meta`` at least.

    Raises:
        DataError: a file is missing, damaged, or does not belong to the others.
    """
    if not paths.samples.is_file():
        raise _missing(paths)
    _, read = FORMATS[paths.file_format]
    hint = "it is damaged, or was not written by save_to_disk; write it again"
    with damage_told_as(DataError, "the recorder's file cannot be read", where=str(paths.samples), hint=hint):
        header: dict[str, Any] = {}
        if paths.file_format in ("json", "csv"):
            meta = _read_json(paths.meta)
            header = {**meta.pop("runway_recorder", {}), "meta": meta, "stats": _read_json(paths.stats)}
        table, header = read(paths.samples, header)
        header = checked_header(header, table)
        for name, note in header["columns"].items():
            if note["kind"] == IMAGE and name in table.columns:
                table.rewrite_column(name, partial(_images, paths.folder, name))
    return table, header


def checked_header(header: Any, table: SampleTable) -> dict[str, Any]:
    """What a file says beside the samples, with what it leaves out.

    Raises:
        DataError: it is not what ``save`` has written, or does not go with the samples.
    """
    kinds = ("stats", "meta", "columns", "intervals", "slices")
    whole: dict[str, Any] = {**{kind: {} for kind in kinds}, "position": 0, "rows": table.rows, **header}
    parts, numbers = [whole[kind] for kind in kinds], [whole["rows"], whole["position"]]
    if not all(isinstance(part, dict) and all(type(key) is str for key in part) for part in parts):
        raise DataError(
            "the recorder's stats, intervals, slices, meta config or notes of columns are not {name: value}"
        )
    if not all(type(number) is int and 0 <= number < 1 << 48 for number in numbers):
        raise DataError(f"the recorder's rows and position must be whole numbers, but are {numbers} instead")
    if table.columns and whole["rows"] != table.rows:
        raise DataError(
            f"the recorder has {table.rows} rows, but its meta config says {whole['rows']}",
            hint="a save was interrupted; write it again",
        )
    if whole["position"] > whole["rows"]:
        raise DataError(f"the recorder stands at row {whole['position']}, but has {whole['rows']}")
    return whole


def _write_json(path: Path, value: Any) -> None:
    replace_text(path, json.dumps(json.loads(to_json(value)), indent=2) + "\n")


def _read_json(path: Path) -> dict:
    if not path.is_file():
        raise DataError("a recorder's file is missing", where=str(path), hint="write the recorder again")
    found = json.loads(path.read_text(encoding="utf-8"), object_hook=untag)
    if not isinstance(found, dict):
        raise DataError("a recorder's file holds no object", where=str(path), hint="write the recorder again")
    return found


class _ImageFolder:
    """Writes images as PNG files; a file's name holds a digest of its content, so that none is ever overwritten."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names: set[str] = set()

    def with_paths(self, table: SampleTable) -> SampleTable:
        """The table with the paths of its images, which are written, relative to the recorder's folder."""
        twin = table.fork()
        for name, column in table.columns.items():
            if column.type() in IMAGES:
                stem = re.sub(r"[^\w.-]", "_", name).lstrip(".")[:80]
                twin.rewrite_column(name, partial(self._store_all, stem))
        return twin

    def _store_all(self, stem: str, images: list, first: int) -> list:
        return [self._store(image, f"{stem}-{index}") for index, image in enumerate(images, first)]

    def _store(self, image: Any, stem: str) -> Any:
        if image is None:
            return None
        if isinstance(image, list):
            return self._store_all(stem, image, 0)
        name = f"{stem}-{hashlib.blake2b(image, digest_size=4).hexdigest()}.png"
        path = self.folder / name
        if name not in self._names and not path.is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                temporary.write_bytes(image)
        self._names.add(name)
        return f"{self.folder.name}/{name}"

    def remove_others(self) -> None:
        """Remove what an earlier save left and this one does not name."""
        if not self.folder.is_dir():
            return
        for path in self.folder.glob("*.png"):
            if path.name not in self._names:
                path.unlink(missing_ok=True)
        if not self._names:
            with contextlib.suppress(OSError):  # something else lies in it
                self.folder.rmdir()


def saved_in(folder: Path) -> list[str]:
    """What a folder holds, as ``prefix (format)``."""
    found = [f"{path.stem} (pkl)" for path in folder.glob("*.pkl")]
    for name in FORMATS:
        end = f"-sample_log.{name}"
        found += [f"{path.name.removesuffix(end)} ({name})" for path in folder.glob(f"*{end}")]
    return sorted(found)


def _missing(paths: Paths) -> DataError:
    here = saved_in(paths.folder) if paths.folder.is_dir() else []
    if here:
        hint = f"in that folder there is {', '.join(here)}: set file_prefix and file_format so"
    else:
        base = paths.folder.parent
        folders = sorted(base.iterdir()) if base.is_dir() else []
        others = [path.name for path in folders if path.is_dir() and saved_in(path)]
        hint = did_you_mean(paths.folder.name, others) if others else f"there is no recorder in {base}"
    return DataError(
        f"there is no recorder {paths.folder.name!r} saved as {paths.prefix} ({paths.file_format})",
        where=str(paths.samples),
        hint=hint,
    )


def _images(folder: Path, column: str, paths: list, first: int) -> list:
    """The images in the place of their paths."""
    return [_image(folder, column, path) for path in paths]


def _image(folder: Path, column: str, path: Any) -> Any:
    if path is None or isinstance(path, list):
        return path and _images(folder, column, path, 0)
    found = (folder / path).resolve()
    if not found.is_relative_to(folder.resolve()):
        raise DataError(f"column {column!r} names an image outside the recorder's folder: {path!r}", where=str(folder))
    if not found.is_file():
        raise DataError(f"an image of column {column!r} is missing", where=str(found), hint="write the recorder again")
    return Png(found.read_bytes())
