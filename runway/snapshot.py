"""A project's code and configs as one archive named by its content: what workers and jobs on other machines run.

In a git repository it holds the tracked files and the new ones that are not ignored, as they stand on disk; elsewhere
all but hidden files, caches, runs and environments. Data does not belong into it: files over a limit are left out, and
named in a warning. The same files give the same archive, wherever the project stands and whoever owns them.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from runway.disk import scratch_name, stays_inside
from runway.errors import StoreError
from runway.log import human_bytes, warning
from runway.walk import is_cache

MOST_OF_A_FILE = 5 * 1024**2
"""Bytes over which a file is taken for data."""
MOST_IN_ALL = 16 * 1024**2
"""Bytes over which the largest files that are not code by their names are left out, too."""
CODE = (".py", ".pyi", ".jsonnet", ".libsonnet", ".toml", ".yaml", ".yml", ".cfg", ".ini", ".sh")
_RUNS = ("experiments", "wandb", "lightning_logs", "node_modules")
_MARKS_OF_ENVIRONMENTS = ("pyvenv.cfg", "conda-meta")
_SHOWN = 5


class Snapshot(NamedTuple):
    """What ``take_snapshot`` gives.

    Attributes:
        digest: SHA-256 of what is in it: the name, the mode and the content of each file.
        archive: a tar file, ``<digest>.tar``.
        left_out: {name of a file that is not in it: why}.
    """

    digest: str
    archive: Path
    left_out: dict[str, str]


def take_snapshot(project: Path, folder: Path | None = None) -> Snapshot:
    """Put a project's code and configs into an archive. What cannot go in is named in a warning.

    Args:
        project: the project's folder.
        folder: where the archive goes; by default a temporary folder, which goes when the process ends.

    Raises:
        StoreError: there is no such project, or the archive cannot be written.
    """
    project = project.resolve()
    if not project.is_dir():
        raise StoreError("there is no project to take a snapshot of", where=str(project))
    folder = folder or _temporary_folder()
    names, left_out = _choose(project)
    temporary = Path(scratch_name(folder / "snapshot.tar"))
    listing = _Listing()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as archive:
            for name in sorted(names):
                _add(archive, project, name, listing, left_out)
        target = folder / f"{listing.digest()}.tar"
        os.replace(temporary, target)
    except OSError as error:
        raise StoreError(f"the snapshot of the project cannot be written: {error}", where=str(folder)) from error
    finally:
        temporary.unlink(missing_ok=True)
    if left_out:
        shown = [f"{name} ({why})" for name, why in list(left_out.items())[:_SHOWN]]
        more = f" and {len(left_out) - _SHOWN} more" if len(left_out) > _SHOWN else ""
        warning(f"not in the snapshot of {project}: {', '.join(shown)}{more}", once=True)
    return Snapshot(listing.digest(), target, left_out)


def unpack_snapshot(digest: str, archive: Path, parent: Path) -> Path:
    """Unpack an archive into ``parent/<digest>``, once: who comes second finds it there whole.

    Args:
        digest: what it must hold.
        archive: as ``take_snapshot`` made it; it is not trusted.
        parent: the folder of all that are unpacked.

    Raises:
        StoreError: it holds something else, or what could be written elsewhere; or it cannot be written.
    """
    target = parent / digest
    if target.is_dir():
        return target
    temporary = Path(scratch_name(target))
    try:
        temporary.mkdir(parents=True)
        found = _extract(archive, temporary)
        if found != digest:
            raise StoreError(
                f"the snapshot {digest[:12]} holds something else than what its name says", where=str(archive)
            )
        with contextlib.suppress(OSError):  # another process was faster
            os.rename(temporary, target)
        if not target.is_dir():
            raise StoreError("the snapshot cannot be put in its place", where=str(target))
    except (OSError, tarfile.TarError) as error:
        raise StoreError(f"the snapshot {digest[:12]} cannot be unpacked: {error}", where=str(archive)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def machine_folder() -> Path:
    """A folder of this user's on this machine, for what many processes unpack there once.

    Raises:
        StoreError: it belongs to somebody else, or cannot be made.
    """
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"runway-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise StoreError(f"a folder for snapshots cannot be made: {error}", where=str(folder)) from error
    if not stat.S_ISDIR(status.st_mode) or (hasattr(os, "getuid") and status.st_uid != user):
        raise StoreError("this folder is somebody else's", where=str(folder), hint="set TMPDIR to a folder of yours")
    return folder


# --- what belongs into it


def _choose(project: Path) -> tuple[list[str], dict[str, str]]:
    """The names that go in, and {name: why} of those that do not."""
    left_out: dict[str, str] = {}
    sizes: dict[str, int] = {}
    for name in _names(project):
        try:
            status = os.lstat(project / name)
        except (FileNotFoundError, NotADirectoryError):
            continue  # deleted, and git has not been told
        if stat.S_ISLNK(status.st_mode):
            if _target_inside(project, name) is None:
                left_out[name] = "a link out of the project"
            else:
                sizes[name] = 0
        elif stat.S_ISDIR(status.st_mode):
            left_out[name] = "a submodule that is not checked out: `git submodule update --init`"
        elif not stat.S_ISREG(status.st_mode):
            left_out[name] = "no file"
        elif status.st_size > MOST_OF_A_FILE:
            left_out[name] = human_bytes(status.st_size)
        else:
            sizes[name] = status.st_size
    total = sum(sizes.values())
    for name in sorted((name for name in sizes if not name.endswith(CODE)), key=lambda name: (-sizes[name], name)):
        if total <= MOST_IN_ALL:
            break
        total -= sizes[name]
        left_out[name] = f"{human_bytes(sizes.pop(name))}, and all together are over {human_bytes(MOST_IN_ALL)}"
    return list(sizes), left_out


def _names(project: Path) -> Iterable[str]:
    """The files of a project that are its own, relative to it: what git says, or what is in the folder."""
    names = _git_names(project)
    return names if names else _walk(project)


def _git_names(project: Path) -> set[str]:
    """What git tracks or would track, in the repositories below it too; nothing where there is no git."""
    found: set[str] = set()
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        folder = project / inside
        tracked = _git_list(folder, "--cached")
        new = [name for name in _git_list(folder, "--others", "--exclude-standard") if _is_own(folder, name)]
        for name in (*tracked, *new):
            path = f"{inside}{name}"
            if name.rstrip("/") == ".":  # what git says inside of a submodule that is not checked out
                found.add(inside.rstrip("/"))
            elif os.path.isdir(project / path) and not os.path.islink(project / path):  # a repository of its own
                waiting.append(path.rstrip("/") + "/")
            else:
                found.add(path)
    return found


def _git_list(folder: Path, *options: str) -> list[str]:
    command = ["git", "-C", str(folder), "ls-files", "-z", *options]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=120)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [os.fsdecode(name) for name in done.stdout.split(b"\0") if name] if done.returncode == 0 else []


def _is_own(folder: Path, name: str) -> bool:
    """Whether a file that git does not know belongs to the project: nothing hidden, no cache, run or environment."""
    parts = name.rstrip("/").split("/")
    if any(part.startswith(".") for part in parts):
        return False
    return not any(_is_left_out(folder, "/".join(parts[:depth])) for depth in range(1, len(parts)))


@functools.lru_cache(maxsize=4096)
def _is_left_out(root: Path, name: str) -> bool:
    """Whether a folder is no part of the project's code."""
    folder = root / name
    base = folder.name
    if base.startswith(".") or base == "__pycache__" or (base in _RUNS and "/" not in name):
        return True
    return is_cache(folder) or any((folder / mark).exists() for mark in _MARKS_OF_ENVIRONMENTS)


def _walk(project: Path) -> Iterator[str]:
    _is_left_out.cache_clear()  # a folder may have become a cache
    for folder, folders, files in os.walk(project):
        inside = os.path.relpath(folder, project)
        prefix = "" if inside == "." else f"{inside}/"
        links = [name for name in folders if os.path.islink(f"{folder}/{name}")]
        folders[:] = [name for name in folders if name not in links and not _is_left_out(project, f"{prefix}{name}")]
        yield from (f"{prefix}{name}" for name in (*files, *links) if not name.startswith("."))


def _target_inside(project: Path, name: str) -> str | None:
    """What a link in the project leads to, relative to where it stands; None outside of the project, or to nothing."""
    target = os.path.realpath(project / name)
    if not target.startswith(f"{project}{os.sep}") or not os.path.exists(target):
        return None
    return os.path.relpath(target, os.path.realpath((project / name).parent))


@functools.cache
def _temporary_folder() -> Path:
    import atexit

    folder = tempfile.mkdtemp(prefix="runway-snapshot-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


# --- the archive


class _Listing:
    """What an archive holds, as a digest; the lines come in the order of names."""

    def __init__(self) -> None:
        self._state = hashlib.sha256(b"runway snapshot 1\n")

    def add(self, name: str, kind: str, content: bytes) -> None:
        """One file (kind: its mode), or one link (its target is the content)."""
        line = f"{kind} {hashlib.sha256(content).hexdigest()} {len(content)} "
        self._state.update(line.encode() + os.fsencode(name) + b"\0")

    def digest(self) -> str:
        """The digest of all so far."""
        return self._state.hexdigest()


def _add(archive: tarfile.TarFile, project: Path, name: str, listing: _Listing, left_out: dict[str, str]) -> None:
    path = project / name
    item = tarfile.TarInfo(name)
    try:
        if path.is_symlink():
            item.type, item.linkname = tarfile.SYMTYPE, _target_inside(project, name) or "."
            listing.add(name, "link", os.fsencode(item.linkname))
            archive.addfile(item)
            return
        executable = bool(path.stat().st_mode & stat.S_IXUSR)
        content = path.read_bytes()
    except FileNotFoundError:
        return  # it went meanwhile
    except OSError as error:
        left_out[name] = f"it cannot be read: {error.strerror}"
        return
    item.mode = 0o755 if executable else 0o644
    item.size = len(content)
    listing.add(name, f"{item.mode:o}", content)
    archive.addfile(item, io.BytesIO(content))


def _extract(archive: Path, folder: Path) -> str:
    """Write what is in an archive into an empty folder; gives its digest. Links come last: nothing goes through one."""
    listing = _Listing()
    links: dict[str, str] = {}
    with tarfile.open(archive, "r:") as opened:
        for item in opened:
            name = item.name
            ours = item.isreg() or (item.issym() and _leads_inside(name, item.linkname))
            if not (ours and stays_inside(name)) or item.size > MOST_OF_A_FILE:
                raise StoreError(f"the snapshot holds {name!r}, which no snapshot of ours does", where=str(archive))
            if item.issym():
                listing.add(name, "link", os.fsencode(item.linkname))
                links[name] = item.linkname
                continue
            file = opened.extractfile(item)
            assert file is not None
            content = file.read()
            listing.add(name, f"{item.mode:o}", content)
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(0o755 if item.mode & stat.S_IXUSR else 0o644)
    for name, target in links.items():
        if any(str(parent) in links for parent in Path(name).parents):
            raise StoreError(f"the snapshot holds {name!r}, which lies behind a link", where=str(archive))
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(target)
    return listing.digest()


def _leads_inside(name: str, target: str) -> bool:
    """Whether a link leads up first and then down, as ours do, and not out of the snapshot."""
    parts = target.split("/")
    down = [part for part in parts if part != ".."]
    up = len(parts) - len(down)
    return not target.startswith("/") and ".." not in parts[up:] and up <= name.count("/")
