"""Where runs stand on disk: ``<EXPERIMENT_FOLDER>/<name>_V<k>/train`` and ``…/test/<suffix>``.

A version is claimed by making its folder: two processes at once get two versions.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runway.disk import replace_text
from runway.errors import ExperimentError, must_be, must_be_whole
from runway.experiment.folders import file_names

VERSION = r"_V(\d+)(?:_tag:(.*))?"
"""What follows the experiment's name in the name of a version's folder: the number, and the tags."""
_ONE_FOLDER = re.compile(r'(?![.\s])[^/\\\x00-\x1f\x7f<>"|?*]+(?<!\s)')


def folder_name(value: Any, where: str) -> str:
    """``value`` as the name of one folder.

    Args:
        value: a name from the config or the command line.
        where: the config path that it comes from.

    Raises:
        ConfigError: it is empty, no text, or would lead out of the folder that it is meant for.
    """
    fits = isinstance(value, str) and _ONE_FOLDER.fullmatch(value) is not None and len(value.encode()) <= 200
    hint = "letters, digits, '-', '_', '.', '+', '='"
    must_be(fits, where, "the name of one folder", value, where=where, hint=hint)
    return value


@dataclass(frozen=True)
class RunFolder:
    """One version of an experiment and the folders inside it."""

    path: Path
    version: int
    tags: tuple[str, ...] = ()

    @property
    def train(self) -> Path:
        """What training writes."""
        return self.path / file_names.TRAIN

    @property
    def saved_models(self) -> Path:
        """The checkpoints."""
        return self.train / file_names.SAVED_MODELS

    @property
    def recorders(self) -> Path:
        """One recorder for each validation."""
        return self.train / file_names.RECORDERS

    def test(self, suffix: str) -> Path:
        """What testing under ``test_suffix`` writes."""
        return self.path / file_names.TEST / folder_name(suffix, "test_suffix")

    def has_checkpoints(self) -> bool:
        """Whether there is anything to test or to resume from."""
        return next(self.saved_models.rglob(f"*{file_names.CHECKPOINT_SUFFIX}"), None) is not None

    def tests(self) -> list[str]:
        """The suffixes of the tests that were run on this version."""
        folder = self.path / file_names.TEST
        return sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []


class ExperimentFolder:
    """All versions of one experiment: ``<root>/<name>_V0``, ``<root>/<name>_V1_tag:small+fast`` …"""

    def __init__(self, root: Path, name: str) -> None:
        self.root = root
        self.name = folder_name(name, "experiment_name")
        self._pattern = re.compile(re.escape(self.name) + VERSION, re.DOTALL)

    def versions(self) -> list[RunFolder]:
        """The versions that are there, oldest first."""
        if not self.root.is_dir():
            return []
        found = []
        for entry in self.root.iterdir():
            match = self._pattern.fullmatch(entry.name)
            if match and entry.is_dir():
                tags = tuple(match[2].split("+")) if match[2] else ()
                found.append(RunFolder(entry, int(match[1]), tags))
        return sorted(found, key=lambda run: run.version)

    def get(self, version: int | str | Path) -> RunFolder:
        """The version with this number.

        Raises:
            ConfigError: it is no whole number.
            ExperimentError: there is no such version, with those that are there.
        """
        must_be_whole("exp_version", version, least=0, where="exp_version")
        for run in self.versions():
            if run.version == version:
                return run
        raise self._missing(str(version))

    def latest(self, accept: Callable[[RunFolder], bool], what: str, hint: str) -> RunFolder:
        """The newest version that ``accept`` takes.

        Args:
            accept: says whether a version will do.
            what: completes "… has no version with" in the error.
            hint: how to get one.

        Raises:
            ExperimentError: there is none.
        """
        for run in reversed(self.versions()):
            if accept(run):
                return run
        raise self._missing(f"with {what}", f"{hint}; ")

    def claim(self, tags: Iterable[str] = ()) -> RunFolder:
        """Make the next version's folder; no other process gets the same one."""
        tags = tuple(folder_name(tag, "tags") for tag in tags)
        suffix = f"_tag:{'+'.join(tags)}" if tags else ""
        self.root.mkdir(parents=True, exist_ok=True)
        version = max((run.version for run in self.versions()), default=-1) + 1
        while True:
            plain = self.root / f"{self.name}_V{version}"
            try:
                plain.mkdir()  # the claim: only one process succeeds
            except FileExistsError:
                version += 1
                continue
            if sum(run.version == version for run in self.versions()) > 1:  # one with tags was a moment earlier
                plain.rmdir()
                version += 1
                continue
            return RunFolder(plain.rename(plain.with_name(plain.name + suffix)) if suffix else plain, version, tags)

    def remove(self, runs: Iterable[RunFolder]) -> None:
        """Delete versions, whole."""
        for run in runs:
            if run.path.is_symlink():
                run.path.unlink()
            else:
                shutil.rmtree(run.path)

    def _missing(self, what: str, hint: str = "") -> ExperimentError:
        names = ", ".join(run.path.name for run in self.versions()[-8:])
        hint += f"there are: {names}" if names else "it has no versions yet"
        return ExperimentError(f"the experiment {self.name!r} has no version {what}", where=str(self.root), hint=hint)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as JSON, atomically; what JSON does not know is written as text."""
    replace_text(path, json.dumps(value, indent=2, default=_plain, ensure_ascii=False) + "\n")


def as_json(value: Any) -> Any:
    """``value`` as it would be read again after ``write_json``."""
    return json.loads(json.dumps(value, default=_plain))


def read_json(path: Path, default: Any = None) -> Any:
    """The JSON in ``path``, or ``default`` where there is no such file.

    Raises:
        ExperimentError: the file is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return default
    except ValueError as error:
        raise ExperimentError(f"the file {path.name} is damaged: {error}", where=str(path)) from error


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # numpy and torch
        return value.tolist()
    if isinstance(value, set | tuple):
        return list(value)
    return str(value)
