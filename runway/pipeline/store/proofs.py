"""Which large files have been held against their digests since this machine was started, and not been touched since.

To hash a payload of a gigabyte at each load would cost a second each time; never to hash it would serve what has rotted
on the disk. So it is hashed once, and a proof of that is remembered: a digest of the machine's boot, of the file's
identity (device, inode, size, and both times: the inode's cannot be set back) and of the digest that it had. A file
that was written to, replaced or swapped, another boot and another machine have other proofs, so a line in the memory
can be lost and can be old, but it cannot vouch for what it has not seen. The memory is a file in a folder of this
user's on this machine's own disk, not in the cache: that may be shared, or may only be read.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
from pathlib import Path

from runway.errors import StoreError
from runway.pipeline.keys.fingerprint import combine
from runway.pipeline.keys.tracked import RACY_NS

MEMORY = "hashed"
MOST_BYTES = 1 << 20
"""Of the memory: some 30,000 files. A full one begins anew."""


def proof_of(status: os.stat_result, digest: str) -> str | None:
    """What the file of this status has, once it is found to have this digest.

    None where it was changed so recently that a further change might not show in its times, or where the boot of the
    machine has no name: it is hashed again next time.
    """
    boot = _boot()
    if not boot or time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) <= RACY_NS:
        return None
    identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return combine(boot, repr(identity), digest)


def is_proven(proof: str | None) -> bool:
    """Whether it is remembered."""
    path = _memory()
    if proof is None or path is None:
        return False
    try:
        return f"{proof}\n".encode() in path.read_bytes()
    except OSError:
        return False


def remember(proof: str | None) -> None:
    """Remember a proof that was taken before the file was hashed."""
    path = _memory()
    if proof is None or path is None:
        return
    with contextlib.suppress(OSError):  # a full disk: the file is hashed again
        is_full = path.exists() and path.stat().st_size > MOST_BYTES
        with path.open("wb" if is_full else "ab") as file:
            file.write(f"{proof}\n".encode())


@functools.cache
def _boot() -> str:
    """The name of this boot of this machine; nothing where the system (it is not Linux) gives it none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


@functools.cache
def _memory() -> Path | None:
    from runway.snapshot import machine_folder

    try:
        return machine_folder() / MEMORY
    except StoreError:  # somebody else's, or no place for one
        return None
