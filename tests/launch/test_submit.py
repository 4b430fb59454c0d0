"""``runway submit`` and ``runway jobs``: what is submitted runs as it was, waits for its turn, and can be looked at."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.launch.conftest import Cluster


def test_a_job_runs_the_code_that_was_submitted(cluster: Cluster):
    told = cluster.submit("--slurm", "partition=cpu", "time=1:00:00", "mem=4GB", "setup=echo hello")
    assert [job["job"] for job in told["jobs"]] == ["prepare"]
    name = told["jobs"][0]["id"]
    options = cluster.job(name)["options"]
    assert {
        "partition": "cpu",
        "time": "60",
        "mem": "4GB",
        "requeue": "",
        "signal": "USR2@120",
    }.items() <= options.items()
    assert "\necho hello\n" in cluster.job(name)["script"]
    assert cluster.listed()["prepare"]["state"] == "pending"
    snapshot = cluster.project.path / "cache" / "snapshots" / f"{told['snapshot']}.tar"
    assert snapshot.is_file()

    # Edited while it waits: code and config.
    code = cluster.project.path / "src/data_ops/rows.py"
    config = cluster.project.path / "rows.jsonnet"
    submitted = code.read_text(), config.read_text()
    code.write_text(submitted[0].replace('"old"', '"new"'))
    config.write_text(submitted[1].replace("count: 2", "count: 5"))
    assert cluster.run() == [name]
    assert cluster.job(name)["state"] == "COMPLETED"
    listed = cluster.listed()["prepare"]
    assert (listed["state"], listed["snapshot"]) == ("finished", told["snapshot"])

    # Its entry is that of the old code, in the project's cache; the project's own run of that code takes it.
    texts = [path.read_bytes() for path in (cluster.project.path / "cache").rglob("*") if path.is_file()]
    assert any(b"old 1" in text for text in texts)
    assert not any(b"new 1" in text or b"old 3" in text for text in texts if b"WORD" not in text)
    assert "1 run" in cluster.runway("plan", "rows.jsonnet").stdout
    code.write_text(submitted[0])
    config.write_text(submitted[1])
    assert "1 cached" in cluster.runway("plan", "rows.jsonnet").stdout

    logs = cluster.runway("jobs", "logs", name, "--folder", "runs").stdout
    assert "data prepared: 1 node ran" in logs


def test_what_is_not_there_or_cannot_be(cluster: Cluster):
    wrong = ("partition=cpu", "partitoin=cpu", "time=4h", "mem=much", "nodes=two", "array=0-3")
    error = cluster.runway("submit", "rows.jsonnet", "--slurm", *wrong, check=False)
    assert error.returncode == 2
    for told in (
        "partitoin: sbatch has no such option",
        "did you mean 'partition'",
        "time must be a time, but is '4h'",
        "4:00:00",
        "mem must be a size",
        "nodes must be a whole number",
        "array: runway sets it",
    ):
        assert told in error.stderr, told
    misspelt = cluster.runway("submit", "rows.jsonnet", "--stages", "trian", check=False)
    assert "there is no stage 'trian'" in misspelt.stderr
    elsewhere = cluster.runway("submit", "rows.jsonnet", "--experiment_name", "a%j", check=False)
    assert "without '%'" in elsewhere.output
    no_slurm = cluster.project.run("submit", "rows.jsonnet", check=False)
    assert no_slurm.returncode == 2
    assert "there is no sbatch and no srun on this machine" in no_slurm.stderr
    assert "--dry-run" in no_slurm.stderr
    refused = cluster.runway("submit", "rows.jsonnet", "--slurm", "partition=closed", check=False)
    assert "invalid partition specified" in refused.stderr
    assert cluster.names() == []


def test_a_dry_run_writes_nothing(cluster: Cluster):
    before = sorted(cluster.project.path.rglob("*"))
    shown = cluster.project.run("submit", "rows.jsonnet", "--dry-run", "--slurm", "gres=gpu:2", "nice=10", "hold")
    for line in (
        "#SBATCH --gres=gpu:2",
        "#SBATCH --nice=10",
        "#SBATCH --hold",
        "#SBATCH --job-name=rows-prepare",
        "srun",
    ):
        assert line in shown.stdout
    assert "--time" not in shown.stdout  # the partition's own limit
    assert [path for path in sorted(cluster.project.path.rglob("*")) if "__pycache__" not in path.parts] == before


def test_a_failure_is_told_and_a_waiting_job_can_be_cancelled(cluster: Cluster):
    code = cluster.project.path / "src/data_ops/rows.py"
    code.write_text(code.read_text().replace("return [", "raise KeyError('gone')\n        return ["))
    name = cluster.submit()["jobs"][0]["id"]
    second = cluster.submit()["jobs"][0]["id"]
    assert f"cancelled: {second}" in cluster.runway("jobs", "cancel", second, "--folder", "runs").stdout
    assert cluster.run() == [name]
    states = {
        job["id"]: job["state"] for job in json.loads(cluster.runway("jobs", "--json", "--folder", "runs").stdout)
    }
    assert states == {name: "failed", second: "cancelled"}
    assert "KeyError: 'gone'" in cluster.runway("jobs", "logs", name, "--folder", "runs").stdout
    error = cluster.runway("jobs", "logs", "77", "--folder", "runs", check=False)
    assert "there is no job '77'" in error.stderr


def test_on_this_machine(cluster: Cluster):
    told = json.loads(cluster.project.run("submit", "rows.jsonnet", "--local", "--json").stdout)
    assert told["cluster"] == "local"
    deadline = time.monotonic() + 100
    while (job := cluster.listed()["all"])["state"] != "finished":
        assert job["state"] in ("pending", "running"), job
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert "1 cached" in cluster.runway("plan", "rows.jsonnet").stdout


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("240", 240), ("90:30", 91), ("4:00:00", 240), ("1-12", 2160), ("2-0:30", 2910), ("0-0:0:1", 1)],
)
def test_times(text, minutes):
    from runway.launch.slurm_settings import minutes_of

    assert minutes_of(text) == minutes
