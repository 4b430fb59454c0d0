"""What every competitor's script shares: its arguments, the two graphs, and the one line of JSON that it prints.

The graphs hold whole numbers, so that every system is compared on its own cost a node:

- chain: ``n0`` gives 0, ``n<i>`` adds 1 to ``n<i-1>``; the last gives ``nodes - 1``.
- wide: ``n0`` gives 0, each of the ``nodes - 2`` in the middle adds its own number to it, and the last
  adds up the middle.

A script measures one pass in its own new process; ``benchmarks/engine.py`` starts it, measures the whole
process from outside, and checks that the results agree.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Job:
    """What one process is to do.

    Attributes:
        shape: "chain" or "wide".
        nodes: How many nodes the graph has.
        cached: Whether outputs go to (and come from) the disk.
        folder: Where the system under test may write.
    """

    shape: str
    nodes: int
    cached: bool
    folder: Path

    def inputs_of(self, node: int) -> list[int]:
        """The numbers of the nodes that a node takes its input from."""
        if node == 0:
            return []
        if self.shape == "chain":
            return [node - 1]
        return [0] if node < self.nodes - 1 else list(range(1, self.nodes - 1))

    def adds(self, node: int) -> int:
        """What a node adds to the sum of its inputs."""
        if self.shape == "chain":
            return min(node, 1)
        return node if node < self.nodes - 1 else 0


def measure(prepare: Callable[[Job], Callable[[], int]]) -> None:
    """Run one job and print its timings as one line of JSON.

    Args:
        prepare: Imports the system and gives a function that builds the graph, runs it, and gives the last
            node's output. Only that function's time is "run_s"; the imports are in "import_s".
    """
    parser = argparse.ArgumentParser(description="One pass of one system over one graph.")
    parser.add_argument("--shape", choices=["chain", "wide"], required=True)
    parser.add_argument("--nodes", type=int, required=True)
    parser.add_argument("--cached", action="store_true")
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    job = Job(options.shape, options.nodes, options.cached, options.folder)

    started = time.perf_counter()
    run = prepare(job)
    imported = time.perf_counter()
    result = run()
    done = time.perf_counter()
    print(json.dumps({"result": result, "import_s": imported - started, "run_s": done - imported}))
