"""What a run has left on disk, read for those who look at it; what is not there is empty."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runway.errors import ExperimentError, did_you_mean
from runway.experiment.folders import file_names
from runway.experiment.folders.run_folder import read_json
from runway.experiment.provenance import FINISHED

_EVALUATED = f"merged-{file_names.TEST_RECORDER}"  # what MergeAllEvalRecorderAndSave makes of it by default


@dataclass(frozen=True)
class ReadRun:
    """A version of an experiment, and one of its tests.

    Attributes:
        path: the version's folder.
        training: the provenance of its training.
        test_name: the suffix of the test that is looked at; None where there is none.
        test: the provenance of that test.
        tests: every test with its status.
        config: what was resolved: of the training, else of the test.
        test_config: what was resolved for that test.
        lineage: of each data node its key and what that is made of, as the training used it; see ``Plan.lineage``.
        test_lineage: the same, as the test used it.
        evaluation: the pipeline that made the metrics, and its code.
        metrics: what the test has come to.
        history: ``[{step, epoch, metrics}, …]`` of the training.
        timings: of the training, see ``callbacks/timings.py``.
        data: rows and tokens of each split.
        summary: the model's layers.
        diff: what differed from the commit.
        recorder: the folder of the recorder to look at: the test's, else that of the last validation.
        recorded_in: which of them it is, in words.
    """

    path: Path
    training: dict[str, Any] = field(default_factory=dict)
    test_name: str | None = None
    test: dict[str, Any] = field(default_factory=dict)
    tests: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    test_config: dict[str, Any] = field(default_factory=dict)
    lineage: dict[str, Any] = field(default_factory=dict)
    test_lineage: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    timings: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    summary: str = ""
    diff: str = ""
    recorder: Path | None = None
    recorded_in: str = ""

    @property
    def name(self) -> str:
        """The version's name."""
        return self.path.name

    @property
    def report(self) -> Path:
        """Where its report stands."""
        return self.path / file_names.REPORT

    @property
    def provenance(self) -> dict[str, Any]:
        """Of the training, else of the test."""
        return self.training or self.test


def read_run(path: Path, test: str | None = None) -> ReadRun:
    """Read a version's files.

    Args:
        path: its folder.
        test: the suffix of the test to look at; by default the finished one that was begun last.

    Raises:
        ExperimentError: it is no run, there is no such test, or a file is damaged.
    """
    path = path.resolve()
    train = path / file_names.TRAIN
    training = read_json(train / file_names.PROVENANCE, {})
    tests = {
        record.parent.name: read_json(record, {})
        for record in (path / file_names.TEST).glob(f"*/{file_names.PROVENANCE}")
    }
    if not training and not tests:
        raise ExperimentError("this is no run", where=str(path), hint="name the folder of a run: <name>_V<k>")
    if test is not None and test not in tests:
        hint = did_you_mean(test, tests) if tests else "it has no test"
        raise ExperimentError(f"{path.name} has no test {test!r}", where=str(path), hint=hint)
    order = sorted(tests, key=lambda name: (tests[name].get("status") == FINISHED, tests[name].get("started") or ""))
    chosen = test or (order[-1] if order else None)
    folder = path / file_names.TEST / chosen if chosen else None
    recorder, recorded_in = _recorder(train, folder, chosen)
    stage = train if training else folder
    return ReadRun(
        path=path,
        training=training,
        test_name=chosen,
        test=tests.get(chosen or "", {}),
        tests={name: str(record.get("status", "unknown")) for name, record in sorted(tests.items())},
        config=read_json(stage / (training.get("config") or file_names.CONFIG), {}) if stage else {},
        test_config=read_json(folder / file_names.CONFIG, {}) if folder else {},
        lineage=read_json(train / file_names.LINEAGE, {}),
        test_lineage=read_json(folder / file_names.LINEAGE, {}) if folder else {},
        evaluation=read_json(folder / file_names.EVALUATION, {}) if folder else {},
        metrics=read_json(folder / file_names.METRICS, {}) if folder else {},
        history=read_json(train / file_names.METRICS_HISTORY, []),
        timings=read_json(train / file_names.TIMINGS, {}),
        data=read_json(train / file_names.DATA_STATISTICS, {}),
        summary=_text(train / file_names.MODEL_SUMMARY),
        diff=_text(train / file_names.GIT_DIFF),
        recorder=recorder,
        recorded_in=recorded_in,
    )


def _recorder(train: Path, test: Path | None, name: str | None) -> tuple[Path | None, str]:
    for folder in (_EVALUATED, file_names.TEST_RECORDER):
        if test is not None and (test / folder).is_dir():
            return test / folder, f"the test {name}"
    validations = [path for path in (train / file_names.RECORDERS).glob("validation-step*") if path.is_dir()]
    newest = max(validations, key=lambda path: (path.stat().st_mtime_ns, path.name), default=None)
    return newest, f"the validation at step {newest.name.removeprefix('validation-step')}" if newest else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
