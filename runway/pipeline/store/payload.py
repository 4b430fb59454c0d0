"""An entry in any folder, here or on its way to or from elsewhere: written, and held against its digests."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

from runway.disk import blake2b, stays_inside
from runway.pipeline.keys.code import code_behind
from runway.pipeline.keys.fingerprint import combine
from runway.pipeline.keys.tracked import hash_file
from runway.pipeline.store import formats
from runway.pipeline.store.base import INLINE, META, META_VERSION, NO_VALUE, Entry, Unsaveable
from runway.pipeline.store.proofs import is_proven, proof_of, remember
from runway.pipeline.store.records import seal

SMALL_FILE = 1 << 20
"""Bytes of a file up to which its digest is compared at each load."""
WHOLE = 256 << 20
"""Bytes of a payload up to which its large files are hashed whole, once for each start of the machine: about a second.
Of a larger one as many bytes are, in blocks."""
BLOCK = 1 << 20


def write_entry(folder: str, key: str, value: Any, meta: dict[str, Any], *, keep_value: bool) -> Entry:
    """Write payload and ``meta.json`` into an empty folder, as ``Store.commit`` says."""
    text = formats.small_text(value) if keep_value else None
    files: dict[str, tuple[int, int, str]] = {}
    if text is not None:
        name, content = INLINE, combine(INLINE, text)
        meta = {**meta, "value": text}
    elif keep_value:
        name, carried = formats.save(value, Path(folder))
        files = _list_files(folder)
        content = combine(name, *(part for file, facts in files.items() for part in (file, facts[2])))
        if name == formats.OBJECT and hasattr(value, "content_digest"):  # a reference: it counts by what it refers to
            content = combine(name, value.content_digest())
        if carried:  # the bytes name the project's classes: what these do counts for whoever uses the value
            content = combine(content, code_behind(carried).digest)
    else:
        name, content = NO_VALUE, key
    facts = {"version": META_VERSION, "key": key, "format": name, "content": content, "files": files}
    samples = _keep_samples(folder, files)
    entry = Entry(key, {**facts, **({"samples": samples} if samples else {}), "created": time.time(), **meta})
    Path(folder, META).write_bytes(seal(entry.meta))
    return entry


def _keep_samples(folder: str, files: dict[str, tuple[int, int, str]]) -> dict[str, str]:
    """{name: digest of blocks} of the large files of a payload that is not hashed whole at a load.

    These are synced, too: whatever else a crash of the machine tears is seen, as it is hashed after the next start.
    """
    total = sum(size for size, _, _ in files.values())
    if total <= WHOLE:
        return {}
    large = {name: facts for name, facts in files.items() if facts[0] > SMALL_FILE}
    for name in large:
        with open(f"{folder}/{name}", "rb") as file:
            os.fsync(file.fileno())
    return {name: _sample(f"{folder}/{name}", size, digest, total) for name, (size, _, digest) in large.items()}


def _list_files(folder: str) -> dict[str, tuple[int, int, str]]:
    """{relative name: (size, mtime_ns, digest)}, sorted."""
    found = {}
    waiting = [""]
    while waiting:
        inner = waiting.pop()
        with os.scandir(f"{folder}/{inner}") as entries:
            for entry in entries:
                name = f"{inner}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{name}/")
                    continue
                if not stays_inside(name):
                    raise Unsaveable(f"the output was saved in a file named {name!r}, which not every system can keep")
                status = entry.stat()
                found[name] = (status.st_size, status.st_mtime_ns, hash_file(entry.path))
    return dict(sorted(found.items()))


def missing(folder: str, meta: dict[str, Any]) -> str | None:
    """What is wrong with the sizes of an entry's files, if anything."""
    for name, (size, _, _) in meta["files"].items():
        try:
            found = os.stat(f"{folder}/{name}").st_size
        except (FileNotFoundError, NotADirectoryError):
            return f"the file {name} is missing"
        if found != size:
            return f"the file {name} has {found} bytes instead of {size}"
    return None


def altered(folder: str, meta: dict[str, Any], *, thorough: bool = False) -> str | None:
    """What differs from its digest, if anything, or does not belong there.

    Small files are hashed each time. Large ones are, unless they were since the machine was started and nobody has
    touched them since; of those that would take longer than a second, blocks from all over the file are.

    Args:
        folder: where the entry lies.
        meta: what its ``meta.json`` says.
        thorough: hash everything, whatever is remembered.
    """
    if meta["format"] == INLINE and combine(INLINE, meta["value"]) != meta["content"]:
        return "its value has changed since it was written"
    samples = meta.get("samples") or {}
    total = sum(size for size, _, _ in meta["files"].values())
    for name, (size, _, recorded) in meta["files"].items():
        file = f"{folder}/{name}"
        proof = None
        if not thorough and size > SMALL_FILE:
            proof = proof_of(os.stat(file), recorded)  # before it is read: a change meanwhile is seen next time
            if is_proven(proof):
                continue
        if name in samples and size > SMALL_FILE and not thorough:
            is_sound = _sample(file, size, recorded, total) == samples[name]
        else:
            is_sound = hash_file(file) == recorded
        if not is_sound:
            return f"the content of {name} has changed since it was written"
        remember(proof)
    foreign = _list_names(folder) - meta["files"].keys() - {META}
    shown = sorted(name for name in foreign if not name.rpartition("/")[2].startswith("."))  # .nfs…, .DS_Store
    return f"the file {shown[0]} is none of its own" if shown else None


def _sample(file: str, size: int, digest: str, total: int) -> str:
    """The digest of blocks of a large file: the first, the last, and one somewhere in each stretch between them.

    Args:
        file: the file.
        size: its size.
        digest: of all of it; by this the places are drawn, the same ones at each look.
        total: the size of the payload: each of its files has its part of the WHOLE bytes.
    """
    blocks = max(2, WHOLE // BLOCK * size // total)
    stretch = (size - BLOCK) // (blocks - 1)
    draw = random.Random(digest)  # noqa: S311 (the same blocks each time)
    starts = [index * stretch + draw.randrange(max(1, stretch - BLOCK)) for index in range(1, blocks - 1)]
    state = blake2b(digest_size=16)
    with open(file, "rb", buffering=0) as opened:
        for start in (0, *starts, size - BLOCK):
            state.update(os.pread(opened.fileno(), BLOCK, start))
    return state.hexdigest()


def _list_names(folder: str) -> set[str]:
    """The names of all files below a folder."""
    return {
        os.path.relpath(os.path.join(above, name), folder).replace(os.sep, "/")
        for above, _, names in os.walk(folder)
        for name in names
    }
