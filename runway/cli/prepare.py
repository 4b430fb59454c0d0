"""``runway prepare``: bring the data pipeline up to date."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from runway.cli.open_config import open_data_pipeline
from runway.log import human_seconds, info


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    started = time.perf_counter()
    opened = open_data_pipeline(arguments)
    with _audit() if getattr(arguments, "audit", False) else contextlib.nullcontext():
        ran = opened.pipeline.prepare(opened.nodes)
    seconds = human_seconds(time.perf_counter() - started)
    if arguments.json:
        sys.stdout.write(json.dumps({"ran": ran}) + "\n")
    info(f"data prepared: {len(ran) or 'no'} node{'' if len(ran) == 1 else 's'} ran, {seconds}")
    return 0


@contextlib.contextmanager
def _audit() -> Iterator[None]:
    """See everything that runs, and say in the end whether the keys knew it."""
    import tempfile

    from runway.pipeline.observed import AUDIT

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "audit.jsonl"
        os.environ[AUDIT] = str(file)
        try:
            yield
        finally:
            del os.environ[AUDIT]
            lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []
            ran = {tuple(place) for line in lines for place in line["ran"]}
            unknown = sorted({".".join(place) for line in lines for place in line["unknown"]})
            known = (
                f"not in a key, noted with the output: {', '.join(unknown)}" if unknown else "the keys knew them all"
            )
            info(f"audit: {len(lines)} nodes ran {len(ran)} functions and classes of the project; {known}")
