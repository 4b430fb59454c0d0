"""What is found of runs on disk."""

from __future__ import annotations

from pathlib import Path

from runway.disk import replace_text
from runway.experiment.folders.run_folder import write_json
from runway.experiment.folders.runs import find_runs


def test_only_finished_tests_count_as_tests(tmp_path: Path) -> None:
    run = tmp_path / "group" / "tiny_V0"
    for name, status in {"a": "finished", "b": "failed", "c": "running", "d": "interrupted"}.items():
        write_json(run / "test" / name / "provenance.json", {"status": status})
    replace_text(run / "test" / "e" / "provenance.json", "{half")
    replace_text(run / "test" / "f" / "provenance.json", "[]")
    (found,) = find_runs(tmp_path)
    assert (found.path, found.training, found.tests) == (run, {}, ("a",))
    assert found.other_tests == {"b": "failed", "c": "running", "d": "interrupted", "e": "unknown", "f": "unknown"}
