"""The code of a transform: all that its source reaches, by name; the ways out; not where runway's modules are."""

from __future__ import annotations

import importlib
import itertools
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runway.pipeline.keys.code import Code, code_of
from runway.pipeline.keys.fingerprint import Unfingerprintable

if TYPE_CHECKING:
    from tests.conftest import Project

MODULE = """
    import numpy

    from runway.transforms.base import BaseTransform

    LIMIT = 3
    UNUSED = 1


    def clean(text):
        return strip(text)[:LIMIT]


    def strip(text):
        return text.strip()


    def adder(step):
        def add(x):
            return x + step

        return add


    plus = adder(1)


    class Op(BaseTransform):
        def _call(self, data):
            return clean(data), plus(1), numpy.zeros(1)


    class Fixed(BaseTransform):
        VERSION = 1

        def _call(self, data):
            return clean(data)


    class Depends(BaseTransform):
        DEPENDS_ON = (LIMIT, clean)

        def _call(self, data):
            return data
"""

Codes = Callable[..., Code]
NAME = "code_under_test"


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Codes]:
    """``code('Op', 'LIMIT = 3', 'LIMIT = 4')`` is that of a class of MODULE after this edit."""
    numbers = itertools.count()

    def forget() -> None:
        sys.modules.pop(NAME, None)

    def code_after(cls: str, old: str = "", new: str = "") -> Code:
        assert old in MODULE
        forget()
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        (folder / f"{NAME}.py").write_text(textwrap.dedent(MODULE.replace(old, new) if old else MODULE))
        monkeypatch.syspath_prepend(str(folder))
        return code_of(getattr(importlib.import_module(NAME), cls))

    yield code_after
    forget()


def changed(one: Code, other: Code) -> set[str]:
    """The parts that differ, without the module's name."""
    assert one.parts.keys() == other.parts.keys()
    return {name.removeprefix(f"{NAME}.") for name in one.parts if one.parts[name] != other.parts[name]}


def test_everything_that_is_reached_has_a_part(code: Codes) -> None:
    found = code("Op")
    mine = {name.removeprefix(f"{NAME}.") for name in found.parts if name.startswith(NAME)}
    assert mine >= {"Op", "clean", "strip", "LIMIT", "adder"}
    assert not mine & {"UNUSED", "Fixed", "Depends"}
    assert found.packages == {"numpy"}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("text.strip()", "text.lstrip()", {"strip"}),
        ("strip(text)[:LIMIT]", "strip(text)[LIMIT:]", {"clean"}),
        ("LIMIT = 3", "LIMIT = 4", {"LIMIT"}),
        ("return x + step", "return x - step", {"adder"}),
        ("plus(1)", "plus(2)", {"Op"}),
        ("UNUSED = 1", "UNUSED = 2", set()),
        ("VERSION = 1", "VERSION = 2", set()),
    ],
)
def test_the_part_that_an_edit_changes(code: Codes, old: str, new: str, expected: set[str]) -> None:
    assert changed(code("Op"), code("Op", old, new)) == expected


def test_what_a_closure_holds_counts(code: Codes) -> None:
    parts = changed(code("Op"), code("Op", "adder(1)", "adder(2)"))
    assert "adder.<locals>.add.<step>" in parts
    assert parts <= {"adder.<locals>.add.<step>", "plus"}


def test_a_version_stands_for_the_source(code: Codes) -> None:
    fixed = code("Fixed")
    assert set(fixed.parts) == {f"{NAME}.Fixed.VERSION"}
    assert code("Fixed", "text.strip()", "text.lstrip()").digest == fixed.digest
    assert code("Fixed", "VERSION = 1", "VERSION = 2").digest != fixed.digest


def test_what_a_class_says_it_depends_on(code: Codes) -> None:
    found = code("Depends")
    assert {"Depends.DEPENDS_ON[0]", f"{NAME}.clean", f"{NAME}.strip"} <= found.parts.keys()
    assert "Depends.DEPENDS_ON[0]" in changed(found, code("Depends", "LIMIT = 3", "LIMIT = 4"))
    assert changed(found, code("Depends", "text.strip()", "text.lstrip()")) == {"strip"}


def test_where_runways_modules_are_is_no_part(code: Codes) -> None:
    runways = {name for name in code("Op").parts if name.startswith("runway.")}
    assert "runway.BaseTransform" in runways
    assert not [name for name in runways if name.startswith(("runway.transforms", "runway.metrics"))]


def test_what_is_named_by_hand_must_have_a_fingerprint(code: Codes) -> None:
    with pytest.raises(Unfingerprintable, match=r"DEPENDS_ON\[0\]: no stable fingerprint"):
        code("Depends", "(LIMIT, clean)", "(object(), clean)")


def test_settings_of_modules_that_only_a_training_loads_do_not_count(project: Project) -> None:
    project.write(
        "src/data_ops/ops.py",
        """
        import numpy
        import settings.numbers
        from runway import BaseTransform, register_transform_functor

        @register_transform_functor
        class Op(BaseTransform):
            def _call(self, data):
                return float(numpy.float32(1))
        """,
    )
    project.write("src/settings/__init__.py", "")
    project.write("src/settings/numbers.py", "import numpy\n\nnumpy.set_printoptions(precision=3)\n")
    project.write("src/executors/setup.py", "import numpy\n\nnumpy.set_printoptions(precision=4)\n")
    project.write("c.jsonnet", "{ data_pipeline: { transforms: { 'output:Op': { transform_name: 'Op' } } } }")
    keys = """
        import sys
        from pathlib import Path
        from runway import DataPipeline, load_config
        from runway.registry import import_project_code
        config = load_config("c.jsonnet")
        import_project_code(config.project, sys.argv[1:])
        print(DataPipeline(config["data_pipeline"], global_config=config).keys())
        """
    project.write("keys.py", keys)

    def key(*kinds: str) -> str:
        return project.python("keys.py", *kinds).stdout

    before = key("data_ops")
    assert key("data_ops", "executors") == before
    project.write("src/executors/setup.py", "import numpy\n\nnumpy.set_printoptions(precision=5)\n")
    assert key("data_ops", "executors") == before
    project.write("src/settings/numbers.py", "import numpy\n\nnumpy.set_printoptions(precision=5)\n")
    assert key("data_ops") != before
