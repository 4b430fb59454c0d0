"""DataPipeline: long chains, wide graphs, data that is passed in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runway import BaseTransform
from tests.pipeline.small import node, pipeline


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
