"""Live sessions: what is served is what the code that is loaded gives, whatever was edited, reloaded or patched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Project

SESSION = Path(__file__).with_name("live_session.py")


@pytest.mark.parametrize("seed", [1, 2])
def test_a_random_session_never_serves_a_wrong_value(project: Project, seed: int) -> None:
    done = project.python(SESSION, seed, 500)
    counts = json.loads(done.stdout.splitlines()[-1])
    assert counts["wrong"] == 0, done.stdout
    assert counts["runs"] > 100
    assert 0 < counts["stopped"] < counts["runs"] / 2
    assert counts["new processes"] == 10


NOTEBOOK = '''
from pathlib import Path

from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
Path("src/helper.py").write_text("def f(x):\\n    return x + 1\\n")


def cell(text):
    result = shell.run_cell(text, silent=False)
    result.raise_error()
    return result.result


CLASS = """
@register_transform_functor
class InCell(BaseTransform):
    def _call(self, data):
        return [f(1), helper.f(2), {n}]
"""
RUN = "DataPipeline({'transforms': {'output:X': {'transform_name': 'InCell'}}}, quiet=True).get_data('output:X', True)"
values = []
cell("%load_ext autoreload")
cell("%autoreload 2")
cell("""
import sys; sys.path.insert(0, 'src')
from runway import BaseTransform, DataPipeline, register_transform_functor
import helper
from helper import f
""")
cell(CLASS.format(n=1))
values += [cell(RUN), cell(RUN)]
Path("src/helper.py").write_text("def f(x):\\n    return x + 5\\n")
values.append(cell(RUN))
cell(CLASS.format(n=2))
values.append(cell(RUN))
cell("x = 5\\nclass Base(BaseTransform):\\n    LIMIT = 3\\n    def _call(self, data): return x + self.LIMIT")
cell("@register_transform_functor\\nclass InCell(Base): pass")
values.append(cell(RUN))
cell("x = 6")
values.append(cell(RUN))
cell("Base.LIMIT = 4")
values.append(cell(RUN))
cell("import threading; x = threading.Lock()")
cell("Base._call = lambda self, data: x.locked()")
values.append(cell(RUN))
cell("x.acquire()")
values.append(cell(RUN))
print(values)
'''


@pytest.mark.unknown_code  # a lambda of a cell is known by its value, and not by a name
def test_a_notebook_with_autoreload(project: Project) -> None:
    pytest.importorskip("IPython")
    project.write("notebook.py", NOTEBOOK)
    done = project.python("notebook.py")
    expected = [[2, 3, 1], [2, 3, 1], [6, 7, 1], [6, 7, 2], 8, 9, 10, False, True]
    assert done.stdout.splitlines()[-1] == str(expected)
    assert "__main__.x holds cannot be told: nothing of it is kept" in done.stderr
    assert "its data is passed in" not in done.stderr


def test_classes_of_two_scripts_with_one_name(project: Project) -> None:
    script = """
        from runway import BaseTransform, DataPipeline, register_transform_functor

        @register_transform_functor
        class InScript(BaseTransform):
            def _call(self, data):
                return {value}

        section = {{"transforms": {{"output:X": {{"transform_name": "InScript"}}}}}}
        print(DataPipeline(section).get_data("output:X", explode=True))
        """
    for name, value in (("one.py", 1), ("two.py", 2), ("one.py", 1)):
        project.write(name, script.format(value=value))
        assert project.python(name).stdout.splitlines()[-1] == str(value)


@pytest.mark.unknown_code  # nor has it a name
def test_code_without_any_text(project: Project) -> None:
    """At a prompt Python 3.11 keeps no text: what counts is the bytecode."""
    typed = """
        from runway import BaseTransform, DataPipeline, register_transform_functor

        space = {{"BaseTransform": BaseTransform, "register": register_transform_functor, "__name__": "__main__"}}
        exec("LIMIT = {limit}", space)
        exec("@register\\nclass Typed(BaseTransform):\\n  def _call(self, data): return {body}", space)
        section = {{"transforms": {{"output:X": {{"transform_name": "Typed"}}}}}}
        print(DataPipeline(section, quiet=True).get_data("output:X", explode=True))
        """
    for body, limit, value in (("1 + LIMIT", 1, 2), ("2 + LIMIT", 1, 3), ("2 + LIMIT", 2, 4), ("1 + LIMIT", 1, 2)):
        project.write("typed.py", typed.format(body=body, limit=limit))
        assert project.python("typed.py").stdout.splitlines()[-1] == str(value)
