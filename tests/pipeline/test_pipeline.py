"""What a node does to its input never shows in another, and what ran before never shows in its output."""

from __future__ import annotations

import json
import random
from collections import namedtuple
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runway import BaseTransform, DataPipeline, EvalRecorder

if TYPE_CHECKING:
    from tests.conftest import Project

Pair = namedtuple("Pair", "name items")


@dataclass
class Holder:
    items: list = field(default_factory=list)


class Plain:
    def __init__(self) -> None:
        self.items = [1]


def of_dataset_dict() -> Any:
    from datasets import Dataset, DatasetDict

    return DatasetDict(train=Dataset.from_dict({"x": [1, 2]}), test=Dataset.from_dict({"x": [3]}))


def spoil_dataset_dict(data: Any) -> None:
    data["train"].set_format("numpy", columns=["x"])
    data["new"] = data.pop("test")


def of_array() -> Any:
    import numpy

    return numpy.zeros(3)


def of_recorder() -> Any:
    recorder = EvalRecorder(name="r")
    recorder.log_sample_dict({"x": 1})
    return recorder


def spoil_array(data: Any) -> None:
    data[0] = 9


def of_state_dict() -> Any:
    import torch

    return {"weight": torch.nn.Parameter(torch.zeros(2)), "bias": torch.zeros(1)}


def spoil_state_dict(data: Any) -> None:
    import torch

    with torch.no_grad():
        data["weight"][0] = 9
        data["bias"] += 1


# {case: (make it, spoil it in place, what of it is compared)}
VALUES: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], Callable[[Any], Any]]] = {
    "DatasetDict": (
        of_dataset_dict,
        spoil_dataset_dict,
        lambda data: {k: (d[:], d.format["type"]) for k, d in data.items()},
    ),
    "dict": (lambda: {"a": {"b": [1]}}, lambda data: data["a"]["b"].append(2), lambda data: data),
    "nested list": (lambda: [[1], [[2]]], lambda data: data[1][0].append(3), lambda data: data),
    "tuple": (lambda: ([1], {2: [3]}), lambda data: data[1][2].append(4), lambda data: data),
    "named tuple": (lambda: Pair("a", [1]), lambda data: data.items.append(2), tuple),
    "dataclass": (lambda: Holder([1]), lambda data: data.items.append(2), lambda data: data.items),
    "object": (Plain, lambda data: data.items.append(2), lambda data: data.items),
    "numpy": (of_array, spoil_array, lambda data: data.tolist()),
    "torch": (of_state_dict, spoil_state_dict, lambda data: {key: part.tolist() for key, part in data.items()}),
    "EvalRecorder": (
        of_recorder,
        lambda data: (data.log_sample_dict({"x": 2}), data.log_stats_dict({"mean": 1.5})),
        lambda data: (data.get_sample_logs_column("x"), len(data)),
    ),
}


class MakeValue(BaseTransform):
    def setup(self, case: str) -> None:
        self.case = case

    def _call(self, data: Any) -> Any:
        return VALUES[self.case][0]()


class Spoil(BaseTransform):
    def setup(self, case: str, n: int) -> None:
        self.case = case

    def _call(self, data: Any) -> Any:
        before = repr(VALUES[self.case][2](data))
        VALUES[self.case][1](data)
        return [before, repr(VALUES[self.case][2](data))]


class Draw(BaseTransform):
    def setup(self, n: int) -> None:
        self.n = n

    def _call(self, data: Any) -> Any:
        import numpy
        import torch

        return [random.random(), float(numpy.random.rand()), float(torch.rand(1))]


def node(cls: type, input_node: Any = None, cache: bool = True, **kwargs: Any) -> dict[str, Any]:
    return {
        "transform_name": f"{cls.__module__}:{cls.__qualname__}",
        "input_node": input_node,
        "setup_kwargs": kwargs,
        "cache": cache,
    }


def pipeline(path: Path, nodes: Mapping[str, Any]) -> DataPipeline:
    return DataPipeline({"transforms": nodes}, project=path, cache_dir=path / "cache")


@pytest.mark.parametrize("cached", [True, False], ids=["cached", "uncached"])
@pytest.mark.parametrize("case", VALUES)
def test_two_consumers_of_one_node(tmp_path: Path, case: str, cached: bool) -> None:
    nodes = {"input:A": node(MakeValue, cache=cached, case=case)}
    nodes |= {f"output:{n}": node(Spoil, "input:A", case=case, n=n) for n in range(3)}
    dp = pipeline(tmp_path, nodes)
    outputs = dp.apply_transforms()
    whole = repr(VALUES[case][2](VALUES[case][0]()))
    for before, after in outputs.values():
        assert before == whole
        assert after != whole  # it was spoilt, or this test says nothing
    # and what the caller gets is the caller's own
    first, second = (dp.get_data(["input:A"], explode=True) for _ in range(2))
    VALUES[case][1](first)
    assert repr(VALUES[case][2](second)) == whole
    assert repr(VALUES[case][2](dp.get_data(["input:A"], explode=True))) == whole


def test_the_seed_of_a_node_is_its_own(tmp_path: Path) -> None:
    import numpy
    import torch

    nodes = {f"output:{n}": node(Draw, n=n) for n in range(3)}
    together = pipeline(tmp_path / "a", nodes).apply_transforms()
    random.seed(1)
    numpy.random.seed(1)
    torch.manual_seed(1)
    python_state, numpy_state, torch_state = random.getstate(), numpy.random.get_state(), torch.random.get_rng_state()
    alone = pipeline(tmp_path / "b", nodes).get_data(["output:2"])
    assert alone["output:2"] == together["output:2"]
    assert len({str(draws) for draws in together.values()}) == 3
    # and training goes on as if no node had run
    assert random.getstate() == python_state
    assert all(numpy.array_equal(x, y) for x, y in zip(numpy.random.get_state(), numpy_state, strict=True))
    assert torch.equal(torch.random.get_rng_state(), torch_state)


class Count(BaseTransform):
    def setup(self, n: int = 0) -> None:
        self.n = n

    def _call(self, data: Any) -> Any:
        return (sum(data) if isinstance(data, list) else data or 0) + 1


@pytest.mark.parametrize("cached", [True, False], ids=["cached", "uncached"])
def test_a_chain_of_10000_nodes(tmp_path: Path, cached: bool) -> None:
    size = 2000 if cached else 10_000  # files are slower than memory, and the recursion limit is 1000
    nodes = {"input:0": node(Count, cache=cached)}
    nodes |= {f"process:{n}": node(Count, f"{'process' if n > 1 else 'input'}:{n - 1}", cached) for n in range(1, size)}
    nodes["output:last"] = node(Count, f"process:{size - 1}")
    assert pipeline(tmp_path, nodes).get_data(["output:last"], explode=True) == size + 1
    dp = pipeline(tmp_path, nodes)
    assert dp.prepare() == []
    assert dp.get_data(["output:last"], explode=True) == size + 1


def test_a_wide_graph_and_a_ladder(tmp_path: Path) -> None:
    nodes = {f"input:{n}": node(Count, cache=False, n=n) for n in range(1000)}
    nodes["output:all"] = node(Count, list(nodes))
    assert pipeline(tmp_path, nodes).get_data(["output:all"], explode=True) == 1001
    # two rungs a step, each fed by both of the step above: 2 ** 100 paths, 202 nodes
    ladder = {f"input:0{side}": node(Count, cache=False) for side in "ab"}
    for n in range(1, 101):
        above = [f"{'process' if n > 1 else 'input'}:{n - 1}{side}" for side in "ab"]
        ladder |= {f"process:{n}{side}": node(Count, above, cache=n % 2 == 0) for side in "ab"}
    ladder["output:top"] = node(Count, "process:100a")
    dp = pipeline(tmp_path, ladder)
    assert dp.get_data(["output:top"], explode=True) == 2**101
    assert pipeline(tmp_path, ladder).prepare() == []


def test_data_that_is_passed_in(tmp_path: Path) -> None:
    nodes = {"input:A": node(Count), "process:B": node(Count, "input:A"), "output:C": node(Count, "process:B")}
    dp = pipeline(tmp_path, nodes)
    assert dp.get_data(["output:C"], explode=True) == 3
    assert dp.get_data(["output:C"], explode=True, input_data_dict={"process:B": 10}) == 12
    assert dp.get_data(["output:C"], explode=True, input_data_dict={"input:A": 5}) == 8
    assert dp.get_data(["output:C"], explode=True) == 3
    assert pipeline(tmp_path, nodes).get_data(["output:C", "process:B"]) == {"output:C": 3, "process:B": 2}


def test_mapping_a_method_over_rows_does_not_make_the_whole_config_count(project: Project) -> None:
    project.write(
        "src/data_ops/mapping.py",
        """
        from runway import BaseTransform, HFDatasetTransform, register_transform_functor


        @register_transform_functor
        class Rows(BaseTransform):
            def _call(self, data):
                from datasets import Dataset

                return Dataset.from_dict({"n": [1, 2, 3, 4]})


        @register_transform_functor
        class Scale(HFDatasetTransform):
            def setup(self, _num_proc=None, **kwargs):
                super().setup(**kwargs)
                self.num_proc = _num_proc

            def _call(self, data):
                return data.map(self.scale, num_proc=self.num_proc)

            def scale(self, row):
                return {"n": row["n"] * self.global_config.mine.factor}
        """,
    )
    nodes = {
        "input:Rows": {"transform_name": "Rows"},
        "output:Scaled": {"input_node": "input:Rows", "transform_name": "Scale"},
    }
    project.write("c.jsonnet", json.dumps({"mine": {"factor": 2}, "data_pipeline": {"transforms": nodes}}))

    def ran(*overrides: str) -> list[str]:
        return json.loads(project.run("prepare", "c.jsonnet", "--json", *overrides).stdout)["ran"]

    assert ran() == ["input:Rows", "output:Scaled"]
    assert ran("experiment_name=other", "some.thing=1") == []
    assert ran("mine.factor=3") == ["output:Scaled"]
    workers = "data_pipeline.transforms.output:Scaled.setup_kwargs._num_proc=2"
    assert ran("mine.factor=4", workers) == ["output:Scaled"], "and a worker process can read it"
