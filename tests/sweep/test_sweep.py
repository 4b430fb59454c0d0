"""`runway sweep` from its beginning to its end, and again: what runs, what does not, what is chosen."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from tests.sweep.conftest import SweepProject, files_of

RATE = "train.optimizer_config.optimizer_params.lr"
GRID = ["--grid", "train.batch_size=5,10", "--grid", f"{RATE}=0.01,0.1"]
RESULTS = "experiments/line_sweeps/batch_size+lr"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def swept(line: SweepProject) -> dict:
    """A two by two grid, two at a time."""
    return line.sweep(*GRID, "--parallel", "2")


class TestOneGrid:
    """The tests go on from each other: what one has trained, the next does not train again."""

    def test_four_trials_and_the_best_is_tested(self, line: SweepProject, swept: dict) -> None:
        means = [one["mean"] for one in swept["settings"]]
        assert len(means) == 4
        assert means == sorted(means)
        best = swept["best"]
        assert best["parameters"] == {"train.batch_size": 5, RATE: 0.1}
        (trial,) = best["trials"]
        assert trial["test"]["test_loss"] == pytest.approx(trial["score"], rel=1e-4)
        assert [bool(one["trials"][0]["test"]) for one in swept["settings"]] == [True, False, False, False]
        runs = line.runs()
        assert len(runs) == 4
        provenance = runs[Path(trial["run"]).name]
        assert provenance["overrides"] == trial["overrides"] == ["train.batch_size=5", f"{RATE}=0.1"]
        assert provenance["trial"]["parameters"] == best["parameters"]
        assert provenance["command"][1:3] == ["train", str(line.path / "line.jsonnet")]

    def test_the_shared_node_ran_once(self, line: SweepProject, swept: dict) -> None:
        logs = [path.read_text() for path in (line.path / "experiments/line_sweeps/trials").glob("*.log")]
        assert len(logs) == 4
        assert not any("ran     input:Points" in log for log in logs)

    def test_the_results_are_files(self, line: SweepProject, swept: dict) -> None:
        assert files_of(line.path / RESULTS) == ["sweep.csv", "sweep.json", "sweep.png"]
        rows = line.read(f"{RESULTS}/sweep.csv").splitlines()
        assert rows[0].startswith(f"train.batch_size,{RATE},meta.seed,status,val_loss")
        assert len(rows) == 5
        assert rows[1].startswith("5,0.1,,finished,")
        assert (line.path / RESULTS / "sweep.png").read_bytes().startswith(b"\x89PNG")
        listed = json.loads(line.run("runs", "--json").stdout)
        assert {run["run"] for run in listed} == set(line.runs())

    def test_the_same_command_again_runs_nothing(self, line: SweepProject, swept: dict) -> None:
        done = line.run("sweep", "line.jsonnet", *GRID)
        assert "started" not in done.stderr
        assert "testing" not in done.stderr
        assert len(line.runs()) == 4
        assert "best: batch_size=5, lr=0.1, val_loss" in done.stderr
        lines = [row for row in done.stdout.splitlines() if row.startswith("│")]
        assert [row.split("│")[1:3] for row in lines[:1]] == [[" 5          ", " 0.1  "]]

    def test_what_other_settings_of_a_test_have_found_is_not_taken(self, line: SweepProject, swept: dict) -> None:
        other = line.sweep(*GRID, "--test", "none", "--opts", "test.trainer_paras.limit_test_batches=1")
        assert not any(one["trials"][0]["test"] for one in other["settings"])
        same = line.sweep(*GRID, "--test", "none")
        assert same["best"]["trials"][0]["test"] == swept["best"]["trials"][0]["test"] != {}

    def test_a_value_more_runs_only_what_is_new_and_what_fails_stops_nothing(
        self, line: SweepProject, swept: dict
    ) -> None:
        # One of the two was a trial of the other sweep.
        words = ["--grid", "train.batch_size=5", "--grid", f"{RATE}=0.1", "--grid", "model_config.fails=raises,no"]
        failed = line.run("sweep", "line.jsonnet", *words, "--metric", "val_los", "--mode", "min", check=False)
        assert failed.returncode == 2
        assert "trial 1/2 failed after" in failed.stderr
        assert "RuntimeError: this one was to fail" in failed.stderr
        assert failed.stderr.count("started") == 1
        assert "no trial has logged the metric 'val_los'" in failed.stderr
        assert "did you mean 'val_loss'?" in failed.stderr
        again = line.run("sweep", "line.jsonnet", *words, check=False)
        assert again.returncode == 1
        assert (
            "trial 1/2 failed before: The run failed: RuntimeError: this one was to fail; --retry runs it again"
            in again.stderr
        )
        assert "started" not in again.stderr
        assert "best: batch_size=5, lr=0.1, fails=no" in again.stderr
        assert len(line.runs()) == 4  # what fails before its first step leaves no version

    def test_mistakes_are_told_before_anything_runs(self, line: SweepProject, swept: dict) -> None:
        wrong = ["--grid", "train.batchsize=1,2", "--grid", "train.optimizer_config.optimizer_params.lrr=1"]
        done = line.run("sweep", "line.jsonnet", *wrong, check=False)
        assert done.returncode == 2
        assert "there is no 'train.batchsize' to sweep over: train has no 'batchsize'" in done.stderr
        assert "did you mean 'batch_size'?" in done.stderr
        assert "did you mean 'lr'?" in done.stderr
        wrong = [
            "--grid",
            "train.batch_size=5,many",
            "--grid",
            "data_pipeline.transforms.input:Points.setup_kwargs.slope=a",
        ]
        done = line.run("sweep", "line.jsonnet", *wrong, check=False)
        assert done.returncode == 2
        assert "`train.batch_size` must be a whole number from 1, but is 'many' instead" in done.stderr
        assert "`slope` must be a number" in done.stderr
        assert len(line.runs()) == 4


@pytest.mark.long
def test_a_killed_sweep_goes_on_with_the_same_trials(line: SweepProject) -> None:
    words = ["experiment_name=killed", "train.trainer_paras.max_epochs=4", *GRID]
    line.write("kill_me", "")
    line.run("sweep", "line.jsonnet", *words, check=False)
    deadline = time.monotonic() + 60
    while any(run["status"] == "running" for run in line.runs("killed").values()) and time.monotonic() < deadline:
        time.sleep(0.1)
    begun = line.runs("killed")
    assert [run["status"] for run in begun.values()] == ["interrupted"]  # the trial was asked to stop with its sweep
    found = line.sweep(*words, "--parallel", "2")
    runs = line.runs("killed")
    assert len(runs) == 4
    assert {run["status"] for run in runs.values()} == {"finished"}
    assert runs["killed_V0"]["resumed_from"] == "last.ckpt"
    assert [one["n"] for one in found["settings"]] == [1] * 4


@pytest.mark.long
def test_ctrl_c_stops_the_trials_and_a_second_sweep_waits_for_the_first(line: SweepProject) -> None:
    words = ["experiment_name=stopped", "train.trainer_paras.max_epochs=100000", "--grid", "train.batch_size=5"]
    first = line.start("sweep", "line.jsonnet", *words)
    history = line.path / "experiments/stopped_V0/train/metrics_history.json"
    deadline = time.monotonic() + 60
    while not history.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    second = line.start("sweep", "line.jsonnet", *words)
    assert second.stderr is not None
    for text in second.stderr:
        if "another process runs the trial" in text:
            break
    for process in (second, first):
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
        assert process.returncode == 130
    assert "0 of 1 trials are finished" in told
    assert {name: run["status"] for name, run in line.runs("stopped").items()} == {"stopped_V0": "interrupted"}


def test_data_alone_needs_no_executor(line: SweepProject) -> None:
    line.write(
        "data.jsonnet",
        "{experiment_name: 'd', data_pipeline: { transforms: { 'output:Points': { transform_name: 'MakePoints' } } }}",
    )
    path = "data_pipeline.transforms.'output:Points'.setup_kwargs.slope"
    done = line.run("sweep", "data.jsonnet", "--grid", f"{path}=7,8", "--only", "prepare")
    assert done.stderr.count("ran     output:Points") == 2
    assert "names no executor" in line.run("sweep", "data.jsonnet", "--grid", f"{path}=7,8", check=False).stderr
