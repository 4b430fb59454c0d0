"""The import hook: a module behaves as if Python had imported it, and what runs in it is noted."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import os
import pdb
import pickle
import sys
import threading
import traceback
import types
from typing import TYPE_CHECKING, Any

import pytest

from runway import project_modules
from runway.project_modules import watching

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import ModuleType

    from tests.conftest import Project

TEXT = '''
"""Of a module."""
from __future__ import annotations

import dataclasses
import functools


def only_documented(a: int, *, b=lambda x: x) -> str:
    """Nothing else."""


def fails():
    word = "x"
    raise ValueError(word)


def one_line(): return 5


def outer():
    """Outer."""
    count = 0
    def inner():
        nonlocal count
        count += 1
        return count
    return inner()


def sets():
    global SET
    SET = 1
    return SET


def numbers():
    yield 1


async def later():
    return 2


short = lambda *a: len(a)
table = {}
table["a"] = lambda: 3


class Meta(type):
    def __prepare__(name, bases):
        return {}


class Thing(metaclass=Meta):
    __slots__ = ("__dict__",)

    def go(self):
        return __class__

    @property
    def size(self):
        return 4

    @functools.cached_property
    def kept(self):
        return 5


@dataclasses.dataclass
class Options:
    size: int = 6
'''


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str | bytes], ModuleType]]:
    """Import a text as a new module of a project."""
    project_modules.install()
    monkeypatch.syspath_prepend(str(tmp_path))
    names: list[str] = []

    def loaded(text: str | bytes) -> ModuleType:
        names.append(f"hooked_{len(names)}")
        (tmp_path / f"{names[-1]}.py").write_bytes(text if isinstance(text, bytes) else text.encode())
        importlib.invalidate_caches()
        return importlib.import_module(names[-1])

    yield loaded
    for name in names:
        sys.modules.pop(name, None)


def test_what_is_entered_is_noted_and_only_while_it_is_watched(load: Callable[[str], ModuleType]) -> None:
    module = load(TEXT)
    module.one_line()
    uses: list[Callable[[], Any]] = [
        lambda: module.only_documented(1),
        lambda: module.one_line(),
        lambda: module.outer(),
        lambda: module.sets(),
        lambda: list(module.numbers()),
        lambda: module.later().send(None),
        lambda: module.short(),
        lambda: module.Thing().go(),
        lambda: module.Thing().size,
        lambda: module.Thing().kept,
    ]
    names = ["only_documented", "one_line", "outer", "sets", "numbers", "later", "short", "Thing", "Thing", "Thing"]
    for use, name in zip(uses, names, strict=True):
        with watching() as ran:
            if name == "later":
                with pytest.raises(StopIteration):
                    use()
            else:
                use()
        assert ran == {(module.__name__, name)}


def test_a_lambda_in_a_statement_without_a_name_is_noted_by_its_line(load: Callable[[str], ModuleType]) -> None:
    module = load(TEXT)
    with watching() as ran:
        module.table["a"]()
    line = TEXT[: TEXT.index('table["a"]')].count("\n") + 1
    assert ran == {(module.__name__, f"{project_modules.LINE}{line}")}


def test_a_module_looks_as_it_is_written(load: Callable[[str], ModuleType]) -> None:
    module = load(TEXT)
    assert module.__doc__ == "Of a module."
    assert module.only_documented.__doc__ == "Nothing else."
    assert inspect.getsource(module.one_line) == "def one_line(): return 5\n"
    assert inspect.getsource(module.short) == "short = lambda *a: len(a)\n"
    assert str(inspect.signature(module.only_documented)).startswith("(a: 'int', *, b=<function")
    assert inspect.isgeneratorfunction(module.numbers)
    assert inspect.iscoroutinefunction(module.later)
    assert module.Options() == module.Options(size=6)
    with pytest.raises(ValueError, match="x") as caught:
        module.fails()
    assert traceback.extract_tb(caught.value.__traceback__)[-1].line == "raise ValueError(word)"


def test_a_debugger_steps_from_line_to_line(load: Callable[[str], ModuleType]) -> None:
    module = load(TEXT)
    out = io.StringIO()
    with watching():
        pdb.Pdb(stdin=io.StringIO("s\ns\nc\n"), stdout=out, nosigint=True).runcall(module.outer)
    shown = [line.partition("-> ")[2] for line in out.getvalue().splitlines() if "-> " in line]
    assert shown == ["count = 0", "def inner():", "return inner()"]


def test_functions_are_pickled_by_dill_with_their_globals(load: Callable[[str], ModuleType]) -> None:
    dill = pytest.importorskip("dill")
    module = load(TEXT)
    for name in ("short", "outer"):
        copied = dill.loads(dill.dumps(getattr(module, name), byref=False, recurse=True))
        with watching():
            assert copied() in (0, 1)
    assert pickle.loads(pickle.dumps(module.Options(size=7))) == module.Options(size=7)


def test_a_reloaded_module_is_noted_too(load: Callable[[str], ModuleType]) -> None:
    module = load(TEXT)
    old = module.one_line
    importlib.reload(module)
    with watching() as ran:
        old()
    assert ran == {(module.__name__, "one_line")}


def test_code_runs_with_other_globals(load: Callable[[str], ModuleType]) -> None:
    module = load(TEXT)
    for function in (module.one_line, module.table["a"]):
        with watching():
            assert types.FunctionType(function.__code__, {})() in (3, 5)


def test_a_forked_process_and_a_thread_note_too(load: Callable[[str], ModuleType]) -> None:
    module = load(TEXT)
    with watching() as ran:
        process = os.fork()
        if process == 0:
            module.one_line()
            os._exit(0)
        os.waitpid(process, 0)
        thread = threading.Thread(target=module.short)
        thread.start()
        thread.join()
    assert ran == {(module.__name__, "one_line"), (module.__name__, "short")}
    with watching() as ran:
        pass
    assert not ran


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"# -*- coding: latin-1 -*-\ndef go():\n    return 'caf\xe9'\n", "café"),
        (b"\xef\xbb\xbfdef go():\n    return 1\n", 1),
        (b"def go():\r\n    return '''a\r\nb'''\r\n", "a\nb"),
        (b"def go():\r    return 1\r", 1),
    ],
)
def test_texts_in_any_coding(load: Callable[[bytes], ModuleType], text: bytes, value: object) -> None:
    with watching() as ran:
        assert load(text).go() == value
    assert {name for _, name in ran} == {"go"}


@pytest.mark.parametrize(
    ("text", "line"),
    [(b"x = 1\ndef go(:\n", 2), (b"x = 1\n\ny = '\0'\n", 3), (b"x = 1\nreturn 2\n", 2), (b"x = 1\nx = '\xff'\n", 2)],
)
def test_a_syntax_error_has_its_place(load: Callable[[bytes], ModuleType], text: bytes, line: int) -> None:
    with pytest.raises(SyntaxError) as caught:
        load(text)
    assert str(caught.value.filename).endswith("hooked_0.py")
    assert caught.value.lineno == line


@pytest.mark.parametrize("damage", ["half", "nothing", "a folder", "no folder"])
def test_what_is_kept_beside_may_be_damaged(load: Callable[[str], ModuleType], tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "__pycache__"
    if damage == "no folder":
        folder.write_text("a file")
    elif damage == "a folder":
        (folder / f"hooked_0.{sys.implementation.cache_tag}.opt-runway.pyc").mkdir(parents=True)
    module = load(TEXT)
    for file in folder.glob("*.opt-runway.pyc") if folder.is_dir() and damage != "a folder" else ():
        file.write_bytes(file.read_bytes()[: 60 if damage == "half" else 0])
    assert importlib.reload(module).one_line() == 5


def test_optimised_python_takes_its_own_bytecode(project: Project) -> None:
    project.write("src/data_ops/ops.py", "import runway\n\n\ndef go():\n    assert False\n    return 1\n")
    code = "import runway.user_code, sys; sys.path.insert(0, 'src'); from data_ops import ops; print(ops.go())"
    assert project.python("-c", code, check=False).returncode != 0
    assert project.python("-O", "-c", code).stdout == "1\n"


@pytest.mark.slow
def test_torch_compiles_a_module_while_it_is_watched(load: Callable[[str], ModuleType]) -> None:
    torch = pytest.importorskip("torch")
    module = load(
        "import torch\n\n\ndef act(x):\n    return torch.relu(x)\n\n\nclass Net(torch.nn.Module):\n"
        '    def forward(self, x):\n        """Doc."""\n        return act(x) + 1\n'
    )
    value = torch.ones(2)
    for watched in (False, True):
        torch.compiler.reset()
        with watching() if watched else contextlib.nullcontext() as ran:
            for made in (torch.compile(module.Net(), fullgraph=True, backend="eager"), torch.jit.script(module.Net())):
                assert made(value).tolist() == [2, 2]
    assert ran == {(module.__name__, "Net"), (module.__name__, "act")}
