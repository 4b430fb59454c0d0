"""AI2 Tango: one Step a node; a LocalWorkspace with JSON results where it caches, a MemoryWorkspace otherwise."""

from __future__ import annotations

import logging
from collections.abc import Callable

from harness import Job, measure


def prepare(job: Job) -> Callable[[], int]:
    from tango import Step, StepGraph
    from tango.common.logging import initialize_logging
    from tango.executor import Executor
    from tango.format import JsonFormat
    from tango.workspaces import LocalWorkspace, MemoryWorkspace

    initialize_logging(log_level="error", enable_cli_logs=False)
    logging.disable(logging.WARNING)

    class Add(Step):
        DETERMINISTIC = True
        CACHEABLE = job.cached
        FORMAT = JsonFormat()

        def run(self, values: list[int], number: int) -> int:
            return sum(values) + number

    def run() -> int:
        steps: list[Add] = []
        for node in range(job.nodes):
            parents = [steps[parent] for parent in job.inputs_of(node)]
            steps.append(Add(values=parents, number=job.adds(node), step_name=f"n{node}"))
        if not job.cached:
            return steps[-1].result(MemoryWorkspace())
        workspace = LocalWorkspace(job.folder / "workspace")
        Executor(workspace).execute_step_graph(StepGraph({step.name: step for step in steps}))
        return workspace.step_cache[steps[-1]]

    return run


if __name__ == "__main__":
    measure(prepare)
