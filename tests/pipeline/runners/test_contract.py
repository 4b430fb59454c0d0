"""What every runner does. A new one is added to RUNNERS."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from runway import BaseTransform, DataPipeline, register_transform_functor
from runway.errors import RunFailed

if TYPE_CHECKING:
    from pathlib import Path

RUNNERS: dict[str, Any] = {"serial": "serial", "processes": {"name": "processes", "workers": 2}, "ray": "ray"}


@register_transform_functor("contract:Number")
class Number(BaseTransform):
    """Starts a chain: a list with one number."""

    def setup(self, value: int = 1, file: str | None = None, **kwargs: Any) -> None:
        super().setup(**kwargs)
        self.value, self.file = value, file

    def _call(self, data: Any) -> list[int]:
        if self.file is not None:
            return [int(self.track_file(self.file).read_text())]
        return [self.value]


@register_transform_functor("contract:Add")
class Add(BaseTransform):
    """Adds to each number in place; of a list of inputs it takes all."""

    def setup(self, n: int = 1, **kwargs: Any) -> None:
        super().setup(**kwargs)
        self.n = n

    def _call(self, data: Any) -> list[int]:
        numbers = [number for part in data for number in part] if data and isinstance(data[0], list) else data
        for index, number in enumerate(numbers):
            numbers[index] = number + self.n
        return numbers


@register_transform_functor("contract:Parity")
class Parity(BaseTransform):
    """Comes out the same for many inputs."""

    def _call(self, data: list[int]) -> list[int]:
        return [number % 2 for number in data]


@register_transform_functor("contract:Fail")
class Fail(BaseTransform):
    """Raises."""

    def _call(self, data: Any) -> None:
        raise ValueError("on purpose")


@register_transform_functor("contract:Unsaveable")
class Unsaveable(BaseTransform):
    """Gives what no format takes."""

    def _call(self, data: Any) -> Any:
        return (number for number in data)


@register_transform_functor("contract:Random")
class Random(BaseTransform):
    """Draws a number: each node from a seed of its own."""

    def _call(self, data: Any) -> float:
        import random

        return random.random()


@register_transform_functor("contract:Folder")
class Folder(BaseTransform):
    """Says in which folder it was run, and goes to another one."""

    def _call(self, data: Any) -> str:
        before = os.getcwd()
        os.chdir("/")
        return before


def node(name: str, inputs: Any = None, cache: bool | None = True, **kwargs: Any) -> dict[str, Any]:
    fields = {"transform_name": f"tests.pipeline.runners.test_contract:{name}", "setup_kwargs": kwargs, "cache": cache}
    return fields if inputs is None else {**fields, "input_node": inputs}


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.ray if name == "ray" else ()) for name in RUNNERS])
def runner(request: pytest.FixtureRequest) -> Any:
    if request.param == "ray":
        request.getfixturevalue("local_ray")
    return RUNNERS[request.param]


@pytest.fixture
def build(runner: Any, tmp_path: Path) -> Any:
    def build(nodes: dict[str, Any]) -> DataPipeline:
        return DataPipeline({"transforms": nodes}, {}, project=tmp_path, runner=runner)

    return build


DIAMOND = {
    "input:A": node("Number", value=3),
    "process:left": node("Add", "input:A", n=10),
    "process:right": node("Add", "input:A", n=20),
    "output:both": node("Add", ["process:left", "process:right"], n=0),
}


def test_values_come_in_the_order_of_inputs_and_each_node_runs_once(build: Any) -> None:
    pipeline = build(DIAMOND)
    assert sorted(pipeline.prepare()) == sorted(DIAMOND)
    assert build(DIAMOND).prepare() == []
    assert build(DIAMOND).get_data(["output:both"], explode=True) == [13, 23]


def test_values_that_are_not_kept_are_computed_once_and_not_shared(build: Any) -> None:
    nodes = {**DIAMOND, "input:A": node("Number", cache=False, value=3)}
    nodes["process:left"]["cache"] = nodes["process:right"]["cache"] = True
    pipeline = build(nodes)
    ran = pipeline.prepare()
    assert sorted(set(ran)) == sorted(nodes)
    assert pipeline.get_data(["output:both"], explode=True) == [13, 23]
    nodes = {name: {**fields, "cache": False} for name, fields in DIAMOND.items()}
    assert build(nodes).get_data(["output:both"], explode=True) == [13, 23]


def test_a_node_whose_input_came_out_the_same_does_not_run(build: Any) -> None:
    def nodes(value: int) -> dict[str, Any]:
        return {
            "input:A": node("Number", value=value),
            "process:parity": node("Parity", "input:A"),
            "output:C": node("Add", "process:parity"),
        }

    build(nodes(3)).prepare()
    assert build(nodes(5)).prepare() == ["input:A", "process:parity"]
    assert build(nodes(4)).prepare() == ["input:A", "process:parity", "output:C"]


def test_what_does_not_depend_on_a_failed_node_is_done(build: Any) -> None:
    nodes = {
        "input:A": node("Number"),
        "process:bad": node("Fail", "input:A"),
        "output:below": node("Add", "process:bad"),
        "output:worse": node("Unsaveable", "input:A"),
        "output:good": node("Add", "input:A"),
    }
    with pytest.raises(RunFailed) as caught:
        build(nodes).prepare()
    assert sorted(failure.node for failure in caught.value.failures) == ["output:worse", "process:bad"]
    assert "ValueError: on purpose" in str(caught.value)
    plan = build(nodes).plan()
    assert {name: plan.steps[name].status for name in ("input:A", "output:good")} == dict.fromkeys(
        ("input:A", "output:good"), "cached"
    )


def test_what_a_node_read_is_kept_with_its_entry(build: Any, tmp_path: Path) -> None:
    (tmp_path / "number.txt").write_text("7")
    nodes = {"input:A": node("Number", file="number.txt", cache=False), "output:B": node("Add", "input:A")}
    assert build(nodes).get_data(["output:B"], explode=True) == [8]
    assert build(nodes).prepare() == []
    (tmp_path / "number.txt").write_text("8")
    assert build(nodes).get_data(["output:B"], explode=True) == [9]


def test_an_uncached_output_runs_once_for_its_data(build: Any) -> None:
    nodes = {"input:A": node("Number"), "output:B": node("Add", "input:A", cache=False)}
    assert build(nodes).prepare() == ["input:A", "output:B"]
    assert build(nodes).prepare() == []


def test_regenerate_runs_again_and_what_comes_out_the_same_stops_there(build: Any) -> None:
    nodes = {"input:A": {**node("Number"), "regenerate": True}, "output:B": node("Add", "input:A")}
    assert build(nodes).prepare() == ["input:A", "output:B"]
    assert build(nodes).prepare() == ["input:A"]


def test_a_damaged_input_is_computed_again(build: Any, tmp_path: Path) -> None:
    nodes = {"input:A": node("Number", value=3), "output:B": node("Add", "input:A")}
    pipeline = build(nodes)
    pipeline.prepare(["input:A"])
    (meta,) = (tmp_path / "cache").glob("??/*/meta.json")
    meta.write_text(meta.read_text().replace("[3]", "[4]"))
    assert build(nodes).get_data(["output:B"], explode=True) == [4]


def test_seeds_do_not_depend_on_what_ran_before(build: Any) -> None:
    one, two = {"output:A": node("Random")}, {"input:X": node("Random"), "output:B": node("Random", "input:X")}
    alone = build(one).get_data(["output:A"], explode=True)
    assert build({**two, **one}).get_data(["output:A"], explode=True) == alone
    assert build(two).get_data(["output:B"], explode=True) != alone


def test_a_node_that_goes_to_another_folder_goes_there_alone(build: Any) -> None:
    nodes = {"input:A": node("Folder"), "output:B": node("Folder", "input:A")}
    before = os.getcwd()
    first, second = build(nodes).get_data(["input:A", "output:B"]).values()
    assert first == second != "/"
    assert os.getcwd() == before


def test_the_random_state_of_the_caller_stays(build: Any) -> None:
    import random

    random.seed(5)
    expected = random.random()
    random.seed(5)
    build({"output:A": node("Random")}).prepare()
    assert random.random() == expected


@register_transform_functor("contract:Different")
class Different(BaseTransform):
    """Gives another number each time."""

    count = 0

    def _call(self, data: Any) -> list[int]:
        Different.count += 1
        return [Different.count]


def test_what_is_not_kept_fails_once_for_all_that_need_it(build: Any) -> None:
    nodes = {
        "input:bad": node("Fail", cache=False),
        "process:between": node("Add", "input:bad", cache=False),
        "output:A": node("Add", "process:between"),
        "output:B": node("Add", "process:between", n=2),
        "output:C": node("Number"),
    }
    with pytest.raises(RunFailed) as caught:
        build(nodes).prepare()
    assert [failure.node for failure in caught.value.failures] == ["input:bad"]
    assert build(nodes).plan().steps["output:C"].status == "cached"


def test_an_output_is_kept_under_the_content_that_it_was_made_from(build: Any) -> None:
    """An evicted input that comes out otherwise this time gives its consumers other keys."""
    nodes = {"input:A": node("Different"), "process:between": node("Add", "input:A", cache=False)}
    first = build(nodes)
    first.prepare(["input:A"])
    first.store.evict(first.plan(["input:A"]).steps["input:A"].entry)
    nodes["output:B"] = node("Add", "process:between")
    value = build(nodes).get_data(["output:B"], explode=True)
    again = build(nodes)
    assert again.prepare() == []
    assert again.get_data(["output:B"], explode=True) == value


def test_the_cache_may_be_deleted_between_two_runs(build: Any, tmp_path: Path) -> None:
    import shutil

    pipeline = build(DIAMOND)
    assert sorted(pipeline.prepare()) == sorted(DIAMOND)
    shutil.rmtree(tmp_path / "cache")
    assert sorted(pipeline.prepare()) == sorted(DIAMOND)
    assert build(DIAMOND).prepare() == []


@pytest.mark.slow
def test_a_deep_chain_is_not_slow(build: Any, request: pytest.FixtureRequest) -> None:
    import time

    length = 100 if "ray" in request.node.name else 1000
    nodes = {"input:0": node("Number", value=0)}
    for number in range(1, length):
        nodes[f"process:{number}"] = node("Add", "input:0" if number == 1 else f"process:{number - 1}")
    nodes["output:end"] = node("Add", f"process:{length - 1}", n=0)
    started = time.perf_counter()
    assert build(nodes).get_data(["output:end"], explode=True) == [length - 1]
    assert time.perf_counter() - started < 60
