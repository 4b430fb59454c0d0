"""Commands at a terminal, for tests: what a person types and reads."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import pexpect

    from tests.conftest import Project

PDB = r"\(Pdb\) "


class Terminal:
    """`runway ARGS` at a terminal, in a project; skips the test where pexpect is not installed.

    Args:
        project: where.
        kind: of terminal; a `dumb` one gets no colours and no line that is drawn over.
    """

    def __init__(self, project: Project, kind: str = "dumb") -> None:
        self.pexpect = pytest.importorskip("pexpect", reason="pexpect is not installed")
        self.project = project
        self.kind = kind
        self.children: list[pexpect.spawn] = []

    def __call__(self, *args: str, **env: str) -> pexpect.spawn:
        """Start a command."""
        env = self.project.environment({"TERM": self.kind, "COLUMNS": "200", **env})
        words = ["-m", "runway", *args]
        place = str(self.project.path)
        child = self.pexpect.spawn(
            sys.executable, words, cwd=place, env=env, encoding="utf-8", timeout=60, echo=False, dimensions=(24, 200)
        )
        self.children.append(child)
        return child

    def close(self) -> None:
        """End what is still running."""
        for child in self.children:
            child.close(force=True)


def ask(child: pexpect.spawn, words: str, prompt: str = PDB) -> str:
    """What is answered to some words."""
    child.sendline(words)
    child.expect(prompt)
    return child.before.strip()


def end(child: pexpect.spawn, words: str | None = None) -> tuple[str, int]:
    """Say the last words; gives what is still printed, and the exit code."""
    if words is not None:
        child.sendline(words)
    child.expect(pytest.importorskip("pexpect").EOF)
    child.close()
    return child.before, child.exitstatus
