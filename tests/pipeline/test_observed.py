"""What is noted while a node runs: the files that its code opens, and not those that are no input."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runway.config.reads import Reads
from runway.pipeline.observed import OpenedFiles

if TYPE_CHECKING:
    from tests.conftest import Project


@pytest.mark.parametrize(
    ("store", "path", "counts"),
    [
        ("cache", "/srv/me/project/words.txt", True),
        ("cache", "/srv/me/project/cache/ab/abc/rows.arrow", False),
        ("cache", "/srv/me/project/cached/words.txt", True),
        ("..", "/srv/me/project/words.txt", True),
        ("/srv/me", "/srv/me/project/words.txt", True),
        ("../shared", "/srv/me/shared/ab/abc/rows.arrow", False),
        ("cache", "/library/words.txt", True),
        ("cache", "/run/media/me/disk/words.txt", True),
        ("cache", "/lib/locale/x", False),
        ("cache", "/srv/me/.cache/words.txt", False),
    ],
)
def test_which_files_are_inputs(store: str, path: str, counts: bool) -> None:
    assert OpenedFiles(Reads(), Path("/srv/me/project"), store)._counts(path) == counts


def test_a_file_of_a_project_inside_of_its_cache_counts(project: Project) -> None:
    project.write(
        "src/data_ops/ops.py",
        """
        from pathlib import Path
        from runway import BaseTransform, register_transform_functor

        @register_transform_functor
        class Words(BaseTransform):
            def _call(self, data):
                return (Path(self.project) / "words.txt").read_text()
        """,
    )
    project.write(
        "c.jsonnet",
        "{ meta: { default_cache_dir: '..' }, "
        "data_pipeline: { transforms: { 'output:W': { transform_name: 'Words' } } } }",
    )
    project.write("words.txt", "one")
    assert "1 node ran" in project.run("prepare", "c.jsonnet").stderr
    project.write("words.txt", "two")
    assert "1 node ran" in project.run("prepare", "c.jsonnet").stderr
    assert "no nodes ran" in project.run("prepare", "c.jsonnet").stderr
