"""Where runs stand on disk: ``<EXPERIMENT_FOLDER>/<name>_V<k>/train`` and ``…/test/<suffix>``.

A version is claimed by making its folder: two processes at once get two versions.
"""

from __future__ import annotations

import itertools
import json
import math
import re
import shutil
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runway.disk import replace_text
from runway.errors import ExperimentError, must_be, must_be_whole
from runway.experiment.folders import file_names
from runway.experiment.folders.in_use import VERSION, training_in
from runway.log import warning
from runway.masking import hidden, holds_secrets

LONGEST_NAME = 200
"""In bytes. File systems take 255; what is written beside has a longer name for a while."""
_LONGEST_VERSION = 240
"""The experiment's name and the tags, in bytes: room is left for the number."""
_ONE_FOLDER = re.compile(r'(?![.\s])[^/\\\x00-\x1f\x7f<>"|?*]+(?<!\s)')


def folder_name(value: Any, where: str) -> str:
    """``value`` as the name of one folder.

    Args:
        value: a name from the config or the command line.
        where: the config path that it comes from.

    Raises:
        ConfigError: it is empty, no text, or would lead out of the folder that it is meant for.
    """
    fits = isinstance(value, str) and _ONE_FOLDER.fullmatch(value) is not None and _length(value) <= LONGEST_NAME
    hint = f"letters, digits, '-', '_', '.', '+', '='; at most {LONGEST_NAME} bytes"
    must_be(fits, where, "the name of one folder", value, where=where, hint=hint)
    return value


def _length(name: str) -> float:
    """In bytes; infinite where a name cannot be written."""
    try:
        return len(name.encode("utf-8"))
    except UnicodeEncodeError:
        return math.inf


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

    def next_resume_config(self) -> str:
        """The name of the file for the config that a training goes on with: those that there are stay."""
        number = 1
        while (self.train / file_names.RESUME_CONFIG.format(number)).exists():
            number += 1
        return file_names.RESUME_CONFIG.format(number)

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

    def check_tags(self, tags: Iterable[str]) -> tuple[str, ...]:
        """The tags of a version.

        Raises:
            ConfigError: one is no part of a folder's name, or all are too long together.
        """
        tags = tuple(folder_name(tag, "tags") for tag in tags)
        most = _LONGEST_VERSION - int(_length(self.name))
        fits = _length(_tagged(tags)) <= most
        must_be(fits, "tags", f"of {most} bytes together with the marks between them", " ".join(tags), where="tags")
        return tags

    def claim(self, tags: Iterable[str] = (), held: ExitStack | None = None) -> RunFolder:
        """Make the next version's folder; no other process gets the same one.

        Args:
            tags: become part of its name.
            held: keeps the version's lock: as long as it is open, no other process trains the version or removes it.

        Raises:
            ExperimentError: the folder cannot be made.
        """
        tags = self.check_tags(tags)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            for version in itertools.count(max((run.version for run in self.versions()), default=-1) + 1):
                plain = self.root / f"{self.name}_V{version}"
                with ExitStack() as lock:
                    if not lock.enter_context(training_in(plain)) or not self._made(plain, version):
                        continue
                    if held is not None:
                        held.push(lock.pop_all())
                    named = plain.with_name(plain.name + _tagged(tags))
                    return RunFolder(plain.rename(named) if tags else plain, version, tags)
        except OSError as error:
            hint = "is the folder of the runs (meta.EXPERIMENT_FOLDER) writable, and its path not too long?"
            raise ExperimentError(f"no version can be made: {error}", where=str(self.root), hint=hint) from error
        raise AssertionError("numbers do not end")

    def _made(self, plain: Path, version: int) -> bool:
        """Make a version's folder, unless there is one; the claim, too, where the file system has no locks."""
        try:
            plain.mkdir()
        except FileExistsError:
            return False
        if sum(run.version == version for run in self.versions()) > 1:  # one with tags was a moment earlier
            plain.rmdir()
            return False
        return True

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


def _tagged(tags: Iterable[str]) -> str:
    """What tags add to the name of a version's folder."""
    joined = "+".join(tags)
    return f"_tag:{joined}" if joined else ""


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as JSON, atomically; what JSON does not know is written as text, NaN and infinity as null.

    Secrets that are known are masked.
    """
    value = as_json(value)
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)
    if holds_secrets(text):
        text = json.dumps(hidden(value, by_name=False), indent=2, allow_nan=False, ensure_ascii=False)
    replace_text(path, text + "\n")


def as_json(value: Any) -> Any:
    """``value`` as it would be read again after ``write_json``."""
    return json.loads(json.dumps(value, default=_plain), parse_constant=lambda name: None)


def read_json(path: Path, default: Any = None) -> Any:
    """The JSON in ``path``, or ``default`` where there is no such file.

    Raises:
        ExperimentError: the file cannot be read, is no JSON, or holds something else than ``default`` does (an object,
            a list), where that is given.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return default
    except (ValueError, OSError, RecursionError) as error:
        hint = "it was not written whole, or its bytes have changed since: put a copy in its place, or remove it"
        raise ExperimentError(f"the file {path.name} is damaged: {error}", where=str(path), hint=hint) from error
    if default is not None and not isinstance(found, type(default)):
        kinds = f"a {type(found).__name__}, not a {type(default).__name__}"
        raise ExperimentError(f"the file {path.name} is damaged: it holds {kinds}", where=str(path))
    return found


def read_if_whole(path: Path, default: Any, instead: str) -> Any:
    """As ``read_json``; a damaged file is told, with what is done ``instead``, and counts as one that is not there."""
    try:
        return read_json(path, default)
    except ExperimentError as error:
        warning(f"{error.message} ({path}): {instead}", once=True)
        return default


def read_history(path: Path) -> list[dict[str, Any]]:
    """The entries of a ``metrics_history.json``: ``step`` (None: not known), ``epoch`` and ``metrics``.

    Entries that are damaged are told, and left out.
    """
    entries = read_if_whole(path, [], "what the run has logged is not known")
    whole = [entry for entry in entries if _is_entry(entry)]
    if len(whole) < len(entries):
        warning(f"the file {path.name} is damaged ({path}): {len(entries) - len(whole)} rows are left out", once=True)
    return whole


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("metrics"), dict):
        return False
    counts = all(isinstance(entry.get(name), int | None) for name in ("step", "epoch"))
    return counts and all(isinstance(value, int | float | str | None) for value in entry["metrics"].values())


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # numpy and torch
        return value.tolist()
    if isinstance(value, set | tuple):
        return list(value)
    return str(value)
