"""Configs without end or without measure, and configs that reach for other files: an error each."""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from runway.config import apart
from runway.config.jsonnet import Importer
from runway.errors import ConfigError

if TYPE_CHECKING:
    from tests.config.conftest import Files


def test_a_recursion_without_end_is_an_error(errors_of: Callable) -> None:
    (error,) = errors_of("{\n  local f(x) = f(x + 1) tailstrict,\n  a: f(0),\n}")
    assert "does not come to an end" in error.message
    assert error.where.endswith("exp_config.jsonnet")


def test_more_than_the_memory_is_an_error(errors_of: Callable) -> None:
    (error,) = errors_of("{ a: std.foldl(function(a, b) a + a, std.range(1, 60), 'xxxxxxxx') }")
    assert "does not come to an end" in error.message


def test_more_than_the_time_is_an_error(errors_of: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "SECONDS", 0.5)
    (error,) = errors_of("local f(n) = if n == 0 then 1 else f(n - 1) + f(n - 1); { a: f(60) }")
    assert "at work for" in error.message


def test_the_child_may_die_between_two_configs(files: Files) -> None:
    assert files.load("{ a: 1 }").a == 1
    os.kill(apart._started().pid, signal.SIGKILL)
    assert files.load("{ a: 2 }").a == 2


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux tells the limits of another process")
def test_a_child_ends_by_itself_where_its_parent_was_killed_at_work(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = []

    def answer(importer: Importer, folder: str, name: str) -> tuple[str, bytes]:
        assert apart._child is not None
        limits.append(resource.prlimit(apart._child.pid, resource.RLIMIT_CPU)[0])
        return asked(importer, folder, name)

    asked = Importer.__call__
    monkeypatch.setattr(Importer, "__call__", answer)
    files.load("{ a: 1 }")
    assert 0 < max(limits) <= 2 * apart.ORPHAN_SECONDS


def test_a_recursion_with_an_end_is_a_config_like_others(files: Files) -> None:
    files.write(
        "configs/demo/sum.libsonnet",
        "function(n) (local f(n, x) = if n == 0 then x else f(n - 1, x + n) tailstrict; f(n, 0))",
    )
    text = "{\n  n: 1000,\n  sum: (import 'sum.libsonnet')($.n),\n}"
    config = files.load(text, "n=10", check=False)
    assert (config.n, config.sum) == (10, 55)
    assert files.path / "configs/demo/sum.libsonnet" in config.loaded_from.files
    with pytest.raises(ConfigError, match="does not exist: m") as raised:
        files.load(text.replace("$.n", "$.m"))
    assert "exp_config.jsonnet:3" in str(raised.value.where)
    with pytest.raises(ConfigError, match=r"no file 'summ\.libsonnet'"):
        files.load(text.replace("1000,", "1000, other: import 'summ.libsonnet',"))


def test_what_the_machine_refuses_is_no_lack_of_memory(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    apart.stop()
    for name in ("pipe", "fork", "dup2"):  # the last in the child
        with monkeypatch.context() as patch:
            patch.setattr(apart.os, name, refuse)
            patch.setattr(apart.threading, "active_count", lambda: 1)  # so that the child is a fork
            with pytest.raises(ConfigError, match=r"engine cannot work: .*Too many open files"):
                apart.evaluate_apart("{ a: 1 }", lambda folder, name: (name, b""), None, 100)
        apart.stop()
    files.write("configs/demo/part.libsonnet", "{ a: 1 }")
    with monkeypatch.context() as patch:
        is_file = os.path.isfile
        patch.setattr(os.path, "isfile", lambda path: refuse() if "part" in os.path.basename(path) else is_file(path))
        with pytest.raises(ConfigError, match=r"'part\.libsonnet' cannot be looked up: Too many open files") as raised:
            files.load("{ b: 1 } +\nimport 'part.libsonnet'")
    assert "exp_config.jsonnet:2" in str(raised.value.where)
    assert files.load("import 'part.libsonnet'").a == 1
