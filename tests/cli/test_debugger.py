"""Breakpoints and the debugger where a node has failed, at a terminal; and what is said where nobody can answer."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.cli.terminal import PDB, Terminal, ask, end

if TYPE_CHECKING:
    from tests.conftest import Project

CONFIG = """\
{
  experiment_name: 'stops',
  data_pipeline: {
    transforms: {
      'input:Load': { transform_name: 'LoadHFDataset', setup_kwargs: { dataset_path: 'reviews.csv' } },
      'process:Shout': { input_node: 'input:Load', transform_name: 'Shout', setup_kwargs: { column: 'text' } },
      'output:Look': { input_node: 'process:Shout', transform_name: 'InsertBreakpoint', cache: false },
    },
  },
}
"""
OPERATIONS = """
from runway import HFDatasetTransform, register_transform_functor


def shout(text):
    if "dull" in text:
        raise ValueError("a dull text")
    return text.upper()


@register_transform_functor
class Shout(HFDatasetTransform):
    def setup(self, column, **kwargs):
        super().setup(**kwargs)
        self.column = column

    def _call(self, data):
        texts = [shout(text) for text in data["train"][self.column]]
        data["train"] = data["train"].remove_columns(self.column).add_column(self.column, texts)
        return data
"""


@pytest.fixture
def stops(project: Project) -> Project:
    """A pipeline of three nodes, the last of which is a breakpoint."""
    project.write("src/data_ops/ops.py", OPERATIONS)
    project.write("config.jsonnet", CONFIG)
    project.write("reviews.csv", "text,label\nA fine film,1\nNot a fine film,0\n")
    return project


@pytest.fixture
def terminal(stops: Project) -> Iterator[Terminal]:
    """Starts commands at a terminal."""
    started = Terminal(stops)
    yield started
    started.close()


def test_the_session_of_the_tutorial(terminal: Terminal) -> None:
    child = terminal(
        "--config", "config.jsonnet", "--mode", "prepare_data", "--opts", "meta.EXPERIMENT_FOLDER=experiments/small"
    )
    child.expect(r"Data under inspection: DatasetDict\(")
    child.expect(PDB)
    assert "runway/transforms/inspect.py" in child.before
    assert ask(child, "data['train'][0]['text']") == "'A FINE FILM'"
    assert ask(child, "data['train'][0]['label']") == "1"
    said, code = end(child, "c")
    assert code == 0
    assert "data prepared: 3 nodes ran" in said


def test_stops_before_and_after_nodes_and_changes_nothing(terminal: Terminal, stops: Project) -> None:
    look = "~data_pipeline.transforms.output:Look"
    words = ("prepare", "config.jsonnet", look, "--nodes", "process:Shout")
    child = terminal(*words, "--runner", "processes", "--break-at", "process:Shout:before", "input:Load")
    child.expect("`data` comes out of input:Load")
    child.expect(PDB)
    assert "_look(" in child.before  # a frame that holds these and nothing else
    assert ask(child, "data['train'].column_names") == "['text', 'label']"
    ask(child, "del data['train']")
    child.sendline("c")
    child.expect("`data` goes into process:Shout")
    child.expect(PDB)
    assert ask(child, "transform.column, node") == "('text', 'process:Shout')"
    assert ask(child, "transform(data)['train']['text'][0]") == "'A FINE FILM'"
    ask(child, "data['train'] = None")
    assert ask(child, "import random; random.seed(1)") == ""
    assert end(child, "c")[1] == 0
    # What was done at the stops is neither in a key nor in what is kept; what is kept is shown from there.
    assert "no nodes ran" in stops.run(*words).stderr
    child = terminal(*words, "--break-at", "process:Shout:before", "process:Shout")
    child.expect("`data` goes into process:Shout")
    child.expect(PDB)
    assert ask(child, "data['train']['text'][0]") == "'A fine film'"
    child.sendline("c")
    child.expect("`data` comes out of process:Shout")
    child.expect(PDB)
    assert ask(child, "data['train']['text'][0]") == "'A FINE FILM'"
    said, code = end(child, "q")
    assert code == 1
    assert "stopped at the breakpoint" in said


def test_a_failing_node_opens_the_debugger_where_it_failed(terminal: Terminal, stops: Project) -> None:
    stops.write("reviews.csv", "text,label\nA fine film,1\nA dull film,0\n")
    child = terminal("prepare", "config.jsonnet", "--pdb")
    child.expect("ValueError: a dull text")
    child.expect(PDB)
    assert 'raise ValueError("a dull text")' in child.before
    assert ask(child, "text") == "'A dull film'"
    assert ask(child, "data['train'].num_rows, node") == "(2, 'process:Shout')"
    assert "_call" in ask(child, "up 2")
    assert ask(child, "self.column") == "'text'"
    said, code = end(child, "q")
    assert code == 1
    assert "Node failed: ValueError: a dull text" in said


def test_without_a_terminal_nothing_stops_and_the_error_says_it_all(stops: Project) -> None:
    stops.write("reviews.csv", "text,label\nA fine film,1\nA dull film,0\n")
    said = stops.run("prepare", "config.jsonnet", "--pdb", "--break-at", "input:Load", check=False)
    assert said.returncode == 1
    assert "--break-at and --pdb: there is no terminal, so nothing stops" in said.stderr
    lines = said.stderr[said.stderr.index("Traceback") :].splitlines()
    assert "src/data_ops/ops.py" in lines[1]
    assert "runway/" not in "\n".join(line for line in lines if line.startswith("  File"))
    assert lines[-4:] == [
        "ValueError: a dull text",
        "Node failed: ValueError: a dull text",
        '  where: node \'process:Shout\', transform Shout, setup_kwargs {"column": "text"}',
        "  input: DatasetDict {train: Dataset, 2 rows (text, label)}",
    ]
    said = stops.run("prepare", "config.jsonnet", "--break-at", "input:Laod:before", check=False)
    assert said.returncode == 2
    assert "did you mean 'input:Load'?" in said.stderr


@pytest.mark.parametrize("runner", ["serial", "processes"])
def test_from_python_the_error_ends_in_the_line_that_raised(stops: Project, runner: str) -> None:
    stops.write("reviews.csv", "text,label\nA fine film,1\nA dull film,0\n")
    code = f"""
        import traceback
        from runway import DataPipeline, load_config
        config = load_config("config.jsonnet")
        try:
            DataPipeline(config["data_pipeline"], config, runner={runner!r}).prepare(["process:Shout"])
        except Exception as error:
            found = error
        innermost = list(traceback.walk_tb(found.__traceback__))[-1][0]
        print(innermost.f_code.co_name, innermost.f_locals.get("text"), type(found.__cause__).__name__)
        print("in shout" in "".join(traceback.format_exception(found)), found)
    """
    said = stops.python("-c", textwrap.dedent(code)).stdout
    expected = "shout A dull film ValueError" if runner == "serial" else "ToldTraceback"
    assert expected in said
    assert "True 1 node failed" in said
    assert "input: DatasetDict {train: Dataset, 2 rows (text, label)}" in said
