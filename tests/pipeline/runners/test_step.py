"""The unit of work is plain data: another process computes the node, and makes the same entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Project

CONFIG = """
    {
      meta: { default_cache_dir: 'CACHE' },
      data_pipeline: { transforms: {
        'input:A': { transform_name: 'Start', setup_kwargs: { n: 3 } },
        'process:B': { transform_name: 'Twice', input_node: 'input:A', cache: false },
        'process:C': { transform_name: 'Twice', input_node: 'process:B', cache: false },
        'output:D': { transform_name: 'Both', input_node: ['process:B', 'process:C'], setup_kwargs: { _workers: 2 } },
      } },
    }
"""

CODE = """
    import os
    from runway import BaseTransform, register_transform_functor

    def trace(name):
        with open(os.environ.get("TRACE", "trace.txt"), "a") as file:
            file.write(f"{name}\\n")

    @register_transform_functor
    class Start(BaseTransform):
        def setup(self, n, **kwargs):
            super().setup(**kwargs)
            self.n = n

        def _call(self, data):
            trace(self.name)
            return {"n": self.n, "seen": self.global_config.get("seen")}

    @register_transform_functor
    class Twice(BaseTransform):
        def _call(self, data):
            trace(self.name)
            return {**data, "n": 2 * data["n"]}

    @register_transform_functor
    class Both(BaseTransform):
        def setup(self, _workers=1, **kwargs):
            super().setup(**kwargs)

        def _call(self, data):
            trace(self.name)
            return [part["n"] for part in data]
"""

PICKLE = """
import pickle, sys
from runway import DataPipeline, load_config
from runway.pipeline.runners.step import Known, Work
from runway.user_code import import_project_code
config = load_config("config.jsonnet")
import_project_code(config_project := __import__("pathlib").Path.cwd(), ("data_ops",))
pipeline = DataPipeline(config["data_pipeline"], config, project=config_project)
pipeline.prepare(["input:A"])
plan = pipeline.plan()
known = {
    name: Known(step.base_key, step.entry.key if step.cached and step.entry else None)
    for name, step in plan.steps.items() if name != "output:D"
}
work = Work("output:D", plan.steps["output:D"].parts, known)
with open("work.pkl", "wb") as file:
    pickle.dump((pipeline.spec, work), file)
"""

COMPUTE = """
import pickle
with open("work.pkl", "rb") as file:
    spec, work = pickle.load(file)
from runway.pipeline.runners.step import compute_and_commit
done = compute_and_commit(spec, work)
again = compute_and_commit(spec, work)
print(done.entry.key, done.seconds is not None, again.seconds is None)
"""


@pytest.mark.parametrize("cache", ["cache", "file://{}/shared"], ids=["folder", "url"])
def test_another_process_computes_a_node_from_plain_data(project: Project, cache: str) -> None:
    project.write("config.jsonnet", CONFIG.replace("CACHE", cache.format(project.path)))
    project.write("src/data_ops/ops.py", CODE)
    project.python("-c", PICKLE)
    key, computed, found = project.python("-c", COMPUTE).stdout.split()
    assert (computed, found) == ("True", "True")
    # What is not kept was computed inside its consumer, once.
    assert sorted(project.read("trace.txt").split()) == ["input:A", "output:D", "process:B", "process:C"]
    assert "no nodes ran" in project.run("prepare", "config.jsonnet").stderr
    # The journal knows of it: a changed setting is told from its entry.
    changed = "data_pipeline.transforms.output:D.setup_kwargs.output_mapping=null"
    assert "argument output_mapping added: null" in project.run("plan", "config.jsonnet", changed, "--json").stdout
    assert key in project.run("plan", "config.jsonnet", "--json").stdout


FAIL = """
import pickle
with open("work.pkl", "rb") as file:
    spec, work = pickle.load(file)
from runway.errors import RunwayError
from runway.pipeline.runners.step import compute_and_commit
try:
    compute_and_commit(spec, work)
except RunwayError as error:
    home = pickle.loads(pickle.dumps(error))
    print(type(home).__name__, home.node, home.exit_code, str(home) == str(error), "bad row" in home.traceback)
"""


def test_a_failure_comes_home_from_another_process(project: Project) -> None:
    project.write("config.jsonnet", CONFIG.replace("CACHE", "cache"))
    project.write(
        "src/data_ops/ops.py", CODE.replace('return {**data, "n": 2 * data["n"]}', 'raise ValueError("bad row")')
    )
    project.python("-c", PICKLE)
    assert project.python("-c", FAIL).stdout.split() == ["NodeFailure", "process:B", "1", "True", "True"]
