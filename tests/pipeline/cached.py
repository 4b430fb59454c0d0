"""Run a project in new processes, and say which nodes ran, why, and what came out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Project, Result


class Cached:
    """A project with what its commands computed.

    Attributes:
        project: The project.
    """

    def __init__(self, project: Project, config: str = "config.jsonnet") -> None:
        self.project = project
        self.config = config
        self.trace = project.path / "ran.jsonl"
        self.last: Result | None = None

    @property
    def env(self) -> dict[str, str]:
        """What the project's code needs to know where to note."""
        return {"RAN": str(self.trace)}

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace a piece of a file.

        Args:
            path: The file.
            old: What is there, at least once.
            new: What comes in its place.
        """
        text = self.project.read(path)
        assert old in text, f"{old!r} is not in {path}"
        (self.project.path / path).write_text(text.replace(old, new), encoding="utf-8")

    def prepare(self, *args: str, check: bool = True, env: dict[str, str] | None = None) -> dict[str, Any]:
        """Run `runway prepare` in a new process.

        Args:
            args: Overrides and options.
            check: Fail the test where it fails.
            env: Further variables.

        Returns:
            {node that ran: its output}, in the order in which they ran.
        """
        self.trace.unlink(missing_ok=True)
        self.last = self.project.run("prepare", self.config, *args, check=check, env={**self.env, **(env or {})})
        return self.ran()

    def ran(self) -> dict[str, Any]:
        """{node that ran: its output} since the last `prepare` started."""
        lines = self.trace.read_text().splitlines() if self.trace.exists() else []
        names = [json.loads(line)[0] for line in lines]
        assert len(set(names)) == len(names), f"a node ran twice: {names}"
        return dict(json.loads(line) for line in lines)

    def plan(self, *args: str) -> dict[str, dict[str, Any]]:
        """Give what `runway plan --json` prints, by node."""
        printed = self.project.run("plan", self.config, "--json", *args, env=self.env).stdout
        return {step["node"]: step for step in json.loads(printed)}

    def reasons(self, node: str, *args: str) -> list[str]:
        """Why a node runs, as `runway plan` says it."""
        return self.plan(*args)[node]["why"]

    def entry(self, node: str, *args: str) -> Path:
        """The folder in the cache of a node's present output."""
        key = self.plan(*args)[node]["key"]
        return self.project.path / "cache" / key[:2] / key

    def stored(self, node: str, *args: str) -> Any:
        """A node's present output, plain data, read from the cache's files."""
        folder = self.entry(node, *args)
        kept = json.loads((folder / "meta.json").read_text())
        return json.loads(kept["value"] if "value" in kept else (folder / "value.json").read_text())
