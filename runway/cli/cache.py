"""``runway cache ls|gc|verify``."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from pathlib import Path

from runway.errors import ConfigError, StoreError
from runway.log import human_bytes, human_seconds, table
from runway.pipeline.store import housekeeping
from runway.pipeline.store.local import Store

UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    root = Path(arguments.folder)
    if not root.is_dir():
        raise StoreError("there is no cache", where=str(root), hint="name its folder: runway cache ls FOLDER")
    store = Store(root)
    return {"ls": _list, "gc": _collect, "verify": _verify}[arguments.action](store, arguments)


def _list(store: Store, arguments: argparse.Namespace) -> int:
    found = [entry for entry in housekeeping.entries(store) if not entry.is_receipt]
    rows = []
    for entry in sorted(found, key=lambda entry: -entry.meta["created"]):
        age = human_seconds(time.time() - entry.meta["created"])
        size = "evicted" if not entry.has_value else human_bytes(entry.bytes)
        took = human_seconds(entry.meta["seconds"])
        rows.append([entry.meta["node"], entry.meta["parts"]["transform"], size, took, age, entry.key[:12]])
    if arguments.json:
        sys.stdout.write(json.dumps([{**entry.meta, "path": str(entry.path)} for entry in found], indent=2) + "\n")
        return 0
    table("", ["node", "transform", "size", "took", "age", "key"], rows)
    total = sum(entry.bytes for entry in found if entry.has_value)
    sys.stdout.write(f"{len(found)} entries, {human_bytes(total)}\n")
    return 0


def _collect(store: Store, arguments: argparse.Namespace) -> int:
    limit = _parse_size(arguments.max_size) if arguments.max_size else None
    found = list(housekeeping.entries(store))
    going = housekeeping.choose(found, older_than_days=arguments.older_than, max_bytes=limit)
    litter = list(housekeeping.leftovers(store))
    freed = sum(entry.bytes for entry in going)
    if not arguments.dry_run:
        for entry in going:
            housekeeping.evict(entry)
        for place in litter:
            housekeeping.remove(place)
        housekeeping.shorten_journal(store)
    verb = "would free" if arguments.dry_run else "freed"
    if arguments.json:
        sys.stdout.write(json.dumps({"evicted": [entry.key for entry in going], "bytes": freed}) + "\n")
    else:
        sys.stdout.write(f"{verb} {human_bytes(freed)}: {len(going)} entries, {len(litter)} leftovers of killed runs\n")
        if limit is None and arguments.older_than is None:
            sys.stdout.write("to delete entries, say which: --older-than DAYS or --max-size SIZE\n")
    return 0


def _verify(store: Store, arguments: argparse.Namespace) -> int:
    count, damaged = housekeeping.verify(store)
    if arguments.json:
        sys.stdout.write(json.dumps({"entries": count, "damaged": [entry.key for entry in damaged]}) + "\n")
    else:
        sys.stdout.write(f"{count} entries, {len(damaged)} damaged\n")
    return 1 if damaged else 0


def _parse_size(text: str) -> int:
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?b?)\s*", text, re.IGNORECASE)
    unit = match.group(2).upper() if match else ""
    unit = unit if unit.endswith("B") or not unit else unit + "B"
    if match is None or unit not in UNITS:
        raise ConfigError(f"`--max-size` must be a size as 500MB or 10GB, but is {text!r} instead")
    return int(float(match.group(1)) * UNITS[unit])
