"""What a node does to its input never shows in another."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from runway import BaseTransform, EvalRecorder
from tests.pipeline.small import node, pipeline

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
