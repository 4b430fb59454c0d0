"""The line at the bottom of the terminal: it never stands in the way of what others print, or of a debugger."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runway.status_line import status_line
from tests.cli.terminal import PDB, Terminal, ask, end

if TYPE_CHECKING:
    import pytest

    from tests.conftest import Project

OPERATIONS = """
import time
from runway import BaseTransform, register_transform_functor

@register_transform_functor
class Slow(BaseTransform):
    def _call(self, data):
        time.sleep(1.3)
        print("in a line of its own")
        time.sleep(0.8)
        print("half a line", end=" ")
        time.sleep(0.7)
        print("and the rest")
        breakpoint()
        return 1
"""
CONFIG = "{ experiment_name: 'x', data_pipeline: { transforms: { 'output:A': { transform_name: 'Slow' } } } }"


def test_it_is_drawn_while_nodes_run_and_steps_aside(project: Project) -> None:
    project.write("src/data_ops/ops.py", OPERATIONS)
    project.write("config.jsonnet", CONFIG)
    terminal = Terminal(project, "xterm")
    try:
        child = terminal("prepare", "config.jsonnet", NO_COLOR="1")
        child.expect(PDB)
        before = child.before
        assert "0/1 nodes · output:A 1 s" in before
        screen = re.sub(r"\\r\x1b\[K[^\r\n]*\r\x1b\[K", "", before)
        assert re.search(r"\x1b\[Kin a line of its own\r\n", screen)
        assert "half a line and the rest\r\n" in screen  # nothing is drawn where somebody has begun a line
        child.expect([r"nodes", terminal.pexpect.TIMEOUT], timeout=1.2)
        assert child.after is terminal.pexpect.TIMEOUT  # nor while a debugger is on
        assert ask(child, "data is None").endswith("True")
        said, code = end(child, "c")
        assert code == 0
        assert re.search(r"ran     output:A .*\r\ndata prepared", said)
        # The second time it is known how long it takes.
        child = terminal("prepare", "config.jsonnet", "--force", "all")
        child.expect(r"output:A 1 s of about \d.* left")
    finally:
        terminal.close()
    logged = project.run("prepare", "config.jsonnet", "--force", "all", env={"PYTHONBREAKPOINT": "0"})
    assert "nodes ·" not in logged.stderr  # plain lines where nobody looks


def test_elsewhere_nothing_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    with status_line(lambda: "never"):
        pass
    assert capsys.readouterr() == ("", "")
