"""Trials on a Ray cluster of two machines, which are one here; and on a machine that sees nothing of the sweep's."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runway.experiment.folders.run_folder import ExperimentFolder
from runway.sweep.processes import Job
from runway.sweep.trial import told

if TYPE_CHECKING:
    from tests.sweep.conftest import SweepProject

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster of two nodes of one core each."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    yield cluster.address
    cluster.shutdown()


def test_four_trials_run_on_both_machines(line: SweepProject, cluster: str) -> None:
    with (line.path / "large.bin").open("wb") as file:
        file.truncate(1024**3)  # other data beside the config costs nothing
    words = ["--grid", "train.batch_size=5,10", "--grid", "train.optimizer_config.optimizer_params.lr=0.01,0.1"]
    words += ["--runner", "ray", f"sweep.runner={{name: ray, address: '{cluster}'}}", "experiment_name=far"]
    found = line.sweep(*words)
    trials = [one["trials"][0] for one in found["settings"]]
    assert [trial["status"] for trial in trials] == ["finished"] * 4
    assert len({trial["machine"] for trial in trials}) == 2
    assert found["best"]["parameters"]["train.batch_size"] == 5
    assert found["best"]["trials"][0]["test"]["test_loss"] == pytest.approx(found["best"]["mean"], rel=1e-4)
    runs = line.runs("far")
    assert len(runs) == 4
    for run in runs.values():  # each from the snapshot, into the experiment's folder
        assert "/projects/" in run["command"][2]
    logs = [path.read_text() for path in (line.path / "experiments/far_sweeps/trials").glob("*.log")]
    assert not any("ran     input:Points" in log for log in logs)
    done = line.run("sweep", "line.jsonnet", *words)
    assert "started" not in done.stderr
    assert "Ray" not in done.stderr


def test_a_trial_that_sees_nothing_is_sent_back(line: SweepProject, tmp_path: Path) -> None:
    from runway.snapshot import take_snapshot
    from runway.sweep.ray import Delivery, run_trial, unpack_version

    away = tmp_path / "away"
    shutil.copytree(line.path / "src", away / "src")
    shutil.copy(line.path / "line.jsonnet", away)
    snapshot = take_snapshot(away)
    delivery = Delivery(
        *(away, snapshot.digest, snapshot.archive.read_bytes(), tmp_path / "unseen", tmp_path / "unseen/.token-1"),
        *(str(tmp_path / "unseen/cache"), "tokens/1"),
    )
    shutil.rmtree(away)
    variables = told("sweep", "thekey", {"a": 1}, str(tmp_path / "unseen/lock"))
    job = Job("train", away / "line.jsonnet", away, ["train.batch_size=5"], tmp_path / "unseen/log", variables)
    answer = run_trial(delivery, job, str(tmp_path / "unseen/stop"))
    assert (answer.code, answer.experiment) == (0, "line"), answer.log
    assert len(answer.blind) == 2
    assert answer.version is not None
    assert answer.log
    run = ExperimentFolder(tmp_path / "back", answer.experiment).claim()
    unpack_version(answer.version, run.path)
    provenance = json.loads((run.train / "provenance.json").read_text())
    assert provenance["trial"] == {"sweep": "sweep", "key": "thekey", "parameters": {"a": 1}}
    assert provenance["status"] == "finished"
    assert run.has_checkpoints()
    assert not (tmp_path / "unseen").exists()
