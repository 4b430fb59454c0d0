"""`runway runs`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.cli.conftest import as_json

if TYPE_CHECKING:
    from tests.conftest import Project


def test_runs_tell_finished_tests_from_others_and_where_they_looked(reviews: Project) -> None:
    statuses = {"train": "finished", "test/one": "finished", "test/two": "failed"}
    for folder, status in statuses.items():
        reviews.write(f"experiments/cli_V0/{folder}/provenance.json", json.dumps({"status": status}))
    printed = reviews.run("runs").stdout
    assert f"1 run in {reviews.path / 'experiments'}" in printed
    assert "one, two (failed)" in printed
    (found,) = as_json(reviews, "runs")
    assert (found["tests"], found["other_tests"]) == (["one"], {"two": "failed"})
    missing = reviews.run("runs", "nowhere", check=False)
    assert (missing.returncode, str(reviews.path / "nowhere") in missing.stderr) == (2, True)


def test_a_run_that_the_original_wrote_is_listed(reviews: Project) -> None:
    reviews.write("experiments/old_V3/train/config.json", json.dumps({"experiment_name": "old"}))
    reviews.write("experiments/old_V3/test/one/metrics.json", json.dumps({"accuracy": 0.5}))
    reviews.write("experiments/no_version/train/config.json", "{}")
    (found,) = as_json(reviews, "runs")
    assert (found["run"], found["status"], found["tests"]) == ("old_V3", "unknown", ["one"])
    assert found["metrics"] == {"accuracy": 0.5}
