"""Where a project is, and its modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.cli.conftest import T, as_json

if TYPE_CHECKING:
    from tests.conftest import Project


def test_where_a_project_is_and_its_modules(reviews: Project) -> None:
    reviews.write("src/elsewhere/more.py", MORE)
    reviews.write(
        "configs/deep/exp.jsonnet", "(import '../../config.jsonnet') + { meta+: { user_modules: ['elsewhere.more'] } }"
    )
    node = f'{T}.output:Reviews={{"transform_name": "More", "input_node": "process:Clean"}}'
    assert as_json(reviews, "prepare", "configs/deep/exp.jsonnet", node)["ran"][-1] == "output:Reviews"
    assert (reviews.path / "cache").is_dir()  # the project's, not the config's folder
    assert not (reviews.path / "configs/deep/cache").exists()
    result = reviews.run("prepare", "config.jsonnet", node, check=False)
    assert result.returncode == 2
    assert "unknown transform 'More'" in result.stderr


MORE = """
from runway import BaseTransform, register_transform_functor


@register_transform_functor
class More(BaseTransform):
    def _call(self, data):
        return len(data)
"""
