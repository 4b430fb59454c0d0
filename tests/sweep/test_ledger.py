"""What is known of a trial, by its records and the versions that are there."""

from __future__ import annotations

import json
import os
from pathlib import Path

from runway.config.config import Config
from runway.experiment.folders.run_folder import ExperimentFolder
from runway.sweep.ledger import Ledger
from runway.sweep.trials import Trial


def test_what_failed_before_it_was_forced_is_no_answer_whatever_else_was_trained_since(tmp_path: Path) -> None:
    ledger, experiment = Ledger(tmp_path, "line"), ExperimentFolder(tmp_path, "line")
    trial = Trial({"a": 1}, None, (), Config({}), key="k" * 32)
    ledger.write(trial.key, status="failed", error="it was to fail")
    assert ledger.state(trial, experiment).status == "failed"
    since = ledger.record_of(trial.key).stat().st_mtime + 1
    assert ledger.state(trial, experiment, since).status == "new"
    other = tmp_path / "line_V0/train/provenance.json"  # another trial of the forced sweep, which is done
    other.parent.mkdir(parents=True)
    other.write_text(json.dumps({"status": "finished", "trial": {"key": "other"}}))
    os.utime(other, (since + 1, since + 1))
    assert ledger.state(trial, experiment, since).status == "new"
    os.utime(ledger.record_of(trial.key), (since + 1, since + 1))  # and it has failed again
    assert ledger.state(trial, experiment, since).status == "failed"
