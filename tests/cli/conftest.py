"""A small project for the tests of the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conftest import Project

OPERATIONS = '''
"""Two DataOps."""

from helpers import clean
from runway import BaseTransform, register_transform_functor


@register_transform_functor
class MakeReviews(BaseTransform):
    """Make some reviews."""

    def setup(self, n: int = 2, lower: bool = False):
        """Settings.

        Args:
            n: how many.
            lower: write them in lower case,
                all of them.
        """
        self.n = n

    def _call(self, data):
        return ["Good " * 400] * self.n


class Plain:
    """A class that is no transform."""


@register_transform_functor
class CleanReviews(BaseTransform):
    def setup(self, strip):
        self.strip = strip

    def _call(self, data):
        batch_size = self.global_config.train.batch_size
        return [clean(review) for review in data[:batch_size]]


@register_transform_functor
class LoadReviews(BaseTransform):
    def _call(self, data):
        return self.track_file("reviews.csv").read_text()
'''

CONFIG = """\
{
  experiment_name: 'cli',
  meta: { logger_enable: ['csv'] },
  data_pipeline: {
    name: 'reviews',
    transforms: {
      'input:Make': { transform_name: 'MakeReviews', setup_kwargs: { n: 1 } },
      'process:Clean': { input_node: 'input:Make', transform_name: 'CleanReviews', setup_kwargs: { strip: true } },
      'output:Reviews': { input_node: 'process:Clean', transform_name: 'DummyTransform' },
    },
  },
  executor: { ExecutorClass: 'TextClassificationExecutor', init_kwargs: {} },
  train: { batch_size: 8, trainer_paras: { max_epochs: 1 } },
  mine: { lr: 0.5 * $.train.batch_size },
}
"""


@pytest.fixture
def reviews(project: Project) -> Project:
    """A project with three nodes."""
    project.write("src/data_ops/ops.py", OPERATIONS)
    project.write("src/helpers.py", "def clean(text):\n    return text.strip()\n")
    project.write("config.jsonnet", CONFIG)
    return project


T = "data_pipeline.transforms"


def as_json(project: Project, *args: str) -> Any:
    """What a command prints with `--json`."""
    return json.loads(project.run(*args, "--json").stdout)
