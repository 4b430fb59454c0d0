"""What a training has read that its key cannot hold, because it shows only while it runs; compared when it is found.

Noted are files that the project's code opened, of the executor and of nodes that are not kept; code of the project that
ran and that no name in the executor's code leads to; and data of nodes that the executor asked for by names of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.config.reads import Reads
from runway.experiment.training_key import VALIDATIONS
from runway.pipeline.graph import Graph
from runway.pipeline.keys.code import latest_code_of
from runway.pipeline.keys.config_answers import changes
from runway.pipeline.keys.tracked import read_set, states
from runway.pipeline.observed import OpenedFiles, note_what_ran
from runway.project_modules import watching

if TYPE_CHECKING:
    from runway.experiment.context import ExperimentContext
    from runway.experiment.training_key import TrainingKey
    from runway.pipeline import DataPipeline

THIS = "the training"


class TrainingReads:
    """What one training reads.

    Args:
        context: the experiment.
        pipeline: its data pipeline, which the executor has.
        key: the training's.
    """

    def __init__(self, context: ExperimentContext, pipeline: DataPipeline, key: TrainingKey) -> None:
        self.context = context
        self.pipeline = pipeline
        self.key = key
        self.own = Reads()
        self._opened = OpenedFiles(self.own, context.project, pipeline.spec.store)
        pipeline.uncached_reads = Reads()  # of what was computed before, to prepare the data, its content tells

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note the code that runs in the block, and the files that it opens."""
        with self._opened.noting(), watching() as ran:
            yield
        section = self.context.config.get("eval") or {}
        graphs = [Graph(section[name], where=f"eval.{name}") for name in VALIDATIONS if section.get(name)]
        classes = {cls for graph in (self.pipeline.graph, *graphs) for cls in graph.classes.values()}
        nodes = [latest_code_of(cls) for cls in classes]  # what they run, their own keys know
        left = {place for place in ran if not any(code.knows(*place) for code in nodes)}
        note_what_ran(THIS, latest_code_of(self.context.executor_class()), left, self.own)

    def plain(self, run: Path) -> dict[str, Any] | None:
        """What was read and how it is now, as JSON can hold it; None where there was nothing.

        Args:
            run: the version's folder: what the training reads there it has made itself.
        """
        reads = Reads()
        for part in (self.own, self.pipeline.uncached_reads):
            reads.merge(part)
        for kind, file in [item for item in reads.files if Path(item[1]).is_relative_to(run)]:
            reads.forget_file(kind, file)
        names = read_set(Reads(files=reads.files, code=set(self.own.code)), self.context.project)
        found = _states(names, self.context)
        for kind, file in reads.changed_since():
            found[f"{kind} {file}"] = "changed while it was read"
        counted = {name for name, _ in self.key.contents.values()}
        nodes = self.pipeline.contents([name for name in self.pipeline.asked if name not in counted])
        return {"set": names, "states": found, "nodes": nodes} if found or nodes else None


def changed_reads(noted: Mapping[str, Any] | None, context: ExperimentContext, pipeline: DataPipeline) -> list[str]:
    """What is no longer as a training has read it, one line each.

    Args:
        noted: what ``TrainingReads.plain`` gave then.
        context: the experiment as it is now.
        pipeline: its data pipeline.
    """
    if not noted:
        return []
    lines = changes(noted["states"], _states(noted["set"], context))
    names = [name for name in noted["nodes"] if name in pipeline.graph.nodes]
    now = pipeline.contents(names)
    return [
        *lines,
        *(
            f"data: the content of {name}"
            for name, content in noted["nodes"].items()
            if content is None or now.get(name) != content
        ),
    ]


def _states(names: Any, context: ExperimentContext) -> dict[str, str]:
    flags = {"use_dummy_data": context.use_dummy_data}
    return states(names, context.config, flags, {}, context.project)
