"""What a run was: code, config, packages, machine, data, times and how it ended."""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runway.disk import replace_text
from runway.errors import Interrupted
from runway.experiment.folders.file_names import GIT_DIFF, PROVENANCE
from runway.experiment.folders.run_folder import read_json, write_json
from runway.ranks import rank

RUNNING, FINISHED, INTERRUPTED, FAILED = "running", "finished", "interrupted", "failed"
_LARGEST_DIFF = 20_000_000  # characters; data that was added to a repository by mistake should not be copied here


class Provenance:
    """The record of one run, kept in ``provenance.json`` beside the run's results.

    Args:
        folder: the run's ``train`` or ``test/<suffix>`` folder.
        facts: what the experiment knows: mode, name, seed, keys of the data …
    """

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        self.path = folder / PROVENANCE
        self.facts: dict[str, Any] = dict(facts)

    def update(self, **facts: Any) -> None:
        """Add facts and write the file."""
        self.facts.update(facts)
        if rank() == 0:
            write_json(self.path, self.facts)

    @contextmanager
    def recording(self, project: Path, *, resumed_from: str | None = None) -> Iterator[None]:
        """Write what the surroundings say, then how the block ends: finished, interrupted or failed, with the error.

        Args:
            project: the git repository that it stands in is described.
            resumed_from: the checkpoint that a training goes on from; the record of what it goes on is kept.
        """
        if rank() == 0:
            self._begin(project, resumed_from)
        try:
            yield
        except BaseException as error:
            status = INTERRUPTED if isinstance(error, Interrupted | KeyboardInterrupt) else FAILED
            self.update(status=status, ended=timestamp(), error=f"{type(error).__name__}: {error}")
            raise
        self.update(status=FINISHED, ended=timestamp())

    def _begin(self, project: Path, resumed_from: str | None) -> None:
        earlier = read_json(self.path, {}) if resumed_from else {}
        git, diff = describe_git(project)
        if diff:
            replace_text(self.path.parent / GIT_DIFF, diff)
        self.facts = {
            "status": RUNNING,
            "started": timestamp(),
            "ended": None,
            **self.facts,
            "command": sys.argv,
            "git": git,
            "python": sys.version.split()[0],
            "platform": platform.platform(),
            "packages": installed_packages(),
        }
        if resumed_from:
            before = [*earlier.pop("earlier_runs", []), _short(earlier)] if earlier else []
            self.facts |= {"resumed_from": resumed_from, "earlier_runs": before}
        self.update()


def _short(facts: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("status", "started", "ended", "command", "git", "error", "resumed_from")
    return {key: facts[key] for key in kept if facts.get(key) is not None}


def timestamp() -> str:
    """Now, local time with its offset, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def installed_packages() -> dict[str, str]:
    """The version of every installed distribution."""
    import importlib.metadata

    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        if distribution.name:
            found.setdefault(distribution.name, distribution.version)
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def describe_git(project: Path) -> tuple[dict[str, Any] | None, str]:
    """Commit, branch and state of the repository that holds ``project``, and the diff to that commit.

    Returns:
        (None, "") where there is no repository, no commit or no git.
    """
    commit = _git(project, "rev-parse", "HEAD")
    if not commit:
        return None, ""
    diff = _git(project, "diff", "HEAD", "--no-color", "--no-ext-diff") or ""
    untracked = (_git(project, "ls-files", "--others", "--exclude-standard") or "").splitlines()
    if len(diff) > _LARGEST_DIFF:
        diff = diff[:_LARGEST_DIFF] + "\n[cut]\n"
    facts = {
        "commit": commit.strip(),
        "branch": (_git(project, "rev-parse", "--abbrev-ref", "HEAD") or "").strip(),
        "changed": bool(diff),
        "diff": GIT_DIFF if diff else None,
        "untracked": untracked[:200],
    }
    return facts, diff


def _git(project: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(project), *arguments],
            capture_output=True,
            timeout=30,
            check=False,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
