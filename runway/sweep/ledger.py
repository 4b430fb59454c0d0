"""What is known of trials: their runs, found by the key in the provenance, and one record each beside the results.

A run folder is the truth about a training that began; a record says what no run can: that a trial failed before its
first step, or was pruned, and what it cost. All sweeps of one experiment share the records.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from runway.errors import ExperimentError
from runway.experiment.folders.file_names import PROVENANCE, TRAIN
from runway.experiment.folders.in_use import hold_if_free
from runway.experiment.folders.run_folder import ExperimentFolder, RunFolder, read_json, write_json
from runway.experiment.provenance import FAILED, FINISHED, INTERRUPTED
from runway.log import warning
from runway.pipeline.keys.fingerprint import digest

if TYPE_CHECKING:
    from runway.sweep.trials import Trial

NEW, PRUNED, WAITING = "new", "pruned", "elsewhere"
FOLDER = "{}_sweeps"
"""Beside the versions of an experiment; no version has such a name."""
TRIALS = "trials"
SHORT = 16
"""So much of a key names a trial's files."""


class State(NamedTuple):
    """What became of a trial so far.

    Attributes:
        status: ``new``, ``finished``, ``failed``, ``interrupted`` (it can go on) or ``pruned``.
        run: its version, where there is one.
        record: what its record says besides.
    """

    status: str
    run: RunFolder | None = None
    record: Mapping[str, Any] = {}


class Trained(NamedTuple):
    """What a version's provenance says.

    Attributes:
        key: of its training.
        trial: the key of the trial that it is.
        status: how it ended.
        code: the digest of the code that it was trained with.
        time: when that was written, in seconds since 1970.
    """

    key: str | None
    trial: str | None
    status: str
    code: str = ""
    time: float = 0.0

    def is_of(self, key: str, code: str) -> bool:
        """Whether it is the training of a trial: by its key, or as the trial, if it ran the code that it was to run.

        Another machine may make another key of the same trial: its precision, its number of GPUs.
        """
        return self.key == key or (self.trial == key and self.code == code)


class Ledger:
    """The trials of one experiment.

    Args:
        root: the folder of the experiment's versions.
        name: the experiment's name.
    """

    def __init__(self, root: Path, name: str) -> None:
        self.root = root
        self.folder = root / FOLDER.format(name)
        self._seen: dict[Path, tuple[int, Trained]] = {}  # {provenance: (its time, what it says)}

    def log_of(self, key: str) -> Path:
        """Where the trial's process writes what it says."""
        return self.folder / TRIALS / f"{key[:SHORT]}.log"

    def record_of(self, key: str) -> Path:
        """The trial's record."""
        return self.folder / TRIALS / f"{key[:SHORT]}.json"

    def process_lock(self, key: str) -> Path:
        """The lock that the trial's process holds, also when its sweep is gone."""
        return self.folder / TRIALS / f".{key[:SHORT]}.process.lock"

    @contextlib.contextmanager
    def claimed(self, key: str) -> Iterator[bool]:
        """Claim a trial in the block; yields False while another sweep, or what is left of one, has it."""
        with hold_if_free(self.folder / TRIALS / f".{key[:SHORT]}.lock") as is_held:
            if is_held and self._is_alive(key):
                is_held = False
            yield is_held

    def _is_alive(self, key: str) -> bool:
        """Whether a process of the trial runs, though no sweep has claimed it: its sweep was killed."""
        with hold_if_free(self.process_lock(key)) as is_free:
            return not is_free

    def state(self, trial: Trial, experiment: ExperimentFolder, since: float = 0.0) -> State:
        """What became of a trial.

        Args:
            trial: the trial.
            experiment: where its versions are.
            since: what was trained before, in seconds since 1970, is not asked for.
        """
        key = trial.key
        record = self._read(key)
        found = [(run, trained) for run, trained in self._trained(experiment) if trained.time >= since]
        for run, trained in reversed(found):
            if trained.status == FINISHED and trained.is_of(key, trial.code):
                return State(FINISHED, run, record)
        # What is not finished is a trial's own: a training that a person has started may still be running.
        runs = [(run, trained.status) for run, trained in found if trained.trial == key]
        if runs:
            run, status = runs[-1]
            if status == FAILED or record.get("status") == PRUNED:
                return State(FAILED if status == FAILED else PRUNED, run, record)
            return State(INTERRUPTED, run, record)
        if record.get("status") == FAILED and not self._is_from_before(key, since):
            return State(FAILED, None, record)
        return State(NEW, None, record)

    def write(self, key: str, **facts: Any) -> None:
        """Write a trial's record; a run is kept relative to the folder, which may move."""
        run = facts.get("run")
        if isinstance(run, Path):
            facts["run"] = os.path.relpath(run, self.folder)
        write_json(self.record_of(key), {"key": key, **facts})

    def note_tested(self, key: str, test_key: str) -> None:
        """Keep with which settings and code a trial was tested."""
        write_json(self.record_of(key), {**self._read(key), "key": key, "tested": test_key})

    def tested(self, key: str) -> str | None:
        """What ``note_tested`` has kept."""
        return self._read(key).get("tested")

    def _is_from_before(self, key: str, since: float) -> bool:
        try:
            return self.record_of(key).stat().st_mtime < since
        except OSError:  # it went meanwhile
            return True

    def _read(self, key: str) -> dict[str, Any]:
        try:
            return dict(read_json(self.record_of(key), {}))
        except (ExperimentError, TypeError, ValueError) as error:
            warning(f"the record of the trial {key} is damaged and is not used: {error}")
            return {}

    def _trained(self, experiment: ExperimentFolder) -> Iterator[tuple[RunFolder, Trained]]:
        """The versions that were trained, oldest first."""
        for run in experiment.versions():
            file = run.path / TRAIN / PROVENANCE
            try:
                time = file.stat().st_mtime_ns
            except OSError:
                continue  # it was tested only, or is being made
            if file not in self._seen or self._seen[file][0] != time:
                self._seen[file] = (time, _read_provenance(file))
            yield run, self._seen[file][1]._replace(time=time / 1e9)


def _read_provenance(file: Path) -> Trained:
    try:
        record = read_json(file, {})
        trial = (record.get("trial") or {}).get("key")
        training = record.get("training") or {}
        if training.get("resumed"):  # it went on under other settings than it began with: another training
            trial = None
        code = digest(training["code"]) if training.get("code") else ""
        return Trained(training.get("key") or trial, trial, str(record.get("status")), code)
    except (ExperimentError, AttributeError):  # a damaged record of another run
        return Trained(None, None, "unknown")
