"""Nodes in other processes: the same entries, at once, and whatever happens to the processes."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.pipeline.runners.everywhere import FORMATS, entries_of, write_project

if TYPE_CHECKING:
    from tests.conftest import Project

PARALLEL = ["processes", pytest.param("ray", marks=[pytest.mark.ray, pytest.mark.slow])]


@pytest.fixture(params=PARALLEL)
def runner(request: pytest.FixtureRequest) -> str:
    if request.param == "ray":
        pytest.importorskip("ray")
    return request.param


@pytest.fixture(autouse=True)
def _sigint_is_heard() -> Iterator[None]:
    """A shell starts what runs in the background deaf to SIGINT, and commands inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def node(transform: str, input_node: Any = None, **fields: Any) -> dict[str, Any]:
    kwargs = {name: fields.pop(name) for name in [*fields] if name not in ("cache", "resources", "regenerate")}
    return {"transform_name": transform, "input_node": input_node, "setup_kwargs": kwargs, **fields}


def until(condition: Callable[[], bool], what: str) -> None:
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit, f"it did not come: {what}"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0].startswith("Z")


@pytest.mark.parametrize("runners", [["processes"], pytest.param(["ray"], marks=pytest.mark.ray)])
def test_entries_are_the_same_to_the_byte(project: Project, runners: list[str]) -> None:
    write_project(project, FORMATS)
    found: dict[str, Any] = {}
    for runner in ("serial", *runners):
        workers = () if runner == "serial" else ("--workers", "2")
        done = project.run("prepare", "config.jsonnet", "--runner", runner, *workers)
        assert done.stderr.count("process:Draw draws") == 1
        plan = json.loads(project.run("plan", "config.jsonnet", "--json").stdout)
        assert {step["status"] for step in plan} <= {"cached", "not needed"}
        found[runner] = entries_of(project.path / "cache")
        (project.path / "cache").rename(project.path / f"cache_{runner}")
    reads = {facts["node"]: facts["reads"] for facts, _ in found["serial"].values()}
    assert reads["input:Load"]["set"]["files"] == [["file", "data/rows.txt"]]
    assert reads["process:Count"]["set"]["files"] == [["file", "src/data_ops/beside.txt"]]
    assert reads["process:Count"]["set"]["config"] == [["value", []]]
    for runner in runners:
        assert found[runner].keys() == found["serial"].keys()
        for key, entry in found["serial"].items():
            assert found[runner][key] == entry


def test_the_two_in_the_middle_of_a_diamond_run_at_once(project: Project, runner: str) -> None:
    folder = str(project.path)
    nodes = {
        "input:A": node("Pickled"),
        "process:left": node("Meet", "input:A", me="left", other="right", _folder=folder),
        "process:right": node("Meet", "input:A", me="right", other="left", _folder=folder),
        "output:both": node("Pickled", ["process:left", "process:right"]),
    }
    write_project(project, nodes)
    done = project.run("prepare", "config.jsonnet", "--runner", runner, "--workers", "2")
    assert "4 nodes ran" in done.stderr


def test_a_killed_worker_fails_its_node_alone(project: Project, runner: str) -> None:
    nodes = {
        "input:A": node("Pickled"),
        "process:killed": node("KilledOnce", "input:A", _mark=str(project.path / "mark")),
        "output:below": node("Pickled", "process:killed"),
        "output:other": node("Pickled", "input:A"),
    }
    write_project(project, nodes)
    command = ("prepare", "config.jsonnet", "--runner", runner, "--workers", "2")
    done = project.run(*command, check=False)
    assert done.returncode == 1
    assert "failed  process:killed" in done.stderr
    assert "was killed" in done.stderr
    assert "signal 9" in done.stderr
    assert "memory" in done.stderr
    assert "'process:killed'" in done.stderr
    assert "Traceback" not in done.stderr
    assert "ran     output:other" in done.stderr
    again = project.run(*command)
    assert "2 nodes ran" in again.stderr
    leftovers = [path for path in (project.path / "cache").rglob(".*.tmp-*") if not path.name.startswith(".snapshot")]
    assert leftovers == []
    assert list((project.path / "cache").glob("locks/*")) == []


@pytest.mark.parametrize(("how", "code"), [("exit", 3), ("interrupt", 0)])
def test_a_worker_that_ends_itself(project: Project, how: str, code: int) -> None:
    write_project(project, {"output:A": node("KilledOnce", _mark=str(project.path / "mark"), _how=how)})
    done = project.run("prepare", "config.jsonnet", "--runner", "processes", check=False)
    assert f"ended itself with exit code {code}" in done.stderr
    assert "1 node ran" in project.run("prepare", "config.jsonnet", "--workers", "2").stderr


RAY = [pytest.mark.ray, pytest.mark.slow]


@pytest.mark.parametrize(
    ("runner", "number"),
    [
        ("processes", signal.SIGINT),
        ("processes", signal.SIGTERM),
        ("processes", signal.SIGKILL),
        pytest.param("ray", signal.SIGINT, marks=RAY),
    ],
)
def test_workers_end_with_the_run_and_leave_a_clean_store(
    project: Project, runner: str, number: signal.Signals
) -> None:
    write_project(project, {"output:A": node("Hang", _folder=str(project.path)), "output:B": node("Pickled")})
    running = project.path / "running"
    process = project.start("prepare", "config.jsonnet", "--runner", runner, "--workers", "2")
    try:
        until(running.exists, "the node runs")
        os.kill(process.pid, number)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[number]
    pids = [int(pid) for pid in running.read_text().split()]
    until(lambda: not any(map(is_alive, pids)), "the worker and its child end")
    assert "Traceback" not in errors
    cache = project.path / "cache"
    assert list(cache.rglob(".*.tmp-*")) == []
    assert list(cache.glob("locks/*")) == []
    (project.path / "let go").touch()
    assert "ran     output:A" in project.run("prepare", "config.jsonnet", "--runner", "processes").stderr


def test_every_failure_comes_home_with_the_users_traceback(project: Project) -> None:
    nodes = {
        "input:bad": node("Bad", cache=False),
        "output:A": node("Pickled", "input:bad"),
        "output:B": node("Count", "input:bad", by=2),
        "output:worse": node("Bad"),
        "output:stop": node("Stop"),
        "output:good": node("Pickled"),
    }
    write_project(project, nodes)
    done = project.run("prepare", "config.jsonnet", "--runner", "processes", "--workers", "2", check=False)
    assert done.returncode == 1
    assert done.stderr.count('raise ValueError("bad row")') == 2
    assert "3 nodes failed" in done.stderr
    assert "run it with `--runner serial`" in done.stderr
    assert "ran     output:good" in done.stderr


def test_an_uncached_output_runs_once_and_in_the_first_process(project: Project) -> None:
    nodes = {
        "input:A": node("Pickled"),
        "output:look": node("Look", "input:A", cache=False),
        "output:below": node("Pickled", "output:look"),
    }
    write_project(project, nodes)
    pid = str(os.getpid())
    done = project.run("prepare", "config.jsonnet", "--runner", "processes", env={"TEST_PID": pid})
    assert project.read("looked.txt").split() == ["True"]
    assert "3 nodes ran" in done.stderr


def test_threads(project: Project) -> None:
    nodes = {"output:A": node("Threads", n=1), "output:B": node("Threads", n=2, resources={"num_cpus": 3})}
    write_project(project, nodes)
    code = """
import json, os
from runway import DataPipeline, load_config
config = load_config("config.jsonnet")
pipeline = DataPipeline(config.data_pipeline, config, runner={"name": "processes", "workers": 2})
print(json.dumps(pipeline.apply_transforms()), len(os.sched_getaffinity(0)))
"""
    env = {"OMP_NUM_THREADS": ""}
    printed = project.python("-c", code, env=env).stdout
    values = json.loads(printed.rpartition(" ")[0])
    alone = values["output:A"][0]
    assert values["output:B"] == [3, 3, "3"]
    assert values["output:A"] == [alone, alone, str(alone)]
    assert 1 <= alone <= int(printed.rpartition(" ")[2])


def test_each_node_gets_gpus_of_its_own(project: Project) -> None:
    folder = str(project.path)
    nodes = {
        "output:A": node("Gpu", me="a", other="b", _folder=folder, resources={"num_gpus": 1}),
        "output:B": node("Gpu", me="b", other="a", _folder=folder, resources={"num_gpus": 1}),
        "output:C": node("Gpu", me="c", other="c", _folder=folder),
    }
    write_project(project, nodes)
    code = """
import json
from runway import DataPipeline, load_config
from runway.pipeline.runners import resources
resources._gpu_count = lambda: 2  # there is none here
config = load_config("config.jsonnet")
pipeline = DataPipeline(config.data_pipeline, config, runner={"name": "processes", "workers": 2})
print(json.dumps(pipeline.apply_transforms()))
"""
    values = json.loads(project.python("-c", code, env={"CUDA_VISIBLE_DEVICES": "3,5"}).stdout)
    assert sorted([values["output:A"], values["output:B"]]) == ["3", "5"]
    assert values["output:C"] == "3,5"


STAYS = {
    "data passed in": (
        'pipeline.get_data(["output:B"], input_data_dict={"input:A": 1})',
        "data was passed in",
    ),
    "a class of the program": (
        """
class Own(runway.BaseTransform):
    def _call(self, data):
        return 1
config.data_pipeline.transforms["output:C"] = {"transform_name": "__main__:Own"}
pipeline = runway.DataPipeline(config.data_pipeline, config, runner=RUNNER)
pipeline.prepare()
""",
        "__main__.Own is only in this process",
    ),
    "changed in memory": (
        """
import words
words.MARK = "?"
runway.DataPipeline(config.data_pipeline, config, runner=RUNNER).prepare(["output:words"])
""",
        "runs in this process: the code of process:Shout is another one there",
    ),
    "edited since": (
        """
path = pathlib.Path("src/words.py")
pipeline.graph
path.write_text(path.read_text().replace("!", "?"))
pipeline.live = False
print(pipeline.get_data(["output:words"], explode=True)["words"])
""",
        "runs in this process: the code of process:Shout is another one there",
    ),
}


@pytest.mark.unknown_code  # what stands in `-c` has no text
@pytest.mark.parametrize("case", STAYS)
def test_what_cannot_go_elsewhere_stays_and_says_why(project: Project, case: str) -> None:
    nodes = {
        "input:A": node("Pickled"),
        "output:B": node("Pickled", "input:A", cache=True),
        "input:Load": node("Load"),
        "process:Shout": node("Shout", "input:Load", cache=False),
        "output:words": node("Count", "process:Shout", by=1),
    }
    write_project(project, nodes)
    code, reason = STAYS[case]
    before = """
import pathlib, runway
RUNNER = "processes"
config = runway.load_config("config.jsonnet")
pipeline = runway.DataPipeline(config.data_pipeline, config, runner=RUNNER)
"""
    done = project.python("-c", before + code)
    assert done.stderr.count(reason) == 1, done.output
    if case == "edited since":  # the key says what ran
        assert done.stdout.strip() == "['A!', 'BC!', 'DEF!', 'GHIJ!']"


@pytest.mark.parametrize("name", ["serial", "processes", pytest.param("ray", marks=pytest.mark.ray)])
def test_a_node_that_wants_a_gpu_where_there_is_none(project: Project, name: str) -> None:
    write_project(
        project, {"input:A": node("Pickled"), "output:B": node("Pickled", "input:A", resources={"num_gpus": 1})}
    )
    env = {"CUDA_VISIBLE_DEVICES": ""}
    done = project.run("prepare", "config.jsonnet", "--runner", name, check=False, env=env)
    assert done.returncode == 2
    assert "the node 'output:B' wants 1 GPU" in done.stderr
    assert "has none" in done.stderr
    assert "ran " not in done.stderr


def test_a_node_for_a_person_makes_a_run_serial_at_a_terminal_only(project: Project) -> None:
    nodes = {
        "input:A": node("Where"),
        "process:stop": node("InsertBreakpoint", "input:A"),
        "output:B": node("Pickled", "process:stop"),
    }
    write_project(project, nodes)
    done = project.run("prepare", "config.jsonnet", "--runner", "processes")
    assert "all nodes run in this process" not in done.stderr
    assert done.stdout.startswith("Data under inspection: ")
    mine, its = pty.openpty()
    command = [sys.executable, "-m", "runway", "prepare", "config.jsonnet", "--runner", "processes"]
    options = ["meta.default_cache_dir=other"]
    environment = project.environment({"TERM": "dumb"})
    process = subprocess.Popen(
        [*command, *options], stdin=its, stdout=its, stderr=its, cwd=project.path, env=environment
    )
    os.close(its)
    os.write(mine, b"c\n")
    said = b""
    with contextlib.suppress(OSError):  # the other side is closed
        while chunk := os.read(mine, 1024):
            said += chunk
    assert process.wait(timeout=120) == 0
    assert b"all nodes run in this process: process:stop stops for a person to look" in said
    assert b"(Pdb)" in said


REFUSED = {
    "unknown": (["--runner", "proceses"], "there is no runner 'proceses'", "did you mean 'processes'?"),
    "unknown option": (["meta.runner={name: processes, wrkers: 2}"], "has no option 'wrkers'", "'workers'"),
    "wrong option": (["meta.runner={name: processes, workers: 0}"], "`workers` must be a whole number from 1", ""),
    "no name": (["meta.runner={workers: 2}"], "the runner has no `name`", "processes"),
    "no number": (["--workers", "none"], "must be a whole number from 1", ""),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_with_a_choice_is_said_at_once(project: Project, case: str) -> None:
    write_project(project, {"output:A": node("Pickled")})
    arguments, *said = REFUSED[case]
    for command in (["prepare", "config.jsonnet"], ["--config", "config.jsonnet", "--mode", "prepare_data"]):
        more = ["--opts", *arguments] if command[0] != "prepare" and "=" in arguments[0] else arguments
        done = project.run(*command, *more, check=False)
        assert done.returncode == 2
        assert all(part in done.stderr for part in said), done.stderr


def test_ray_that_is_not_installed(project: Project) -> None:
    write_project(project, {"output:A": node("Pickled")})
    code = """
import sys
sys.modules["ray"] = None
from runway.cli import main
sys.exit(main(["prepare", "config.jsonnet", "--runner", "ray"]))
"""
    done = project.python("-c", code, check=False)
    assert done.returncode == 2
    assert "needs Ray" in done.stderr
    assert "runway-for-ml[ray]" in done.stderr


def test_the_choice_is_in_no_key_and_options_meet(project: Project) -> None:
    write_project(project, FORMATS)
    config = json.loads(project.read("config.jsonnet"))
    config["meta"]["runner"] = {"name": "processes", "workers": 1}
    project.write("config.jsonnet", json.dumps(config))
    project.run("prepare", "config.jsonnet", "--workers", "2")
    for arguments in (["--runner", "serial"], ["meta.runner=serial"], ["~meta.runner"], ["--runner=processes"]):
        assert "no nodes ran" in project.run("prepare", "config.jsonnet", *arguments).stderr


@pytest.mark.unknown_code  # only the inner config names what runs there
def test_a_pipeline_in_a_node_of_a_worker_is_serial(project: Project) -> None:
    write_project(project, {"output:A": node("Inner")})
    project.write(
        "src/data_ops/inner.py",
        """
        import os

        from runway import BaseTransform, DataPipeline, register_transform_functor


        @register_transform_functor
        class Inner(BaseTransform):
            def _call(self, data):
                nodes = {"output:B": {"transform_name": "Where"}}
                inner = DataPipeline({"transforms": nodes}, {}, project=self.project, runner="processes")
                return [os.getpid(), *inner.apply_transforms().values()]
        """,
    )
    code = """
from runway import DataPipeline, load_config
config = load_config("config.jsonnet")
print(*DataPipeline(config.data_pipeline, config, runner="processes").get_data(["output:A"], explode=True))
"""
    outer, inner = project.python("-c", code).stdout.split()
    assert outer == inner
