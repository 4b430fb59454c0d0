"""Which files a folder or a pattern means.

Links are followed, but not in circles; caches are left out; a name that is there is no pattern.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from runway.errors import RunwayError

CACHE_TAG = "CACHEDIR.TAG"
_SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55"  # https://bford.info/cachedir/
_ESCAPED = re.compile(r"\[([*?[])\]")  # what glob.escape writes


def mark_as_cache(folder: str | Path) -> None:
    """Put the standard tag into a folder, which says that it holds a cache: it counts to no folder that it lies in."""
    try:
        with open(f"{folder}/{CACHE_TAG}", "x", encoding="utf-8") as file:
            file.write(f"{_SIGNATURE}\n# This folder holds a cache of runway's.\n")
    except FileExistsError:
        pass


def is_cache(folder: str | Path) -> bool:
    """Whether a folder bears the tag of caches (backup programs know it too)."""
    try:
        with open(f"{folder}/{CACHE_TAG}", "rb") as file:
            return file.read(len(_SIGNATURE)) == _SIGNATURE.encode()
    except OSError:
        return False


def is_hidden(name: str) -> bool:
    """Whether a name is none of data by custom: ``.git``, ``.ipynb_checkpoints``, ``__pycache__``, ``_SUCCESS``.

    The rule of ``pyarrow.dataset``, which Spark's is too; HF datasets lets names with one underscore pass.
    """
    return name.startswith((".", "_"))


def files_in(folder: str | Path, *, hidden: bool = True) -> list[str]:
    """The files of a folder and of those in it, by their names relative to it, sorted.

    Args:
        folder: where to look; it may be a cache or hidden itself.
        hidden: whether those that ``is_hidden``, or lie in such a folder, are among them.

    Raises:
        RunwayError: a folder cannot be read.
    """
    return sorted(name for name, left in walk(folder, hidden=hidden) if not left)


HIDDEN, CACHE, CIRCLE, BROKEN = "hidden", "a cache", "a link back to what it lies in", "a link to nothing"


def walk(folder: str | Path, *, hidden: bool = True) -> Iterator[tuple[str, str]]:
    """The files that are in a folder, and what is left out: (name relative to it, why).

    Args:
        folder: where to look.
        hidden: False leaves out files and folders that ``is_hidden``.

    Yields:
        Files, with no reason; BROKEN links; and folders that were not entered: for HIDDEN, CACHE or CIRCLE.

    Raises:
        RunwayError: a folder cannot be read.
    """
    start: tuple[str, ...] = (os.path.realpath(folder),)
    waiting = [("", start)]  # names, with the real paths of a folder and of those around it
    while waiting:
        inside, around = waiting.pop()
        try:
            with os.scandir(os.path.join(folder, inside)) as found:
                items = sorted(found, key=lambda item: item.name)
        except OSError as error:
            raise RunwayError(f"a folder cannot be read: {error}", where=os.path.join(folder, inside)) from error
        for item in items:
            name = f"{inside}{item.name}"
            if not hidden and is_hidden(item.name):
                yield name, HIDDEN
            elif item.is_symlink() and not os.path.exists(item.path):  # is_dir() raises for a link to itself
                yield name, BROKEN
            elif item.is_dir():
                real = os.path.realpath(item.path) if item.is_symlink() else os.path.join(around[-1], item.name)
                if is_cache(item.path):
                    yield name, CACHE
                elif real in around:
                    yield name, CIRCLE
                else:
                    waiting.append((f"{name}/", (*around, real)))
            elif item.is_file():
                yield name, ""


def escape_existing(pattern: str | Path, root: str | Path) -> str:
    """The pattern with the first parts of its path escaped, as far as they are there by these very names.

    So ``theses [2024]/*.csv`` means the folder of that name.
    """
    import glob

    parts = Path(pattern).parts
    place = str(root)
    for number, part in enumerate(parts):
        place = os.path.join(place, part)
        if glob.has_magic(part) and not os.path.lexists(place):
            return os.path.join(*map(glob.escape, parts[:number]), *parts[number:])
    return os.path.join(*map(glob.escape, parts))


def matches(pattern: str, root: str | Path | None = None) -> list[str]:
    """The files and folders that a pattern of ``glob`` (``**`` for any depth) matches, sorted.

    Left out is what lies in a cache, or is reached through a link back to a folder that the link lies in.

    Args:
        pattern: what to look for, absolute or relative to ``root``; the names are so too.
        root: where a relative pattern starts.
    """
    import glob

    parts = Path(pattern).parts
    fixed = 0
    while fixed < len(parts) - 1 and not glob.has_magic(_ESCAPED.sub("", parts[fixed])):
        fixed += 1
    base = os.path.join(root or "", *(_ESCAPED.sub(r"\1", part) for part in parts[:fixed]))
    around: dict[str, tuple[str, ...]] = {base: (os.path.realpath(base),)}  # none for a folder that is left out
    return [
        name
        for name in sorted(glob.glob(pattern, root_dir=root, recursive=True))
        if _around(os.path.dirname(os.path.join(root or "", name)), around)
    ]


def _around(folder: str, known: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The real paths of a folder and of those around it, up to the one that is known from the start."""
    new = []
    while folder not in known and folder:
        new.append(folder)
        folder = os.path.dirname(folder)
    found = known.get(folder, ())
    for inner in reversed(new):
        real = os.path.realpath(inner)
        found = (*found, real) if found and real not in found and not is_cache(inner) else ()
        known[inner] = found
    return found
