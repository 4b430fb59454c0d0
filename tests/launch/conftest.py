"""A project, and a cluster that runs its jobs when the test says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.launch.fake_slurm import FakeSlurm

if TYPE_CHECKING:
    from tests.conftest import Project, Result


class Cluster(FakeSlurm):
    """The cluster, with a project on it."""

    def __init__(self, folder: Path, project: Project) -> None:
        super().__init__(folder)
        self.project = project

    def runway(self, *args: str, check: bool = True) -> Result:
        """Run a command on the login node."""
        return self.project.run(*args, env=self.env, check=check, timeout=240)

    def submit(self, *args: str) -> dict[str, Any]:
        """Submit; gives what ``--json`` says."""
        return json.loads(self.runway("submit", "rows.jsonnet", "--json", *args).stdout)

    def listed(self) -> dict[str, dict[str, Any]]:
        """``runway jobs``, by name."""
        return {job["job"]: job for job in json.loads(self.runway("jobs", "--folder", "runs", "--json").stdout)}


@pytest.fixture
def cluster(tmp_path: Path, project: Project) -> Cluster:
    project.write("src/data_ops/rows.py", DATA)
    project.write("rows.jsonnet", CONFIG)
    return Cluster(tmp_path / "slurm", project)


# Cheap: no torch. It waits where there is a file `wait`, until that goes.
DATA = """
    import os, time
    from pathlib import Path

    from runway import BaseTransform, register_transform_functor

    WORD = "old"

    @register_transform_functor
    class Rows(BaseTransform):
        VERSION = None

        def setup(self, count=3, **kwargs):
            self.count = count
            super().setup(**kwargs)

        def _call(self, data):
            return [f"{WORD} {number}" for number in range(self.count)]
"""
CONFIG = """
    {
      experiment_name: 'rows',
      meta: { EXPERIMENT_FOLDER: 'runs' },
      data_pipeline: { transforms: { 'output:Rows': { transform_name: 'Rows', setup_kwargs: { count: 2 } } } },
    }
"""
