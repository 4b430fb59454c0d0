"""Looking after the cache: list its entries, make room, check them all."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from runway.disk import replace_text
from runway.pipeline.store.local import JOURNAL, META, Entry, Store

LEFTOVER_AGE = 24 * 3600


def entries(store: Store) -> Iterator[Entry]:
    """Every entry, in the order of keys."""
    for place in sorted(store.root.glob("[0-9a-f][0-9a-f]/[0-9a-f]*")):
        if place.is_dir() and (entry := store.find(place.name)) is not None:
            yield entry


def evict(entry: Entry) -> int:
    """Delete an entry's payload; gives the bytes that it freed.

    ``meta.json`` stays: it knows the output's digest, so what was computed from it stays cached.
    """
    freed = entry.bytes
    replace_text(entry.path / META, json.dumps({**entry.meta, "evicted": True}, separators=(",", ":")))
    for item in entry.path.iterdir():
        if item.name == META:
            continue
        if item.is_dir():
            shutil.rmtree(item, ignore_errors=True)
        else:
            item.unlink(missing_ok=True)
    return freed


def choose(found: list[Entry], *, older_than_days: float | None, max_bytes: int | None) -> list[Entry]:
    """The entries that have to go: the old ones, then the oldest until the rest fits."""
    now = time.time()
    held = sorted((entry for entry in found if entry.has_value), key=lambda entry: entry.meta["created"])
    going = []
    if older_than_days is not None:
        going = [entry for entry in held if now - entry.meta["created"] > older_than_days * 86400]
    if max_bytes is not None:
        left = sum(entry.bytes for entry in held) - sum(entry.bytes for entry in going)
        for entry in held[len(going) :]:
            if left <= max_bytes:
                break
            going.append(entry)
            left -= entry.bytes
    return going


def leftovers(store: Store) -> Iterator[Path]:
    """What killed runs and damaged entries left, once it is a day old: nobody is writing it any more."""
    for place in store.root.glob("[0-9a-f][0-9a-f]/.*"):
        if time.time() - place.stat().st_mtime > LEFTOVER_AGE:
            yield place


def remove(place: Path) -> None:
    """Delete a leftover, file or folder."""
    if place.is_dir():
        shutil.rmtree(place, ignore_errors=True)
    else:
        place.unlink(missing_ok=True)


def shorten_journal(store: Store) -> None:
    """Keep the last line of each node: the others explain nothing any more."""
    keys = store.last_keys()
    if keys:
        lines = (json.dumps({"node": node, "key": key}) for node, key in keys.items())
        replace_text(store.root / JOURNAL, "".join(line + "\n" for line in lines))


def verify(store: Store) -> tuple[int, list[Entry]]:
    """Read every payload and compare digests; damaged entries are set aside. Gives (how many, the damaged)."""
    count, damaged = 0, []
    for entry in entries(store):
        if entry.is_receipt:
            continue
        count += 1
        if entry.has_value and not (store.is_whole(entry) and store.is_intact(entry, thorough=True)):
            damaged.append(entry)
    return count, damaged
