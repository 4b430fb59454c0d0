"""The keys of a pipeline's first nodes, here and in another process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

_ELSEWHERE = (
    "import json, sys; from runway.testing.keys import first_keys; config, *words = sys.argv[1:]; "
    "print('@' + json.dumps(first_keys(config, words)))"
)


def first_keys(config: str | Path, overrides: Iterable[str]) -> dict[str, str]:
    """{node: what is known of its key}, with nothing run: of nodes whose inputs are not there, what code and settings
    make of it."""
    from runway.pipeline import DataPipeline
    from runway.pipeline.keys.code import code_of
    from runway.pipeline.keys.fingerprint import combine, digest
    from runway.testing import _load

    loaded = _load(config, overrides)
    graph = DataPipeline(loaded["data_pipeline"], global_config=loaded, quiet=True, live=False).graph
    return {
        name: combine(code_of(graph.classes[name]).digest, digest(node.arguments, name))
        for name, node in graph.nodes.items()
    }


def keys_elsewhere(config: str | Path, overrides: Iterable[str]) -> dict[str, str]:
    """The same of a new process, with another seed of hashes."""
    command = [sys.executable, "-c", _ELSEWHERE, str(config), *overrides]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    line = next((line for line in done.stdout.splitlines() if line.startswith("@")), None)
    assert line is not None, f"the config cannot be opened in another process:\n{done.stderr}"
    return json.loads(line[1:])
