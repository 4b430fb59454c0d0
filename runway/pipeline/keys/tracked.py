"""The state of what a node read on the way: values of the config, files, flags, each as a digest.

Large files are hashed once: their size, times and inode stand for the content as long as they stay the same and
were not written within the clock's granularity (git's "racy" rule).
"""

from __future__ import annotations

import glob
import os
import stat
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from runway.config.reads import NAMES, Reads, names_in
from runway.disk import blake2b
from runway.errors import RunwayError
from runway.pipeline.keys.config_answers import config_state
from runway.pipeline.keys.fingerprint import combine, digest
from runway.pipeline.keys.origin import executors_count
from runway.pipeline.keys.unloaded import texts_behind
from runway.user_code import code_of, placed
from runway.walk import files_in, matches

SMALL_FILE = 256 * 1024
RACY_NS = 2_000_000_000

ReadSet = dict[str, list]
"""What was read, without values.

{"config": [[question, path], …], "files": [[kind, name], …], "flags": [name, …], "code": [[module, name], …]}.
"""

KnownFiles = dict[str, list]
"""{path: [size, mtime_ns, ctime_ns, inode, hashed_at_ns, digest]}."""


def read_set(reads: Reads, project: Path) -> ReadSet:
    """The names of what was read, sorted, ready for JSON; of files in the project relative to it, as it may move."""
    relative = ([kind, _relative(kind, name, project)] for kind, name in reads.files)
    return {
        "config": sorted(([question, list(path)] for path, question in reads.config.items()), key=str),
        "files": sorted(relative),
        "flags": sorted(reads.flags),
        "code": sorted([module, name] for module, name in reads.code),
    }


def _relative(kind: str, name: str, project: Path) -> str:
    for place in (code_of(project), project):  # a snapshot of the code may lie inside the project
        folder = f"{glob.escape(str(place)) if kind == 'glob' else place}{os.sep}"
        if name.startswith(folder):
            return name.removeprefix(folder)
    return name


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
    for question, path in names["config"]:
        name, state = config_state(question, tuple(path), config)
        found[name] = state
    for kind, name in names["files"]:
        digest_of = {"glob": _glob_digest, "folder": _folder_digest, NAMES: _names_digest}.get(kind, _path_digest)
        found[f"{kind} {name}"] = digest_of(name, known, project)
    for module, name in names.get("code", ()):  # by its text, as it may not be loaded when this is asked
        found[f"code: {module}.{name}"] = digest(code_texts(module, name))
    for flag in names["flags"]:
        found[f"flag {flag}"] = digest(flags.get(flag))
    return found


def code_texts(module: str, name: str) -> dict[str, str]:
    """{``text of module.name``: digest} of a top-level name (``*``: of a module) and all that its text reaches.

    Of runway's executors too, where it is one of them.
    """
    with executors_count() if module.startswith("runway.executors.") else nullcontext():
        return texts_behind(module, () if name == "*" else (name,))


def path_digest(path: Path) -> str:
    """The digest of a file, or of a folder with all in it: of names and content, not of where it stands."""
    return _path_digest(str(path), {}, Path())


def _path_digest(name: str, known: KnownFiles, project: Path, *, hidden: bool = True) -> str:
    """The content of a file, of a folder with all in it (without a cache, say), or the fact that it is not there."""
    path = placed(project, name)
    if path.is_dir():
        inside = files_in(path, hidden=hidden)
        facts = ((item, _file_digest(f"{name}/{item}", known, project)) for item in inside)
        return combine("folder", *(part for pair in facts for part in pair))
    return _file_digest(name, known, project)


def _folder_digest(name: str, known: KnownFiles, project: Path) -> str:
    """The content of what is not hidden in a folder."""
    return _path_digest(name, known, project, hidden=False)


def _glob_digest(pattern: str, known: KnownFiles, project: Path) -> str:
    names = matches(pattern, code_of(project) if Path(pattern).parts[:1] == ("src",) else project)
    return combine("glob", *(part for name in names for part in (name, _path_digest(name, known, project))))


def _names_digest(folder: str, known: KnownFiles, project: Path) -> str:
    return digest(names_in(str(placed(project, folder))))


def _file_digest(name: str, known: KnownFiles, project: Path) -> str:
    path = placed(project, name)
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return combine("no file")
    seen = known.get(name)
    if not stat.S_ISREG(status.st_mode):  # a pipe or a device, which has no end; an index of others may name one
        return combine("no regular file")
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
