"""One evaluation: from a test's recorder to ``metrics.json`` and the table on the screen."""

from __future__ import annotations

from collections.abc import Mapping
from math import isclose, isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.errors import ExperimentError
from runway.executors.eval_pipeline import check_eval_pipeline, run_eval_pipeline
from runway.experiment.context import ExperimentContext, Result
from runway.experiment.folders.file_names import EVALUATION, METRICS, TEST_RECORDER
from runway.experiment.folders.in_use import being_tested
from runway.experiment.folders.run_folder import RunFolder, write_json
from runway.log import info, shown, table, warning
from runway.masking import hidden
from runway.pipeline.graph import Graph
from runway.pipeline.plan import lineage_of_code
from runway.ranks import rank
from runway.transforms.evaluation.display import bounds, show_slices

if TYPE_CHECKING:
    from runway.recorder import EvalRecorder

INTERVALS, SLICES = "intervals", "slices"
"""In ``metrics.json``, beside the metrics: ``{name: {low, high, n, method}}``; what slices of the rows come to."""

LOSS, TOKENS = "loss", "target_tokens"
"""The columns of each row's loss, and of how many tokens it is the mean of."""
_CLOSE = 1e-4  # of a value: a mean of float32 means of batches differs so from the mean over rows

MEASURED = "measured"
"""In a test recorder's meta config: the numbers that the test itself has logged, which every evaluation begins with."""


TESTS = ("test_eval_pipeline_config", "pipeline_config")
"""The pipelines that may evaluate a test; the first that is there does."""


class Evaluation:
    """Runs the test's evaluation pipeline, after a test or again on what a test has saved.

    Args:
        context: gives config and folders.
    """

    def __init__(self, context: ExperimentContext) -> None:
        self.context = context
        section = context.config.get("eval") or {}
        found = (section.get(name) for name in TESTS)
        self.config: Mapping[str, Any] = next((one for one in found if one), {})

    def run(self) -> Result:
        """Evaluate the recorder that a test has saved.

        Raises:
            ExperimentError: there is no such test.
        """
        from runway.recorder import EvalRecorder

        context = self.context
        context.check_flags("eval")
        context.import_user_code(["data_ops"])
        suffix = context.test_suffix
        if rank() != 0:
            return Result(context.root)  # torchrun or srun has started several processes: the first does it

        def was_tested(run: RunFolder) -> bool:
            return (run.test(suffix) / TEST_RECORDER).is_dir()

        run = context.version(was_tested, f"a test {suffix!r}", "test it first")
        folder = run.test(suffix)
        if not was_tested(run):
            raise ExperimentError(
                f"{run.path.name} has no test {suffix!r}",
                where=str(folder),
                hint=f"there are: {', '.join(run.tests())}" if run.tests() else "test it first",
            )
        context.work_on(run, folder)
        with being_tested(run, suffix), context.logging_to(folder):
            if "wandb" in context.logger_names:  # the version's wandb run: an evaluation may upload to it
                _ = context.build_loggers(["wandb"], run, folder)[0].experiment  # type: ignore[attr-defined]
            recorder = EvalRecorder.load_from_disk(TEST_RECORDER, folder, file_format=_format_of(folder))
            if MEASURED in recorder.meta_config:  # what an earlier evaluation has computed may not be asked for now
                recorder.clear_stats()
                recorder.log_stats_dict(recorder.meta_config[MEASURED])
            metrics, _ = self.evaluate(recorder, folder)
        self.show(metrics, folder)
        return Result(folder, metrics)

    def check(self) -> None:
        """Find out before a test whether its evaluation can run."""
        if self.config:
            global_config, project = self.context.global_config, self.context.project
            check_eval_pipeline(self.config, global_config=global_config, project=project, where="eval")

    def evaluate(self, recorder: EvalRecorder, folder: Path) -> tuple[dict[str, Any], EvalRecorder]:
        """Run the pipeline and write ``metrics.json``; gives its content, and the recorder with what was added."""
        (folder / EVALUATION).unlink(missing_ok=True)
        recorder = recorder.fork()
        recorder.wants_intervals = True
        if self.config:
            write_json(folder / EVALUATION, self.lineage())  # before it runs: what runs may change its objects
            recorder = run_eval_pipeline(
                self.config,
                recorder,
                global_config=self.context.global_config,
                project=self.context.project,
                use_dummy_data=self.context.use_dummy_data,
            )
        recorder.log_stats_dict({}, intervals=_of_losses(recorder))
        metrics = dict(recorder.get_stats_logs())
        beside = {INTERVALS: recorder.get_intervals(), SLICES: recorder.get_slices()}
        metrics |= {name: found for name, found in beside.items() if found}
        write_metrics(folder, metrics)
        return metrics, recorder

    def lineage(self) -> dict[str, Any]:
        """What the metrics are made by, as a test keeps it: the pipeline's section, and of each node the code."""
        graph = Graph(self.config, where="eval")
        return {"pipeline": hidden(self.config), "nodes": lineage_of_code(graph)}

    def show(self, metrics: Mapping[str, Any], folder: Path) -> None:
        """Print the path, and the numbers where no node of the evaluation pipeline has done so."""
        if rank() != 0:
            return
        nodes = (self.config.get("transforms") or {}).values()
        rows = [(name, value) for name, value in metrics.items() if isinstance(value, int | float | str)]
        if rows and not any(node.get("transform_name") == "DisplayEvalResults" for node in nodes):
            intervals = metrics.get(INTERVALS) or {}
            shown_rows = [[name, value, bounds(intervals.get(name))] for name, value in rows]
            columns = ["metric", "value", "95% interval"] if intervals else ["metric", "value"]
            table(f"{folder.parent.parent.name}  {folder.name}", columns, [row[: len(columns)] for row in shown_rows])
            show_slices(metrics.get(SLICES) or {})
        info(f"results: {shown(folder)}")


def _format_of(folder: Path) -> str:
    """The format of a test's recorder: the original has written json."""
    from runway.recorder.save_and_load import saved_in

    saved = saved_in(folder / TEST_RECORDER)
    return "json" if saved == ["eval_recorder (json)"] else "parquet"


def _of_losses(recorder: EvalRecorder) -> dict[str, dict[str, Any]]:
    """Intervals of what the test has logged of each row's loss: its mean, over rows or tokens, and the perplexity."""
    import numpy as np

    from runway.uncertainty.sums import exp_of_mean, mean, ratio

    stats, known = recorder.get_stats_logs(), recorder.get_intervals()
    functions = {"test_loss": ratio, "test_perplexity": exp_of_mean}
    names = [name for name in functions if isinstance(stats.get(name), float) and name not in known]
    if not names or LOSS not in recorder:
        return {}
    losses = recorder.get_sample_logs_column(LOSS, "numpy")
    weights: list[Any] = [None]
    if TOKENS in recorder:
        weights.insert(0, recorder.get_sample_logs_column(TOKENS, "numpy"))
    if losses.dtype.kind != "f" or not np.isfinite(losses).all():
        return {}
    found = {}
    for name in names:
        for weight in weights:
            summed = mean(losses, weight, functions[name])
            interval = summed.interval() if isclose(summed.reached(), stats[name], rel_tol=_CLOSE) else None
            if interval is not None:
                found[name] = interval._asdict()
                break
    return found


def write_metrics(folder: Path, metrics: Mapping[str, Any]) -> None:
    """Write ``metrics.json``; what is no finite number, which JSON does not have, is null there, and told by name."""
    write_json(folder / METRICS, metrics)
    odd = [f"{name} ({value})" for name, value in metrics.items() if isinstance(value, float) and not isfinite(value)]
    if odd:
        warning(f"null in {METRICS}, which has no such numbers: {', '.join(odd)}")
