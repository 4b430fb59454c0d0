"""``runway cache ls|gc|verify``."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from runway.errors import ConfigError, StoreError
from runway.log import human_bytes, human_seconds, table
from runway.pipeline.store import is_url, open_store

if TYPE_CHECKING:
    from runway.pipeline.store.base import Entry, Store

UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    if not is_url(arguments.folder) and not Path(arguments.folder).is_dir():
        hint = "name its folder or URL: runway cache ls FOLDER"
        raise StoreError("there is no cache", where=arguments.folder, hint=hint)
    store = open_store(arguments.folder, project=Path())
    return {"ls": _list, "gc": _collect, "verify": _verify}[arguments.action](store, arguments)


def _list(store: Store, arguments: argparse.Namespace) -> int:
    found = [entry for entry in store.entries() if not entry.is_receipt]
    if arguments.json:
        facts = [{**entry.meta, "path": store.location(entry.key)} for entry in found]
        sys.stdout.write(json.dumps(facts, indent=2) + "\n")
        return 0
    rows = []
    for entry in sorted(found, key=lambda entry: -entry.meta["created"]):
        age = human_seconds(time.time() - entry.meta["created"])
        size = "evicted" if not entry.has_value else human_bytes(entry.bytes)
        took = human_seconds(entry.meta["seconds"])
        rows.append([entry.meta["node"], entry.meta["parts"]["transform"], size, took, age, entry.key[:12]])
    table("", ["node", "transform", "size", "took", "age", "key"], rows)
    total = sum(entry.bytes for entry in found if entry.has_value)
    sys.stdout.write(f"{len(found)} entries, {human_bytes(total)}\n")
    return 0


def _collect(store: Store, arguments: argparse.Namespace) -> int:
    limit = _parse_size(arguments.max_size) if arguments.max_size else None
    going = _choose(store.entries(), older_than_days=arguments.older_than, max_bytes=limit)
    freed = sum(entry.bytes for entry in going)
    for entry in () if arguments.dry_run else going:
        store.evict(entry)
    leftovers = store.sweep(dry_run=arguments.dry_run)
    verb = "would free" if arguments.dry_run else "freed"
    if arguments.json:
        sys.stdout.write(json.dumps({"evicted": [entry.key for entry in going], "bytes": freed}) + "\n")
    else:
        sys.stdout.write(f"{verb} {human_bytes(freed)}: {len(going)} entries, {leftovers} leftovers of killed runs\n")
        if limit is None and arguments.older_than is None:
            sys.stdout.write("to delete entries, say which: --older-than DAYS or --max-size SIZE\n")
    return 0


def _choose(entries: list[Entry], *, older_than_days: float | None, max_bytes: int | None) -> list[Entry]:
    """The entries that have to go: the old ones, then the oldest until the rest fits."""
    held = sorted((entry for entry in entries if entry.has_value), key=lambda entry: entry.meta["created"])
    left = sum(entry.bytes for entry in held)
    going = []
    for entry in held:
        is_old = older_than_days is not None and time.time() - entry.meta["created"] > older_than_days * 86400
        if not is_old and (max_bytes is None or left <= max_bytes):
            break
        going.append(entry)
        left -= entry.bytes
    return going


def _verify(store: Store, arguments: argparse.Namespace) -> int:
    records = store.check_records()  # first: what is damaged of them is not among the entries any more
    found = [entry for entry in store.entries() if not entry.is_receipt]
    damaged = [entry.key for entry in found if entry.has_value and not store.verify(entry)] + records
    if arguments.json:
        sys.stdout.write(json.dumps({"entries": len(found), "damaged": damaged}) + "\n")
    else:
        sys.stdout.write(f"{len(found)} entries, {len(damaged)} damaged\n")
    return 1 if damaged else 0


def _parse_size(text: str) -> int:
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?b?)\s*", text, re.IGNORECASE)
    unit = match.group(2).upper() if match else ""
    unit = unit if unit.endswith("B") or not unit else unit + "B"
    if match is None or unit not in UNITS:
        raise ConfigError(f"`--max-size` must be a size as 500MB or 10GB, but is {text!r} instead")
    return int(float(match.group(1)) * UNITS[unit])
