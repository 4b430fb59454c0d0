"""What a run was: code, config, packages, machine, data, times and how it ended."""

from __future__ import annotations

import json
import os
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
from runway.experiment.folders.run_folder import read_if_whole, write_json
from runway.experiment.submission import submitted_state
from runway.masking import hidden_source, hidden_words
from runway.ranks import rank

RUNNING, FINISHED, INTERRUPTED, FAILED = "running", "finished", "interrupted", "failed"
TRIAL = "RUNWAY_TRIAL"
"""The environment variable by which a sweep tells a training that it is a trial: JSON with ``sweep``, ``key`` and
``parameters``, which the provenance keeps, and what else the sweep has to say."""
_KEPT_OF_TRIAL = ("sweep", "key", "parameters")
_KEPT_OF_EARLIER = (
    *("status", "started", "ended", "config", "overrides", "take_new", "command", "git", "error", "resumed_from"),
)
_LARGEST_DIFF = 20_000_000  # characters; data that was added to a repository by mistake should not be copied here


@contextmanager
def provenance(folder: Path, facts: Mapping[str, Any], project: Path) -> Iterator[dict[str, Any]]:
    """Keep ``provenance.json`` of what the block does: its surroundings, and how it ended, an error as well.

    Args:
        folder: the run's ``train`` or ``test/<suffix>`` folder.
        facts: what the experiment knows: mode, name, seed, keys of the data …; with ``resumed_from``, the checkpoint
            that a training goes on from, the records of what it goes on are kept.
        project: the git repository that it stands in is described.

    Yields:
        The record; what the block adds to it is written at the end.
    """
    path = folder / PROVENANCE
    record = dict(facts)
    if rank() == 0:
        record = _begun(path, facts, project)
        write_json(path, record)
    try:
        yield record
        record["status"] = FINISHED
    except BaseException as error:
        stopped = isinstance(error, Interrupted | KeyboardInterrupt)
        record |= {"status": INTERRUPTED if stopped else FAILED, "error": f"{type(error).__name__}: {error}"}
        raise
    finally:
        record["ended"] = timestamp()
        if rank() == 0:
            write_json(path, record)


def _begun(path: Path, facts: Mapping[str, Any], project: Path) -> dict[str, Any]:
    """The record at the beginning, when ``path`` still holds that of the run which this one goes on."""
    git, diff = submitted_state() or describe_git(project)  # a job's code is that of its submission
    if diff:
        replace_text(path.parent / GIT_DIFF, diff)
    record = {
        "status": RUNNING,
        "started": timestamp(),
        "ended": None,
        **facts,
        **_trial(facts),
        "command": hidden_words(sys.argv),
        "git": git,
        **surroundings(),
    }
    if facts.get("resumed_from"):
        earlier = read_if_whole(path, {}, "what the training was that goes on is not kept")
        before = earlier.get("earlier_runs")
        short = {key: earlier[key] for key in _KEPT_OF_EARLIER if earlier.get(key) is not None}
        record["earlier_runs"] = [*(before if isinstance(before, list) else []), short] if earlier else []
    return record


def surroundings() -> dict[str, Any]:
    """What a run may depend on, and is in no key: versions, the machine, and how many threads torch adds up with."""
    torch = sys.modules.get("torch")
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "threads": torch.get_num_threads() if torch else None,
        "packages": installed_packages(),
    }


def _trial(facts: Mapping[str, Any]) -> dict[str, Any]:
    told = os.environ.get(TRIAL)
    if not told or facts.get("mode") != "train":
        return {}
    return {"trial": {key: json.loads(told).get(key) for key in _KEPT_OF_TRIAL}}


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
    diff = hidden_source(_git(project, "diff", "HEAD", "--no-color", "--no-ext-diff") or "")
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
