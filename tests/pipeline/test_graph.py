"""The wiring of a pipeline: dependency order, and all that is wrong with it in one error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from runway import BaseTransform
from runway.errors import ConfigError
from runway.pipeline.graph import Graph, check_pipelines


class Sized(BaseTransform):
    def setup(self, size: int, name: str = "a", _workers: int = 1) -> None:
        self.size = size

    def _call(self, data: Any) -> Any:
        return data


class NoTransform:
    pass


SIZED = f"{__name__}:Sized"


def node(input_node: Any = None, transform: str = "DummyTransform", **settings: Any) -> dict[str, Any]:
    return {"transform_name": transform, "input_node": input_node, "setup_kwargs": settings}


def graph(nodes: Mapping[str, Any], **section: Any) -> Graph:
    return Graph({"transforms": nodes, **section})


DIAMOND = {
    "output:D": node(["process:B", "process:C"]),
    "process:C": node("input:A"),
    "process:B": node("input:A"),
    "input:A": node(),
    "output:Alone": node(),
}


def test_the_order_is_that_of_the_dependencies() -> None:
    made = graph(DIAMOND)
    place = {name: n for n, name in enumerate(made.order)}
    assert place.keys() == DIAMOND.keys()
    assert place["input:A"] < min(place["process:B"], place["process:C"])
    assert max(place["process:B"], place["process:C"]) < place["output:D"]
    assert made.out_ops == ["output:D", "output:Alone"]


def test_ancestors_are_the_targets_and_what_is_above_them_in_order() -> None:
    made = graph(DIAMOND)
    assert made.ancestors(["process:B"]) == ["input:A", "process:B"]
    assert made.ancestors(["output:D"]) == [name for name in made.order if name != "output:Alone"]
    assert made.ancestors(["output:Alone", "output:D"]) == made.order
    assert made.ancestors([]) == []


def test_how_a_node_is_read() -> None:
    made = graph(
        {"input:A": node(), "process:B": node("input:A", SIZED, size=1, _workers=2), "output:C": node(["process:B"])}
    )
    one, many = made.nodes["process:B"], made.nodes["output:C"]
    assert (one.inputs, one.takes_list) == (("input:A",), False)
    assert (many.inputs, many.takes_list) == (("process:B",), True)
    assert one.arguments == {"size": 1}, "settings with an underscore decide nothing about the result"
    assert made.classes["process:B"] is Sized
    assert made.where_of("process:B") == "data_pipeline.transforms.process:B"


def test_one_setting_for_all_nodes() -> None:
    assert not any(found.regenerate or found.inspect for found in graph(DIAMOND).nodes.values())
    made = graph(DIAMOND | {"input:A": node() | {"inspect": False}}, regenerate=True, do_inspect=True)
    assert all(found.regenerate for found in made.nodes.values())
    assert [name for name, found in made.nodes.items() if not found.inspect] == ["input:A"]


@pytest.mark.parametrize(
    ("nodes", "message", "where", "hint"),
    [
        (
            {"process:A": node("process:B"), "process:B": node("process:A")},
            r"the nodes form a cycle: process:(A -> process:B -> process:A|B -> process:A -> process:B)",
            "",
            "input_node",
        ),
        ({"process:A": node("process:A")}, "cycle: process:A -> process:A", "", "input_node"),
        ({"input:A": node(), "output:B": node("input:B")}, "no node 'input:B'", ".output:B.input_node", "'input:A'"),
        ({"output:A": node(None, "DumyTransform")}, "'DumyTransform'", ".output:A.transform_name", "'DummyTransform'"),
        (
            {"output:A": node(None, f"{__name__}:NoTransform")},
            "not a transform",
            ".output:A.transform_name",
            "BaseTransform",
        ),
        ({"output:A": node(None, SIZED, size=1, nam="b")}, "no setting 'nam'", ".output:A.setup_kwargs", "'name'"),
        ({"output:A": node(None, SIZED)}, "needs the setting 'size'", ".output:A.setup_kwargs", "runway show"),
        (
            {"output:A": node(None, SIZED, size="b")},
            "`size` must be a whole number",
            ".output:A.setup_kwargs",
            "runway show",
        ),
    ],
)
def test_what_is_wrong(nodes: dict[str, Any], message: str, where: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        graph(nodes)
    assert caught.value.where == f"data_pipeline.transforms{where}"
    assert hint in str(caught.value.hint)


def test_all_that_is_wrong_is_told_at_once() -> None:
    nodes = {"process:A": node("process:A"), "output:B": node("input:A", SIZED, sice=1)}
    with pytest.raises(ConfigError) as caught:
        graph(nodes, out_ops=["output:C"])
    for said in ("cycle", "no node 'input:A'", "no setting 'sice'", "needs the setting 'size'", "no node 'output:C'"):
        assert said in str(caught.value)


def test_names_of_nodes_that_are_asked_for() -> None:
    made = graph(DIAMOND)
    assert made.check_names(("input:A", "output:D"), "here") == ["input:A", "output:D"]
    with pytest.raises(ConfigError, match="no node 'output:E'") as caught:
        made.check_names(["output:E"], "here")
    assert caught.value.where == "here"


def test_all_pipelines_of_an_experiment_are_checked_together() -> None:
    config = {
        "data_pipeline": {"transforms": {"output:A": node(None, SIZED)}},
        "eval": {"pipeline_config": {"transforms": {"output:B": node("input:C")}}},
        "executor": {"init_kwargs": {"use_data_node": "output:Z"}},
    }
    graphs, errors = check_pipelines(config)
    assert set(graphs) == {"data_pipeline", "eval.pipeline_config"}
    assert {error.where for error in errors} == {
        "data_pipeline.transforms.output:A.setup_kwargs",
        "eval.pipeline_config.transforms.output:B.input_node",
        "executor.init_kwargs.use_data_node",
    }
