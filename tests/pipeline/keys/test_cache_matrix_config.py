"""The cache matrix, config and files: what a node is given and what it reads on the way."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from tests.conftest import Project
from tests.pipeline.cached import Cached
from tests.pipeline.everything import MODULES

OPERATIONS = """
from helpers import scale
from runway import BaseTransform, register_transform_functor
from tracing import note


class Noted(BaseTransform):
    def _call(self, data):
        return note(self, self.compute(data))


@register_transform_functor
class Make(Noted):
    def setup(self, n=1, names=None, **kwargs):
        self.n = n
        self.kwargs = kwargs

    def compute(self, data):
        return [self.n]


@register_transform_functor
class MakeOtherwise(Make):
    def compute(self, data):
        return [-self.n]


@register_transform_functor
class Add(Noted):
    def setup(self, k=1):
        self.k = k

    def compute(self, data):
        return [value + self.k for value in data]


@register_transform_functor
class ReadBatchSize(Noted):
    def compute(self, data):
        if "optional" in self.global_config:
            return data + ["optional"]
        return data + [self.global_config.train.batch_size]


@register_transform_functor
class ReadFiles(Noted):
    def setup(self, file, pattern):
        self.file, self.pattern = file, pattern

    def compute(self, data):
        found = [path.read_text() for path in self.track_glob(self.pattern)]
        return [self.track_file(self.file).read_text(), *found]


@register_transform_functor
class Few(Noted):
    def compute(self, data):
        return list(range(2 if self.use_dummy_data else 4))


@register_transform_functor
class Join(Noted):
    def compute(self, data):
        return [item for part in data for item in part]


@register_transform_functor
class Versioned(Noted):
    VERSION = 1

    def compute(self, data):
        return scale(data)


@register_transform_functor
class Depending(Noted):
    DEPENDS_ON = (scale,)

    def compute(self, data):
        return globals()["sca" + "le"](data)
"""

HELPERS = """
def scale(data):
    return [10 * value for value in data]
"""


class Wired(Cached):
    """A project whose nodes a test writes."""

    def wire(self, **nodes: dict) -> None:
        """Write the config: `output__C=…` is the node `output:C`."""
        transforms = {name.replace("__", ":"): node for name, node in nodes.items()}
        content = {"experiment_name": "wired", "train": {"batch_size": 8}, "data_pipeline": {"transforms": transforms}}
        self.project.write(self.config, json.dumps(content, indent=1))


def node(transform_name: str, input_node: str | list[str] | None = None, **fields: object) -> dict:
    """A node of the config; what is no field of a node is a setting."""
    kwargs = {key: value for key, value in fields.items() if key not in ("cache", "regenerate")}
    wired = {"transform_name": transform_name, "input_node": input_node, "setup_kwargs": kwargs}
    return {**wired, **{key: value for key, value in fields.items() if key not in kwargs}}


@pytest.fixture
def wired(project: Project) -> Wired:
    """A project with the transforms above and no nodes yet."""
    project.write("src/data_ops/ops.py", OPERATIONS)
    project.write("src/helpers.py", HELPERS)
    project.write("src/tracing.py", MODULES["src/tracing.py"])
    return Wired(project)


def test_arguments(wired: Wired) -> None:
    wired.wire(
        input__A=node("Make", n=1), process__B=node("Add", "input:A", k=1), output__C=node("Add", "process:B", k=5)
    )
    assert wired.prepare() == {"input:A": [1], "process:B": [2], "output:C": [7]}
    b = "data_pipeline.transforms.process:B.setup_kwargs"
    a = "data_pipeline.transforms.input:A.setup_kwargs"
    assert wired.prepare(f"{b}.k=2") == {"process:B": [3], "output:C": [8]}
    assert wired.prepare() == {}  # there and back
    assert wired.stored("output:C") == [7]
    # of another type, and so perhaps of another meaning
    assert list(wired.prepare(f"{b}.k=1.5")) == ["process:B", "output:C"]
    assert list(wired.prepare(f"{b}.k=true")) == ["process:B"]  # 1 + true is 2 again
    # what starts with an underscore never counts, nor does the order of keys
    assert wired.prepare(f"{a}._num_proc=4", f"{a}._names=[1]") == {}
    assert list(wired.prepare(f'{a}.names={{"x": 1, "y": 2}}')) == ["input:A"]
    assert wired.prepare(f'{a}.names={{"y": 2, "x": 1}}') == {}


def test_two_outputs_off_one_node(wired: Wired) -> None:
    wired.wire(input__A=node("Make", n=1), output__B=node("Add", "input:A", k=1), output__C=node("Add", "input:A", k=2))
    assert wired.prepare() == {"input:A": [1], "output:B": [2], "output:C": [3]}
    changed = "data_pipeline.transforms.input:A.setup_kwargs.n=5"
    assert wired.prepare(changed) == {"input:A": [5], "output:B": [6], "output:C": [7]}
    # one after the other: the second must not take the first's change for its own
    assert wired.prepare("--nodes", "output:B", "--opts", changed.replace("5", "6")) == {
        "input:A": [6],
        "output:B": [7],
    }
    assert wired.prepare("--nodes", "output:C", "--opts", changed.replace("5", "6")) == {"output:C": [8]}


def test_wiring(wired: Wired) -> None:
    chain = {"input__A": node("Make", n=1), "process__B": node("Add", "input:A"), "output__C": node("Add", "process:B")}
    wired.wire(**chain)
    wired.prepare()
    # other names, another place in the file: the same nodes
    wired.wire(
        output__Last=node("Add", "process:Middle"),
        process__Middle=node("Add", "input:First"),
        input__First=node("Make", n=1),
    )
    assert wired.prepare() == {}
    # another input; a list of one is not the one
    wired.wire(**{**chain, "output__C": node("Add", "input:A")})
    assert wired.prepare() == {}  # it is the same as B: +1 on A
    assert wired.stored("output:C") == [2]
    wired.wire(**{**chain, "output__C": node("Join", ["process:B", "input:A"])})
    assert wired.prepare() == {"output:C": [2, 1]}
    wired.wire(**{**chain, "output__C": node("Join", ["input:A", "process:B"])})
    assert wired.prepare() == {"output:C": [1, 2]}
    # another transform
    wired.wire(**{**chain, "input__A": node("MakeOtherwise", n=1)})
    assert wired.prepare() == {"input:A": [-1], "process:B": [0], "output:C": [1]}


def test_config_values_that_a_node_reads(wired: Wired) -> None:
    wired.wire(
        input__A=node("Make", n=1),
        process__B=node("ReadBatchSize", "input:A"),
        output__C=node("Join", ["process:B", "input:A"]),
    )
    wired.edit("src/data_ops/ops.py", "for item in part]", "for item in part if item != 'optional']")
    assert wired.prepare() == {"input:A": [1], "process:B": [1, 8], "output:C": [1, 8, 1]}
    assert wired.prepare("my_own_key=1", "test.batch_size=3") == {}  # nobody reads them
    assert wired.prepare("train.batch_size=9") == {"process:B": [1, 9], "output:C": [1, 9, 1]}
    assert wired.prepare() == {}
    assert wired.stored("output:C") == [1, 8, 1]
    assert wired.prepare("optional=1") == {"process:B": [1, "optional"], "output:C": [1, 1]}
    assert wired.prepare() == {}
    assert wired.prepare("train.batch_size=10")["process:B"] == [1, 10]
    assert wired.reasons("process:B", "train.batch_size=11") == ["config train.batch_size changed"]


def test_files_that_a_node_reads(wired: Wired) -> None:
    wired.project.write("data/reviews.csv", "good")
    wired.project.write("data/more/1.txt", "one")
    reader = node("ReadFiles", file="data/reviews.csv", pattern="data/more/*.txt")
    wired.wire(input__A=reader, output__C=node("Join", ["input:A"]))
    assert wired.prepare()["input:A"] == ["good", "one"]
    assert wired.prepare() == {}
    wired.project.write("data/reviews.csv", "evil")  # of the same size
    assert wired.reasons("input:A") == ["file data/reviews.csv changed"]
    assert wired.prepare()["input:A"] == ["evil", "one"]
    wired.project.write("data/more/2.txt", "two")
    assert wired.reasons("input:A") == ["glob data/more/*.txt changed"]
    assert wired.prepare()["input:A"] == ["evil", "one", "two"]
    wired.project.write("data/unrelated.txt", "x")
    os.utime(wired.project.path / "data/reviews.csv")  # touched only
    assert wired.prepare() == {}
    wired.project.write("data/reviews.csv", "good")
    (wired.project.path / "data/more/2.txt").unlink()
    assert wired.prepare() == {}  # as it was in the beginning
    assert wired.stored("input:A") == ["good", "one"]
    # a large file, whose digest is remembered by its stamp
    wired.project.write("data/reviews.csv", "x" * 400_000)
    assert list(wired.prepare()) == ["input:A", "output:C"]
    assert wired.prepare() == {}
    wired.project.write("data/reviews.csv", "y" * 400_000)
    assert wired.prepare()["input:A"][0] == "y" * 400_000
    # an uncached loader: what reads its output depends on the file
    wired.wire(input__A={**reader, "cache": False}, output__C=node("Join", ["input:A"]))
    assert list(wired.prepare()) == ["input:A", "output:C"]
    assert wired.prepare() == {}
    wired.project.write("data/reviews.csv", "z")
    assert wired.prepare()["output:C"] == ["z", "one"]


def test_a_project_that_moves_stays_cached(wired: Wired, tmp_path: Path) -> None:
    wired.project.write("data/reviews.csv", "good")
    wired.wire(output__A=node("ReadFiles", file="data/reviews.csv", pattern="data/*.txt"))
    assert list(wired.prepare()) == ["output:A"]
    shutil.move(wired.project.path, tmp_path / "elsewhere")
    moved = Wired(Project(tmp_path / "elsewhere"))
    assert moved.prepare(env={"PYTHONHASHSEED": "7"}) == {}
    (tmp_path / "other").mkdir()
    cwd = Project(tmp_path / "other")
    printed = cwd.run("prepare", moved.project.path / moved.config, "--json", env=moved.env)
    assert json.loads(printed.stdout) == {"ran": []}
    assert not list((tmp_path / "other").glob("cache"))


def test_version_and_depends_on(wired: Wired) -> None:
    wired.wire(
        input__A=node("Make", n=1), output__V=node("Versioned", "input:A"), output__D=node("Depending", "input:A")
    )
    assert wired.prepare() == {"input:A": [1], "output:D": [10], "output:V": [10]}
    wired.edit("src/helpers.py", "10 *", "20 *")
    assert wired.prepare() == {"output:D": [20]}  # its source names the helper in DEPENDS_ON only
    wired.edit("src/data_ops/ops.py", "return scale(data)", "return scale(data) + [0]")
    assert wired.prepare() == {}  # VERSION stands for its code
    wired.edit("src/data_ops/ops.py", "VERSION = 1", "VERSION = 2")
    assert wired.prepare() == {"output:V": [20, 0]}


def test_regenerate(wired: Wired) -> None:
    wired.wire(
        input__A=node("Make", n=1),
        process__B=node("Add", "input:A", regenerate=True),
        output__C=node("Add", "process:B"),
    )
    assert list(wired.prepare()) == ["input:A", "process:B", "output:C"]
    assert wired.prepare() == {"process:B": [2]}  # it gave the same: what is below stays
    wired.wire(
        input__A=node("Make", n=1),
        process__B=node("Add", "input:A", regenerate=True, cache=False),
        output__C=node("Add", "process:B"),
    )
    assert list(wired.prepare()) == ["process:B", "output:C"]
    assert list(wired.prepare("data_pipeline.regenerate=true")) == ["input:A", "process:B", "output:C"]


def test_an_uncached_node_in_the_middle(wired: Wired) -> None:
    wired.wire(
        input__A=node("Make", n=1), process__B=node("Add", "input:A", cache=False), output__C=node("Add", "process:B")
    )
    assert list(wired.prepare()) == ["input:A", "process:B", "output:C"]
    assert wired.prepare() == {}
    changed = wired.prepare("data_pipeline.transforms.process:B.setup_kwargs.k=2")
    assert changed == {"process:B": [3], "output:C": [4]}
    # an uncached output is run for the data that it has not seen, and not again for what it has
    wired.wire(input__A=node("Make", n=1), output__C=node("Add", "input:A", cache=False, k=7))
    assert wired.prepare() == {"output:C": [8]}
    assert wired.prepare() == {}
    # kept from now on
    wired.wire(input__A=node("Make", n=1), output__C=node("Add", "input:A", k=7))
    assert wired.prepare() == {"output:C": [8]}
    assert wired.stored("output:C") == [8]


def test_dummy_data(wired: Wired) -> None:
    wired.wire(input__A=node("Few"), input__B=node("Make", n=1), output__C=node("Join", ["input:A", "input:B"]))
    assert wired.prepare()["output:C"] == [0, 1, 2, 3, 1]
    assert wired.prepare("--use_dummy_data") == {"input:A": [0, 1], "output:C": [0, 1, 1]}  # B does not ask
    assert wired.prepare("--use_dummy_data") == {}
    assert wired.prepare() == {}
    assert wired.stored("output:C") == [0, 1, 2, 3, 1]


def test_what_a_node_changes_in_a_module_makes_no_key(wired: Wired) -> None:
    wired.project.write("src/shared.py", "SEEN = []\n")
    wired.project.write(
        "src/data_ops/more.py",
        """
        import shared
        from data_ops.ops import Noted
        from runway import register_transform_functor


        @register_transform_functor
        class Remember(Noted):
            def compute(self, data):
                shared.SEEN.append(1)
                return (data or []) + [1]
        """,
    )
    wired.wire(
        input__A=node("Remember"), process__B=node("Remember", "input:A"), output__C=node("Remember", "process:B")
    )
    assert list(wired.prepare()) == ["input:A", "process:B", "output:C"]
    assert wired.prepare() == {}


def test_a_file_that_is_edited_during_the_run_does_not_say_what_ran(wired: Wired) -> None:
    wired.edit("src/data_ops/ops.py", "from helpers import scale", "import helpers\nfrom helpers import scale")
    wired.edit(
        "src/data_ops/ops.py",
        "        return [self.n]\n",
        "        with open(helpers.__file__, 'w') as file:\n"
        "            file.write('def scale(data):\\n    return [77 for value in data]\\n')\n"
        "        return [self.n]\n",
    )
    wired.edit("src/data_ops/ops.py", "VERSION = 1\n", "")
    wired.wire(input__A=node("Make", n=1), output__C=node("Versioned", "input:A"))
    assert wired.prepare() == {"input:A": [1], "output:C": [10]}
    assert wired.prepare()["output:C"] == [77]  # the new code, which did not run yet


def test_an_edit_within_the_same_second_is_seen(wired: Wired) -> None:
    wired.wire(input__A=node("Make", n=1), output__C=node("Depending", "input:A"))
    second = int(time.time()) + 5  # Python knows stale bytecode by this and the size
    for factor in (10, 20, 30):
        path = wired.project.write("src/helpers.py", HELPERS.replace("10", str(factor)))
        os.utime(path, (second, second))
        assert wired.prepare()["output:C"] == [factor]
