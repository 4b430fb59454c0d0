"""One project, many ways in which code and files reach an output: after each edit exactly what changes runs again."""

from __future__ import annotations

import ast
import gzip
import json
import shutil
import textwrap
from pathlib import Path

import pytest

from tests.conftest import Project
from tests.pipeline.keys.situations import SITUATIONS
from tests.pipeline.keys.situations.situation import Edit, operation

TRACE = """
import json
import os


def told(node, value):
    value = json.loads(json.dumps(value))
    with open(os.environ["RAN"], "a") as file:
        file.write(repr((node, value)) + "\\n")
    return value
"""


class Reached:
    """The project of all situations.

    Attributes:
        values: {output node: its right value}, of a run without a cache.
        history: {output node: its values so far}.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.values: dict[str, object] = {}
        self.history: dict[str, list] = {}
        project.write("src/trace_of.py", TRACE)
        nodes: dict[str, dict] = {}
        for situation in SITUATIONS:
            for file, text in situation.files.items():
                self._write(file, textwrap.dedent(text).lstrip("\n"))
            node = nodes[f"output:{situation.name}"] = {"transform_name": situation.name}
            project.write(f"src/data_ops/op_{situation.name.lower()}.py", operation(situation))
            if situation.makes is not None:
                project.write(f"src/data_ops/op_{situation.name.lower()}_made.py", operation(situation, "Made"))
                nodes[f"input:{situation.name}"] = {"transform_name": f"Made{situation.name}"}
                node["input_node"] = f"input:{situation.name}"
        config = {"meta": {"default_cache_dir": "cache"}, "data_pipeline": {"transforms": nodes}}
        project.write("config.jsonnet", json.dumps(config))

    def _place(self, file: str) -> Path:
        return self.project.path / (file[1:] if file.startswith("/") else f"src/{file}")

    def _write(self, file: str, text: str) -> None:
        path = self._place(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        if file.endswith(".gz"):
            path.write_bytes(gzip.compress(text.encode(), mtime=0))
        else:
            path.write_text(text, encoding="utf-8")

    def edit(self, edit: Edit) -> None:
        """Do one edit: a new file, a file that goes, or a piece of one."""
        path = self._place(edit.file)
        if edit.old is None:
            assert not path.exists()
            assert edit.new is not None
            self._write(edit.file, edit.new)
            return
        text = gzip.decompress(path.read_bytes()).decode() if edit.file.endswith(".gz") else path.read_text("utf-8")
        assert edit.old in text, f"{edit.old!r} is not in {edit.file}"
        if edit.new is None:
            path.unlink()
        else:
            self._write(edit.file, text.replace(edit.old, edit.new))

    def prepare(self, *arguments: str) -> dict[str, object]:
        """{output node that ran: its output} of one `runway prepare`."""
        trace = self.project.path.parent / "ran.txt"
        trace.unlink(missing_ok=True)
        self.last = self.project.run("prepare", "config.jsonnet", *arguments, env={"RAN": str(trace)})
        lines = trace.read_text("utf-8").splitlines() if trace.exists() else []
        ran = [ast.literal_eval(line) for line in lines]
        assert len(ran) == len(dict(ran)), "a node ran twice"
        return dict(ran)

    def truth(self) -> dict[str, object]:
        """What every node gives now, computed without what is cached."""
        values = self.prepare("meta.default_cache_dir=fresh")
        shutil.rmtree(self.project.path / "fresh")
        return values


@pytest.fixture(scope="module")
def reached(tmp_path_factory: pytest.TempPathFactory) -> Reached:
    """The project, prepared once."""
    made = Reached(Project(tmp_path_factory.mktemp("reached") / "project"))
    made.values = made.truth()
    made.history = {node: [value] for node, value in made.values.items()}
    assert sorted(made.values) == sorted(f"output:{situation.name}" for situation in SITUATIONS)
    assert made.prepare() == made.values
    return made


@pytest.mark.unknown_code
def test_exactly_what_changes_runs_again(reached: Reached) -> None:
    """One test, as each round goes on from the one before, and test processes share nothing."""
    assert reached.prepare() == {}
    for number in range(max(len(situation.edits) for situation in SITUATIONS)):
        _one_round(reached, number)
    reached.project.path = reached.project.path.rename(reached.project.path.with_name("moved"))
    assert reached.prepare() == {}, "moving the project ran something"


def _one_round(reached: Reached, number: int) -> None:
    expected = set()
    for situation in SITUATIONS:
        for edit in situation.edits[number : number + 1]:
            reached.edit(edit)
            expected |= {f"output:{situation.name}"} if edit.changes else set()
    before, reached.values = reached.values, reached.truth()
    changed = {node for node in before if before[node] != reached.values.get(node)}
    ran = reached.prepare()
    # One whose code is again what it was has its entry from then.
    known = {node for node in changed if reached.values[node] in reached.history[node]}
    for node in changed:
        reached.history[node].append(reached.values[node])
    assert not changed - known - set(ran), "an old value was kept"
    assert not set(ran) - changed, "what does not change ran again"
    assert changed == expected, "the edits do not do what they say"
    assert ran == {node: reached.values[node] for node in ran}
