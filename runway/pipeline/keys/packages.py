"""What an installed package holds: its files by content, as the RECORD of its wheel lists them.

Not by its version: a package that is installed again under the same one, with another body, gives other data.
"""

from __future__ import annotations

import base64
import csv
import functools
import importlib.util
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from runway.errors import RunwayError
from runway.pipeline.keys.fingerprint import combine, digest
from runway.pipeline.keys.origin import package_versions

if TYPE_CHECKING:
    from importlib.metadata import Distribution

NOT_CONTENT = re.compile(
    r"[^/]+\.(dist|egg)-info/"  # who installed it, how and when; the version
    r"|(\.\./)+(bin|Scripts)/"  # launchers, which hold the interpreter's path
    r"|(.*/)?__pycache__/|.*\.py[co]$"
)


@functools.cache
def package_content(name: str) -> str:
    """The digest of what an installed package holds; told once per process.

    A file that RECORD lists counts by the hash that stands there, which saves reading it, unless it was touched since.
    Without a RECORD that lists the package, all files of its folder are read.

    Args:
        name: the name that it is imported by, without dots.

    Raises:
        RunwayError: a file cannot be read.
    """
    found: dict[str, str] = {}
    for place in _places(name):
        listed = _listed(name, place)
        found |= listed or {file.relative_to(place.parent).as_posix(): _hash(file) for file in _files(place)}
    if not found:  # built into the interpreter, or in a zip file
        return digest(package_versions([name]))
    return combine(*(part for item in sorted(found.items()) for part in item))


def _places(name: str) -> list[Path]:
    """The file of a module, or the folders of a package: more than one where several distributions share a name."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # a module that somebody made by hand
        spec = None
    if spec is None:
        return []
    places: list[str | None] = [*(spec.submodule_search_locations or ())]
    if not places and spec.has_location:
        places = [spec.origin]
    return [Path(place) for place in places if place and os.path.exists(place)]


def _files(place: Path) -> Iterator[Path]:
    """The files of a module or package, without what Python has compiled."""
    if place.is_file():
        yield place
        return
    for folder, _, names in os.walk(place):
        for file in (Path(folder, name) for name in names):
            if not NOT_CONTENT.match(file.relative_to(place.parent).as_posix()):
                yield file


def _listed(name: str, place: Path) -> dict[str, str]:
    """{file: its hash} of the distributions beside a package whose RECORD lists it; nothing where none does."""
    found: dict[str, str] = {}
    mark = f"\n{place.name}" if place.is_file() else f"\n{place.name}/"
    for distribution in _distributions(name, place.parent):
        record = distribution.read_text("RECORD") or ""
        if mark in f"\n{record}":
            found |= _content(record, distribution, place.parent)
            if (place / "__init__.py").is_file() or place.is_file():
                break  # no other one has a part in it
    return found


def _distributions(name: str, folder: Path) -> Iterator[Distribution]:
    """Those in a folder, the likely one first: to read all RECORDs takes some 50 ms."""
    from importlib.metadata import distributions

    yield from distributions(name=name, path=[str(folder)])
    yield from distributions(path=[str(folder)])


def _content(record: str, distribution: Distribution, folder: Path) -> dict[str, str]:
    """{file: its hash} of what a RECORD lists."""
    found = {}
    own = next((name for name, *_ in csv.reader(record.splitlines()) if name.endswith(".dist-info/RECORD")), "")
    written = _modified(folder / own) if own else 0
    for name, known, *_ in csv.reader(record.splitlines()):
        if NOT_CONTENT.match(name):
            continue
        file = Path(str(distribution.locate_file(name)))
        modified = _modified(file)
        if modified is None:
            found[name] = "missing"
        elif known.startswith("sha256=") and written is not None and modified <= written:
            found[name] = known
        else:
            found[name] = _hash(file)
    return found


def _modified(file: Path) -> int | None:
    """When it was written; None where it is not there."""
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def _hash(file: Path) -> str:
    """As RECORD says it, so that the same file has the same hash in a package without one."""
    import hashlib

    try:
        with open(file, "rb") as stream:
            found = hashlib.file_digest(stream, "sha256").digest()
    except OSError as error:
        message = f"a file of an installed package cannot be read: {error}"
        raise RunwayError(message, where=str(file), hint="install the package again") from error
    return "sha256=" + base64.urlsafe_b64encode(found).decode().rstrip("=")
