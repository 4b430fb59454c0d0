"""Graphs as trees, Mermaid, Graphviz and pictures."""

from __future__ import annotations

import graphlib
import itertools
import re
import xml.etree.ElementTree as ET

import pytest

from runway.pipeline.drawing import Drawing, dot, drawing_of_config, mermaid, tree
from runway.pipeline.picture import _layers, picture, svg

EDGES = (("a", "b"), ("b", "c"), ("b", "d"), ("x", "d"), ("d", "e"), ("a", "e"))
NAMES = ("a", "x", "b", "c", "d", "e")
STATES = dict(zip(NAMES, ("cached", "not needed", "run", "maybe", "maybe", "maybe"), strict=True))
DRAWING = Drawing(STATES, EDGES, {"d": ("ops.clean", "ops.D"), "e": ("ops.clean",)})


def test_a_tree_has_each_node_once_below_its_inputs() -> None:
    assert [f"{line.rails}{line.node}{line.also}" for line in tree(NAMES, EDGES)] == [
        "a",
        "b",
        "c",
        "x",
        "d  (and b)",
        "e  (and a)",
    ]
    fan = [("a", "b"), ("b", "c"), ("a", "d"), ("d", "e"), ("d", "f")]
    assert [f"{line.rails}{line.node}" for line in tree("abcdef", fan)] == [
        "a",
        "├─ b",
        "│  c",
        "└─ d",
        "   ├─ e",
        "   └─ f",
    ]
    chain = [str(number) for number in range(5000)]
    assert [line.node for line in tree(chain, itertools.pairwise(chain))] == chain


def test_mermaid_and_graphviz_name_all_and_colour_states() -> None:
    text = mermaid(DRAWING._replace(states={**STATES, 'odd "name" <b>': "run"}))
    assert len(re.findall(r"-->", text)) == len(EDGES)
    assert len(re.findall(r"-\.->", text)) == 3
    assert ":::not_needed" in text
    assert "classDef run fill:#" in text
    assert "odd #34;name#34; #60;b#62;" in text
    assert dot(DRAWING).count("->") == len(EDGES) + 3
    assert '"a" [fillcolor="#' in dot(DRAWING)


def test_layers_are_below_what_leads_to_them() -> None:
    layers, routes = _layers(list(NAMES), list(EDGES))
    depth = {name: number for number, layer in enumerate(layers) for name in layer}
    for (start, end), route in routes.items():
        assert (route[0], route[-1]) == (start, end)
        assert [depth[name] for name in route] == list(range(depth[start], depth[end] + 1))


@pytest.mark.parametrize("form", ["svg", "png"])
def test_a_picture_needs_no_program(form: str) -> None:
    content = picture(DRAWING, form)
    if form == "png":
        assert content.startswith(b"\x89PNG")
        return
    words = [
        "".join(text.itertext()).strip() for text in ET.fromstring(content).iter("{http://www.w3.org/2000/svg}text")
    ]
    assert {*NAMES, "ops.clean", "not needed", "code"} <= set(words)
    assert content == picture(DRAWING, form)
    assert picture(Drawing({}, (), {}), form).startswith(b"<?xml")


def test_a_run_s_pipeline_is_drawn_by_its_config_alone() -> None:
    nodes = {
        "process:<b>": {
            "transform_name": "Gone",
            "input_node": ["input:A", "input:elsewhere"],
            "inputs": {"x": "input:B"},
        },
        "input:B": {"transform_name": "B"},
        "input:A": {"transform_name": "A"},
    }
    drawn = drawing_of_config(nodes)
    assert drawn.edges == (("input:A", "process:<b>"), ("input:B", "process:<b>"))
    picture = ET.fromstring(svg(drawn))
    titles = [title.text for title in picture.iter("{http://www.w3.org/2000/svg}title")]
    assert sorted(titles, key=str) == ["input:A: A", "input:B: B", "process:<b>: Gone"]
    with pytest.raises(graphlib.CycleError):
        drawing_of_config({"a": {"input_node": "b"}, "b": {"input_node": "a"}})
