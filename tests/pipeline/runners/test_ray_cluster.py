"""A Ray cluster of two machines, which are one here: where nodes run, how code and data reach them, what is refused."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Project
from tests.pipeline.runners.everywhere import write_project

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster of two nodes of one core each."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    yield cluster.address
    cluster.shutdown()


def node(transform: str, input_node: Any = None, **kwargs: Any) -> dict[str, Any]:
    return {"transform_name": transform, "input_node": input_node, "setup_kwargs": kwargs}


def test_nodes_run_on_both_machines_from_a_snapshot_and_data_costs_nothing(project: Project, cluster: str) -> None:
    folder = str(project.path)
    nodes = {
        "input:Load": node("Load"),
        # One core each, and neither ends before the other has begun: they are on two machines.
        "process:left": node("Meet", "input:Load", me="left", other="right", _folder=folder),
        "process:right": node("Meet", "input:Load", me="right", other="left", _folder=folder),
        "output:both": node("Pickled", ["process:left", "process:right"]),
        "output:big": node("Big"),
    }
    write_project(project, nodes)
    project.write(
        "src/data_ops/big.py",
        """
        import sys

        from runway import BaseTransform, register_transform_functor


        @register_transform_functor
        class Big(BaseTransform):
            def _call(self, data):
                return [self.track_file("data/big.txt").stat().st_size, sys.modules[__name__].__file__]
        """,
    )
    for name in ("data/big.txt", "others.bin"):  # over the limit: they are in no snapshot
        with (project.path / name).open("wb") as file:
            file.truncate(6 * 1024**2 if name == "data/big.txt" else 2**30)
    started = time.perf_counter()
    done = project.run("prepare", "config.jsonnet", f"meta.runner={{name: ray, address: '{cluster}'}}")
    assert "5 nodes ran" in done.stderr
    assert "not in the snapshot" in done.stderr
    assert time.perf_counter() - started < 60
    stored = list((project.path / "cache" / "snapshots").glob("*.tar"))
    assert [path.stat().st_size < 100_000 for path in stored] == [True]
    size, file = project.python("-c", VALUE.format("output:big")).stdout.split()
    assert size == str(6 * 1024**2)
    assert stored[0].stem in Path(file).parts
    assert "no nodes ran" in project.run("prepare", "config.jsonnet").stderr  # the serial one finds the same keys


VALUE = """
from runway import DataPipeline, load_config
config = load_config("config.jsonnet")
print(*DataPipeline(config.data_pipeline, config).get_data(["{}"], explode=True))
"""


def test_a_store_that_machines_do_not_share_is_refused(project: Project, cluster: str) -> None:
    write_project(project, {"output:A": node("Pickled")})
    cache = "meta.default_cache_dir=memory://elsewhere"  # another one in each process
    runner = f"meta.runner={{name: ray, address: '{cluster}'}}"
    done = project.run("prepare", "config.jsonnet", runner, cache, check=False)
    assert done.returncode == 2
    assert "do not see the cache" in done.stderr
    assert "default_cache_dir" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_no_machine_has_is_told_before_anything_runs(project: Project, cluster: str) -> None:
    for resources, told in (({"num_gpus": 1}, "wants 1 GPU"), ({"num_cpus": 64}, "wants 64 cores")):
        wanting = {**node("Pickled", "input:A"), "resources": resources}
        write_project(project, {"input:A": node("Pickled"), "output:B": wanting})
        done = project.run("prepare", "config.jsonnet", f"meta.runner={{name: ray, address: '{cluster}'}}", check=False)
        assert done.returncode == 2
        assert told in done.stderr
        assert "ran " not in done.stderr


def test_no_cluster_at_the_address(project: Project) -> None:
    write_project(project, {"output:A": node("Pickled")})
    done = project.run("prepare", "config.jsonnet", "meta.runner={name: ray, address: '127.0.0.1:1'}", check=False)
    assert done.returncode == 2
    assert "Ray cannot be reached" in done.stderr
    assert "127.0.0.1:1" in done.stderr


PACK = """
import pickle
from runway import DataPipeline, load_config
from runway.pipeline.runners.step import Bench, Work
from runway.pipeline.runners.worker import Task
config = load_config("config.jsonnet")
pipeline = DataPipeline(config.data_pipeline, config, runner="ray", cache_dir="{cache}")
plan = pipeline.plan()
runner = pipeline.runner.runner(plan, Bench(pipeline.graph, plan.entries), pipeline.spec)
delivery = runner._delivery(runner._opening(["output:Load"]))
task = Task(Work("output:Load", plan.steps["output:Load"].parts, {{}}), 1)
with open("{packed}", "wb") as file:
    pickle.dump((pickle.dumps(delivery), task), file)
"""

COMPUTE = """
import pickle
from runway.pipeline.runners.ray_task import compute
with open("{packed}", "rb") as file:
    outcome, lines = compute("name", *pickle.load(file))
print(outcome.error or outcome.done.entry.key)
"""


def test_where_the_project_is_not_seen_its_code_is(project: Project, tmp_path: Path) -> None:
    """As on another machine: the store is there, and the project's folder is not."""
    places = {"cache": str(tmp_path / "shared"), "packed": str(tmp_path / "packed")}
    other = Project(tmp_path / "other")
    write_project(project, {"output:Load": node("Load")})
    answers = []
    for rows in ("a few", "word " * 2_000_000):  # the second file is too large to come along
        (project.path / "data/rows.txt").write_text(rows)
        project.python("-c", PACK.format(**places))
        project.path.rename(tmp_path / "away")
        answers.append(other.python("-c", COMPUTE.format(**places)).stdout.strip())
        (tmp_path / "away").rename(project.path)
    assert len(answers[0]) == 32
    assert "does not see the project's folder" in answers[1]
    assert "rows.txt" in answers[1]


CONNECT = """
import os, sys
from runway.pipeline.runners.ray import connection
with connection(sys.argv[1], 1) as ours:
    print(ours, os.environ["PYTHONBREAKPOINT"])
"""


def test_a_breakpoint_in_this_process_is_not_rays(
    project: Project, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a process of its own: another test of this one may be connected already."""
    monkeypatch.setenv("PYTHONBREAKPOINT", "mine.stop")
    assert project.python("-c", CONNECT, cluster).stdout.split()[-2:] == ["True", "mine.stop"]
