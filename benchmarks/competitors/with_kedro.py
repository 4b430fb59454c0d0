"""Kedro: a pipeline over a catalog of JSON files, run with "only missing outputs" where it caches."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import Job, measure


def add(number: int, *values: int) -> int:
    return sum(values) + number


def prepare(job: Job) -> Callable[[], int]:
    logging.disable(logging.WARNING)  # before the import, which logs where it finds its logging settings

    from kedro.io import AbstractDataset, DataCatalog, MemoryDataset
    from kedro.pipeline import node, pipeline
    from kedro.runner import SequentialRunner

    class JSONFile(AbstractDataset):
        """The least that Kedro needs of a dataset: kedro-datasets' own goes through fsspec and is slower."""

        def __init__(self, path: Path) -> None:
            self.path = path

        def load(self) -> Any:
            return json.loads(self.path.read_text(encoding="utf-8"))

        def save(self, data: Any) -> None:
            self.path.write_text(json.dumps(data), encoding="utf-8")

        def _exists(self) -> bool:
            return self.path.exists()

        def _describe(self) -> dict[str, Any]:
            return {"path": str(self.path)}

    def run() -> int:
        names = [f"n{number}" for number in range(job.nodes)]
        catalog = DataCatalog(
            {name: JSONFile(job.folder / f"{name}.json") if job.cached else MemoryDataset() for name in names}
        )
        nodes = []
        for number, name in enumerate(names):
            function = functools.update_wrapper(functools.partial(add, job.adds(number)), add)
            nodes.append(node(function, [names[parent] for parent in job.inputs_of(number)] or None, name, name=name))
        SequentialRunner().run(pipeline(nodes), catalog, only_missing_outputs=job.cached)
        return catalog.load(names[-1])

    return run


if __name__ == "__main__":
    measure(prepare)
