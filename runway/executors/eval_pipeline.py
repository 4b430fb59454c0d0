"""Runs an evaluation pipeline over a recorder: the executor after each validation, the experiment after a test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.errors import ConfigError, RunwayError

if TYPE_CHECKING:
    from runway.recorder import EvalRecorder


def run_eval_pipeline(
    pipeline_config: Mapping[str, Any],
    recorder: EvalRecorder,
    *,
    global_config: Mapping[str, Any] | None = None,
    project: Path | None = None,
    cache_dir: Path | str | None = None,
    use_dummy_data: bool = False,
    where: str = "eval.pipeline_config",
) -> EvalRecorder:
    """Give the recorder to the pipeline's input nodes, run its output nodes, and return what they made of it.

    Args:
        pipeline_config: ``{transforms, out_ops, …}``, as ``data_pipeline`` is. Every node without an
            ``input_node`` receives the recorder; where there are no ``out_ops`` and no ``output:`` node,
            the nodes that no other takes are run.
        recorder: left as it is; the nodes work on forks of it.
        global_config: what transforms see as ``self.global_config``.
        project: the folder that relative paths in the config are taken against.
        cache_dir: where nodes with ``cache: true`` keep their output.
        use_dummy_data: passed on to the transforms.
        where: what to call the pipeline in errors.

    Returns:
        The recorder that the output node gave; several are merged into one. Where none gives a recorder
        (a node that only uploads, say), the recorder that came in.

    Raises:
        ConfigError: the pipeline has no node.
    """
    from runway.pipeline import DataPipeline

    if not pipeline_config.get("transforms"):
        raise ConfigError("the evaluation pipeline has no node", where=where, hint="add to its `transforms`")
    pipeline = DataPipeline(
        pipeline_config,
        global_config=global_config,
        project=project,
        cache_dir=cache_dir,
        use_dummy_data=use_dummy_data,
        where=where,
        quiet=True,
        runner="serial",
        live=False,
    )
    nodes = pipeline.graph.nodes
    taken = {name for node in nodes.values() for name in node.inputs}
    outputs = pipeline.graph.out_ops or [name for name in nodes if name not in taken]
    given = {name: recorder.fork() for name, node in nodes.items() if not node.inputs}
    values = pipeline.get_data(outputs, input_data_dict=given).values()
    items = [item for value in values for item in (value if isinstance(value, list | tuple) else [value])]
    evaluated = [item for item in items if isinstance(item, type(recorder))]
    if not evaluated:
        return recorder
    return evaluated[0].fork().merge(evaluated[1:]) if len(evaluated) > 1 else evaluated[0]


def check_eval_pipeline(
    pipeline_config: Mapping[str, Any], *, global_config: Mapping[str, Any] | None, project: Path, where: str
) -> None:
    """Find out whether an evaluation pipeline can run, metrics included: after the first epoch is late.

    It takes what ``run_eval_pipeline`` takes.

    Raises:
        RunwayError: the pipeline is not well formed, or one of its metrics cannot be had.
    """
    from runway.pipeline import DataPipeline
    from runway.transforms.evaluation.recorders import ComputeMetrics

    graph = DataPipeline(pipeline_config, global_config=global_config, project=project, where=where).graph
    for name, cls in graph.classes.items():
        if not issubclass(cls, ComputeMetrics):
            continue
        scorer = cls(name=name, global_config=global_config, project=project)
        try:
            scorer.setup(**graph.nodes[name].setup_kwargs)
            scorer.load_metrics()
        except RunwayError as error:
            error.where = error.where or f"{where}, node {name!r}"
            raise


def scalar_stats(recorder: EvalRecorder) -> dict[str, float]:
    """The recorder's statistics that are single numbers, which loggers and callbacks can take."""
    stats = recorder.get_stats_logs()
    return {
        str(name): float(value)
        for name, value in stats.items()
        if isinstance(value, int | float) or (getattr(value, "ndim", None) == 0 and hasattr(value, "item"))
    }
