"""A prepared project that the tests of this folder copy: computing it once is enough."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import Project
from tests.pipeline.cached import Cached
from tests.pipeline.everything import write_project


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which everything is cached; not to be changed."""
    cached = write_project(Project(tmp_path_factory.mktemp("prepared") / "project"))
    assert list(cached.prepare()) == ["input:A", "process:B", "output:C"]
    return cached.project.path


@pytest.fixture
def cached(prepared: Path, tmp_path: Path) -> Cached:
    """A copy of the prepared project, at another place."""
    shutil.copytree(prepared, tmp_path / "project")
    return Cached(Project(tmp_path / "project"))
