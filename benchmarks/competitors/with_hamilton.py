"""Hamilton (sf-hamilton): one function a node in a module of its own, as its users write it; its caching adapter."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable

from harness import Job, measure


def write_module(job: Job) -> str:
    """The module of the graph: written once, then imported by every later process."""
    name = f"dataflow_{job.shape}_{job.nodes}"
    path = job.folder / f"{name}.py"
    if not path.exists():
        lines = []
        for node in range(job.nodes):
            parents = [f"n{parent}" for parent in job.inputs_of(node)]
            arguments = ", ".join(f"{parent}: int" for parent in parents)
            total = " + ".join([*parents, str(job.adds(node))])
            lines.append(f"def n{node}({arguments}) -> int:\n    return {total}\n")
        path.write_text("\n\n".join(lines), encoding="utf-8")
    return name


def prepare(job: Job) -> Callable[[], int]:
    from hamilton import driver

    sys.path.insert(0, str(job.folder))
    name = write_module(job)

    def run() -> int:
        builder = driver.Builder().with_modules(importlib.import_module(name))
        if job.cached:
            builder = builder.with_cache(path=job.folder / "cache")
        last = f"n{job.nodes - 1}"
        return builder.build().execute([last])[last]

    return run


if __name__ == "__main__":
    measure(prepare)
