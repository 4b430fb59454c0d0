"""The numbers of a validation or a test: losses and metrics of each task over its own rows, and their means."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.errors import ConfigError, DataError, RunwayError
from runway.recorder import EvalRecorder
from runway.transforms.evaluation.recorders import ComputeMetrics

if TYPE_CHECKING:
    from runway.executors.multi_task.heads import TaskHead
    from runway.executors.multi_task.tasks import Task

TASK, LOSS = "task", "loss"
"""Columns that every recorded row has."""


class Scores:
    """Scores what was recorded, task by task.

    Args:
        tasks: their settings.
        heads: their heads, which say which columns metrics compare.
        global_config: the whole config.
        project: the project's folder.
    """

    def __init__(
        self, tasks: Mapping[str, Task], heads: Mapping[str, TaskHead], *, global_config: Any, project: Path
    ) -> None:
        self.tasks, self.heads = tasks, heads
        self._context = {"global_config": global_config, "project": project}

    def check(self) -> None:
        """Load every metric, and try it on a few rows of the kind that will be recorded.

        Raises:
            ConfigError: one cannot be had, or does not go with what the task's head records.
        """
        for name, task in self.tasks.items():
            where = f"{task.where}.metrics"
            examples = self.heads[name].examples()
            try:
                scorer = self._scorer(name, "")
                scorer.load_metrics()
                if examples is not None:
                    _check_inputs(scorer, examples, where)
                    recorder = EvalRecorder("examples")
                    rows = len(next(iter(examples.values())))
                    recorder.log_sample_dict_batch({TASK: [name] * rows, LOSS: [0.0] * rows, **examples})
                    scorer(recorder)
            except DataError as error:
                head = type(self.heads[name]).__name__
                message = f"a metric of the task {name!r} does not go with what its {head} records: {error.message}"
                raise ConfigError(message, where=where, hint=error.hint) from error
            except RunwayError as error:
                error.where = where
                raise

    def of(self, recorder: EvalRecorder, prefix: str) -> dict[str, float]:
        """The numbers over all rows; what is no number goes into the recorder's stats only.

        Args:
            recorder: every row of every task.
            prefix: ``val`` or ``test``.

        Returns:
            ``{prefix}_{task}_loss`` and ``{prefix}_{task}_{metric}`` of each task that has rows; ``{prefix}_loss``, the
            weighted sum of the losses; ``{prefix}_mean_loss`` and ``{prefix}_mean_{metric}``, the mean over the tasks
            that have this metric, each task alike.
        """
        by_task = recorder.get_sample_logs_column(TASK) if len(recorder) else []
        losses = recorder.get_sample_logs_column(LOSS) if len(recorder) else []
        stats: dict[str, Any] = {}
        means: dict[str, list[float]] = {}
        total = 0.0
        for name, task in self.tasks.items():
            own = [loss for loss, of_task in zip(losses, by_task, strict=True) if of_task == name]
            if not own:
                continue
            scored = {LOSS: sum(own) / len(own), **self._metrics(name, recorder)}
            total += task.weight * scored[LOSS]
            for metric, value in scored.items():
                stats[f"{prefix}_{name}_{metric}"] = value
                if isinstance(value, int | float):
                    means.setdefault(metric, []).append(float(value))
        if stats:
            stats[f"{prefix}_{LOSS}"] = total
        stats |= {f"{prefix}_mean_{metric}": sum(values) / len(values) for metric, values in means.items()}
        recorder.log_stats_dict(stats)
        return {name: float(value) for name, value in stats.items() if isinstance(value, int | float)}

    def _metrics(self, name: str, recorder: EvalRecorder) -> dict[str, Any]:
        scored = self._scorer(name, "")(recorder.fork()).get_stats_logs()
        before = recorder.get_stats_logs()
        return {metric: value for metric, value in scored.items() if metric not in before}

    def _scorer(self, name: str, prefix: str) -> ComputeMetrics:
        task, head = self.tasks[name], self.heads[name]
        scorer = ComputeMetrics(name=f"{task.where}.metrics", **self._context)
        metrics = list(head.default_metrics) if task.metrics is None else task.metrics
        scorer.setup(
            metrics=metrics, pred_field=head.pred_field, ref_field=head.ref_field, rows={TASK: name}, prefix=prefix
        )
        return scorer


def _check_inputs(scorer: ComputeMetrics, examples: Mapping[str, list], where: str) -> None:
    """Raise where a metric is given what it does not take: it might leave it out, or round it, without a word."""
    is_whole = isinstance(next(iter(examples.values()))[0], int)
    inputs = {"predictions", *(["references"] if scorer.ref_field else [])}
    for entry, metric in scorer.loaded_metrics():
        forms = metric.features if isinstance(metric.features, list) else [metric.features]
        missing = [name for name in sorted(inputs) if all(name not in form for form in forms)]
        if missing:
            raise DataError(f"the metric {entry['name']!r} takes no {' and no '.join(missing)}", where=where)
        values = [getattr(form["predictions"], "feature", form["predictions"]) for form in forms]  # of a list
        kinds = [str(getattr(value, "dtype", "")) for value in values]
        if not is_whole and all(kinds) and not any("float" in kind for kind in kinds):
            message = (
                f"the metric {entry['name']!r} is over {' or '.join(dict.fromkeys(kinds))}, and not over fractions"
            )
            raise DataError(message, where=where, hint="mse, mae and r_squared are")
