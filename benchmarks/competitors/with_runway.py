"""runway: one node a transform, through the Python API; `engine.py` measures `runway prepare` on the same project."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from harness import Job, measure

OPERATIONS = '''"""The one DataOp of the benchmark."""

from runway import BaseTransform, register_transform_functor


@register_transform_functor
class Add(BaseTransform):
    def setup(self, number):
        self.number = number

    def _call(self, data):
        return (sum(data) if isinstance(data, list) else data or 0) + self.number
'''


def node_name(job: Job, node: int) -> str:
    """The node's name, with the prefix of its role."""
    role = "input" if node == 0 else "output" if node == job.nodes - 1 else "process"
    return f"{role}:N{node}"


def pipeline_config(job: Job) -> dict:
    """The graph as a `data_pipeline` section."""
    transforms = {}
    for node in range(job.nodes):
        parents = [node_name(job, parent) for parent in job.inputs_of(node)]
        transforms[node_name(job, node)] = {
            **({"input_node": parents if len(parents) > 1 else parents[0]} if parents else {}),
            "transform_name": "Add",
            "setup_kwargs": {"number": job.adds(node)},
            "cache": job.cached,
        }
    return {"name": "bench", "transforms": transforms}


def write_project(job: Job) -> Path:
    """Write the project that `runway prepare` runs, where it is not there yet.

    Returns:
        The config's path.
    """
    operations = job.folder / "src" / "data_ops" / "bench_ops.py"
    config = job.folder / f"{job.shape}_{job.nodes}_{'cached' if job.cached else 'uncached'}.jsonnet"
    if not operations.exists():
        operations.parent.mkdir(parents=True, exist_ok=True)
        operations.write_text(OPERATIONS, encoding="utf-8")
    if not config.exists():
        content = {"experiment_name": "bench", "data_pipeline": pipeline_config(job)}
        config.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return config


def prepare(job: Job) -> Callable[[], int]:
    import sys

    from runway import DataPipeline

    write_project(job)
    sys.path.insert(0, str(job.folder / "src"))
    import data_ops.bench_ops  # noqa: F401 - registers the transform

    def run() -> int:
        pipeline = DataPipeline(pipeline_config(job), project=job.folder, cache_dir=job.folder / "cache")
        return pipeline.get_data([node_name(job, job.nodes - 1)], explode=True)

    return run


if __name__ == "__main__":
    measure(prepare)
