"""The state of what a node read on the way: values of the config, files, flags, each as a digest.

Large files are hashed once: their size, times and inode stand for the content as long as they stay the same and
were not written within the clock's granularity (git's "racy" rule).
"""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from runway.config.reads import ABSENT, Reads, lookup
from runway.errors import RunwayError
from runway.pipeline.keys.fingerprint import combine, digest

SMALL_FILE = 256 * 1024
RACY_NS = 2_000_000_000

ReadSet = dict[str, list]
"""What was read, without values: {"config": [path, …], "files": [[kind, name], …], "flags": [name, …]}."""

KnownFiles = dict[str, list]
"""{path: [size, mtime_ns, ctime_ns, inode, hashed_at_ns, digest]}."""


def read_set(reads: Reads, project: Path) -> ReadSet:
    """The names of what was read, sorted, ready for JSON; of files in the project relative to it, as it may move."""
    inside = f"{project}{os.sep}"
    return {
        "config": sorted((list(path) for path in reads.config), key=str),
        "files": sorted([kind, name.removeprefix(inside)] for kind, name in reads.files),
        "flags": sorted(reads.flags),
    }


def states(names: ReadSet, config: Any, flags: Mapping[str, Any], known: KnownFiles, project: Path) -> dict[str, str]:
    """The present state of everything in a read set, by a name that people can read.

    Args:
        names: what to look at.
        config: the experiment's config.
        flags: the run's flags.
        known: digests of files from before; brought up to date in place.
        project: what relative names of files are relative to.
    """
    found: dict[str, str] = {}
    for path in names["config"]:
        place = ".".join(map(str, path)) or "the whole config"
        value = lookup(config, tuple(path))  # that it is not there counts too
        found[f"config {place}"] = combine("absent") if value is ABSENT else digest(value, f"global_config.{place}")
    for kind, name in names["files"]:
        digest_of = _glob_digest if kind == "glob" else _path_digest
        found[f"{kind} {name}"] = digest_of(name, known, project)
    for flag in names["flags"]:
        found[f"flag {flag}"] = digest(flags.get(flag))
    return found


def _path_digest(name: str, known: KnownFiles, project: Path) -> str:
    """The content of a file, of a folder with all in it, or the fact that it is not there."""
    path = project / name
    if path.is_dir():
        inside = sorted(str(item.relative_to(path)) for item in path.rglob("*") if item.is_file())
        facts = ((item, _file_digest(f"{name}/{item}", known, project)) for item in inside)
        return combine("folder", *(part for pair in facts for part in pair))
    return _file_digest(name, known, project)


def _glob_digest(pattern: str, known: KnownFiles, project: Path) -> str:
    matches = sorted(glob.glob(str(project / pattern), recursive=True))
    names = [match.removeprefix(f"{project}{os.sep}") for match in matches]
    return combine("glob", *(part for name in names for part in (name, _path_digest(name, known, project))))


def _file_digest(name: str, known: KnownFiles, project: Path) -> str:
    path = project / name
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return combine("no file")
    seen = known.get(name)
    stamp = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
    if seen is not None and seen[:4] == stamp and seen[4] - max(stamp[1], stamp[2]) > RACY_NS:
        return seen[5]
    hashed_at = time.time_ns()
    content = hash_file(path)
    if status.st_size > SMALL_FILE:
        known[name] = [*stamp, hashed_at, content]
    return content


def hash_file(path: str | Path) -> str:
    """BLAKE2b of a file's bytes.

    Raises:
        RunwayError: it cannot be read.
    """
    state = blake2b(digest_size=16)
    try:
        with open(path, "rb", buffering=0) as file:
            while chunk := file.read(1 << 20):
                state.update(chunk)
    except OSError as error:
        raise RunwayError(f"a file that a node depends on cannot be read: {error}", where=str(path)) from error
    return state.hexdigest()
