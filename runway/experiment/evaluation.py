"""One evaluation: from a test's recorder to ``metrics.json`` and the table on the screen."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
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
from runway.recorder.save_and_load import saved_in

if TYPE_CHECKING:
    from runway.recorder import EvalRecorder

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
        if self.config:
            write_json(folder / EVALUATION, self.lineage())  # before it runs: what runs may change its objects
            recorder = run_eval_pipeline(
                self.config,
                recorder,
                global_config=self.context.global_config,
                project=self.context.project,
                use_dummy_data=self.context.use_dummy_data,
            )
        metrics = dict(recorder.get_stats_logs())
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
            table(f"{folder.parent.parent.name}  {folder.name}", ["metric", "value"], rows)
        info(f"results: {shown(folder)}")


def _format_of(folder: Path) -> str:
    """The format of a test's recorder: the original has written json."""
    saved = saved_in(folder / TEST_RECORDER)
    return "json" if saved == ["eval_recorder (json)"] else "parquet"


def write_metrics(folder: Path, metrics: Mapping[str, Any]) -> None:
    """Write ``metrics.json``; what is no finite number, which JSON does not have, is null there, and told by name."""
    write_json(folder / METRICS, metrics)
    odd = [f"{name} ({value})" for name, value in metrics.items() if isinstance(value, float) and not isfinite(value)]
    if odd:
        warning(f"null in {METRICS}, which has no such numbers: {', '.join(odd)}")
