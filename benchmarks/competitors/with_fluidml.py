"""FluidML: one TaskSpec a node, run in one process; results as JSON in its LocalFileStore, or in memory."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from harness import Job, measure


def first(number: int, task: Any) -> None:
    task.save(number, "value", type_="json")


def add(value: int, number: int, task: Any) -> None:
    task.save(value + number, "value", type_="json")


def total(value: list, number: int, task: Any) -> None:
    task.save(sum(sweep.value for sweep in value) + number, "value", type_="json")


def prepare(job: Job) -> Callable[[], int]:
    from fluidml import Flow, TaskSpec
    from fluidml.storage import InMemoryStore, LocalFileStore

    logging.disable(logging.WARNING)

    def run() -> int:
        specs: list[TaskSpec] = []
        for node in range(job.nodes):
            parents = [specs[parent] for parent in job.inputs_of(node)]
            function = (first, add, total)[min(len(parents), 2)]
            spec = TaskSpec(function, config={"number": job.adds(node)}, name=f"n{node}", reduce=len(parents) > 1)
            if parents:
                spec.requires(parents)
            specs.append(spec)
        store = LocalFileStore(str(job.folder / "store")) if job.cached else InMemoryStore()
        flow = Flow(specs)
        results = flow.run(num_workers=1, results_store=store, return_results="latest", project_name="bench")
        return results[f"n{job.nodes - 1}"][0].results["value"]

    return run


if __name__ == "__main__":
    measure(prepare)
