"""Takes files out of a zip archive that is not trusted: names that stay inside, and no more than its size warrants."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path, PurePosixPath

from runway.disk import room_in, stays_inside
from runway.errors import AssetError, did_you_mean
from runway.log import human_bytes

MOST_FILES = 1_000_000
MOST_RATIO, RATIO_FROM = 200, 100 << 20
"""What unfolds to more than RATIO_FROM bytes and MOST_RATIO times the archive's size is a bomb; text comes to 3 to 20,
and deflate to 1,032 at the most."""
_WAY_OUT = "unpack it yourself where you trust it, and give the path of the file or folder"


def extract(archive: Path, inside: str, target: Path, where: str) -> Path:
    """Take the file or folder ``inside`` (everything where it is empty) out of a zip.

    Args:
        archive: the file.
        inside: the path of a member, or of a folder of members.
        target: an empty folder.
        where: what the archive is, for errors.

    Returns:
        The path of what was asked for, in ``target``.

    Raises:
        AssetError: it has no such member; it is damaged or packed in a way that is not known; a name leads outside;
            it would unfold to more than the disk has room for, or than an honest archive does.
        OSError: the disk.
    """
    wanted_path = PurePosixPath(inside.strip("/"))
    if wanted_path.parts and not stays_inside(str(wanted_path)):
        raise _leaves(inside, where)
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _members(opened, archive, where)
            wanted = {
                path: member for path, member in members.items() if path == wanted_path or wanted_path in path.parents
            }
            if not wanted:
                folders = {str(parent) for path in members for parent in path.parents} - {"."}
                raise AssetError(
                    f"there is no {inside!r} inside {archive.name}",
                    where=where,
                    hint=did_you_mean(inside, [*map(str, members), *folders], listing=12),
                )
            _check_sizes(archive, list(wanted.values()), target, where)
            for path, member in wanted.items():
                place = target / path
                place.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(member) as packed, place.open("xb") as file:  # of a link: its text, as a file
                    shutil.copyfileobj(packed, file, 1 << 20)
    except (AssetError, OSError):
        raise
    except Exception as error:  # zipfile raises what zlib, struct, lzma and codecs do; encrypted, unknown method
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        message = f"{archive.name} is not a whole zip archive that can be read: {reason}"
        raise AssetError(message, where=where) from error
    return target / wanted_path


def _members(opened: zipfile.ZipFile, archive: Path, where: str) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """The files in an archive by their paths, all of which stay inside."""
    found: dict[PurePosixPath, zipfile.ZipInfo] = {}
    for member in opened.infolist():
        if not stays_inside(member.filename):
            raise _leaves(member.filename, where)
        path = PurePosixPath(member.filename)
        if path in found:
            message = f"{archive.name} has two members {str(path)!r}: which is meant?"
            raise AssetError(message, where=where, hint=_WAY_OUT)
        if not member.is_dir():
            found[path] = member
    return found


def _leaves(name: str, where: str) -> AssetError:
    return AssetError(f"the path {name!r} leaves the folder that it is extracted into", where=where)


def _check_sizes(archive: Path, members: list[zipfile.ZipInfo], target: Path, where: str) -> None:
    """What a zip says of its members' sizes; zipfile gives no more of each than that."""
    total, packed = sum(member.file_size for member in members), archive.stat().st_size
    if len(members) > MOST_FILES:
        message = f"{archive.name} holds {len(members):,} files, more than {MOST_FILES:,}"
        raise AssetError(message, where=where, hint=_WAY_OUT)
    if total > RATIO_FROM and total > MOST_RATIO * packed:
        message = f"{archive.name} would unfold from {human_bytes(packed)} to {human_bytes(total)}, as a bomb does"
        raise AssetError(message, where=where, hint=_WAY_OUT)
    if total > (room := room_in(target)):
        has = f"the disk has room for {human_bytes(max(room, 0))}"
        message = f"{archive.name} unfolds to {human_bytes(total)}, but {has}"
        raise AssetError(message, where=where, hint="make room, or set meta.default_cache_dir to a larger disk")
