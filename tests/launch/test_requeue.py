"""A job whose time is over is requeued and goes on: the training with its own version, from where it was stopped."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from runway.launch.job import Start
from runway.launch.submitit_jobs import slurm_executor, submit
from tests.launch.fake_slurm import wait_for, warn_of_the_end

if TYPE_CHECKING:
    from tests.launch.conftest import Cluster

WAITS = """
    import os, time
    from pathlib import Path

    from runway import BaseTransform, register_transform_functor

    @register_transform_functor
    class Rows(BaseTransform):
        def setup(self, count=3, **kwargs):
            self.count = count
            super().setup(**kwargs)

        def _call(self, data):
            print("at work", flush=True)
            while Path("wait").exists():
                time.sleep(0.02)
            return list(range(self.count))
"""


def test_what_begins_anew_is_begun_anew_three_times(cluster: Cluster):
    cluster.project.write("src/data_ops/rows.py", WAITS)
    waits = cluster.project.write("wait", "")
    name = cluster.submit()["jobs"][0]["id"]
    (folder,) = (cluster.project.path / "runs/.jobs").glob("rows-*")
    starts = []

    def end_the_time(job: str, process: subprocess.Popen[bytes]) -> None:
        log = folder / f"{job}_0_log.out"
        wait_for(lambda: log.is_file() and log.read_text().count("at work") > len(starts), process)
        starts.append(job)
        warn_of_the_end(process)

    assert cluster.run(meanwhile=end_the_time) == [name] * 4
    listed = cluster.listed()["prepare"]
    assert listed["state"] in ("failed", "stopped")
    assert "not requeued: prepare was started 4 times" in listed["reason"]

    waits.unlink()
    second = cluster.submit()["jobs"][0]["id"]
    assert cluster.run() == [second]
    assert cluster.job(second)["state"] == "COMPLETED"


def test_a_task_of_an_array_requeues_itself(cluster: Cluster, monkeypatch: pytest.MonkeyPatch):
    cluster.project.write("src/data_ops/rows.py", WAITS)
    waits = cluster.project.write("wait", "")
    for name, value in cluster.project.environment(cluster.env).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(cluster.project.path)
    folder = cluster.project.path / "runs/.jobs/two"
    folder.mkdir(parents=True)
    starts = [
        Start(
            str(folder),
            f"trial-{number}",
            ["prepare"],
            {
                "prepare": [
                    "prepare",
                    "rows.jsonnet",
                    f"data_pipeline.transforms.output:Rows.setup_kwargs.count={number}",
                ]
            },
            str(cluster.project.path),
        )
        for number in (1, 2)
    ]
    first, second = submit(slurm_executor(folder, {"job_name": "two", "array_parallelism": 1}), starts)
    assert cluster.job(first)["options"]["array"] == "0-1%1"

    def end_the_time(job: str, process: subprocess.Popen[bytes]) -> None:
        log = folder / f"{job}_0_log.out"
        if job == first and waits.exists():
            wait_for(lambda: log.is_file() and "at work" in log.read_text(), process)
            warn_of_the_end(process)
            process.wait(timeout=60)
            waits.unlink()

    assert cluster.run(meanwhile=end_the_time) == [first, first, second]
    assert [cluster.job(name)["restarts"] for name in (first, second)] == [1, 0]
    assert [cluster.job(name)["state"] for name in (first, second)] == ["COMPLETED"] * 2


EXECUTOR = """
    import time
    from pathlib import Path

    import torch
    from torch.utils.data import DataLoader

    from runway import BaseExecutor, register_executor

    @register_executor
    class Steps(BaseExecutor):
        def _init_model(self, model_config):
            self.model = torch.nn.Linear(1, 1)

        def train_dataloader(self):
            return DataLoader(torch.arange(8.0), batch_size=1)

        test_dataloader = train_dataloader

        def training_step(self, batch, batch_idx):
            with open("steps.txt", "a") as file:
                file.write(f"{self.global_step}\\n")
            while self.global_step == 5 and not Path("go").exists():
                time.sleep(0.02)
            return self.model(batch[:, None]).mean()

        def test_step(self, batch, batch_idx):
            self.test_eval_recorder.log_sample_dict_batch({"x": batch.tolist()})
"""
CONFIG = """
    {
      experiment_name: 'rows',
      meta: { EXPERIMENT_FOLDER: 'runs', logger_enable: [] },
      data_pipeline: { transforms: { 'output:Rows': { transform_name: 'Rows', setup_kwargs: { count: 2 } } } },
      executor: { ExecutorClass: 'Steps', init_kwargs: { use_data_node: 'output:Rows' } },
      train: {
        trainer_paras: { max_epochs: 1, accelerator: 'cpu', enable_progress_bar: false },
        optimizer_config: { optimizer_name: 'SGD', optimizer_params: { lr: 0.1 } },
      },
    }
"""


@pytest.mark.slow
def test_a_training_goes_on_with_its_own_version_and_the_test_follows(cluster: Cluster):
    cluster.project.write("src/executors/steps.py", EXECUTOR)
    cluster.project.write("rows.jsonnet", CONFIG)
    told = cluster.submit("--slurm", "time=10", "test.time=1", "experiment_name=chain")
    prepare, train, test = (job["id"] for job in told["jobs"])
    assert [cluster.job(name)["options"].get("dependency") for name in (prepare, train, test)] == [
        None,
        f"afterok:{prepare}",
        f"afterok:{train}",
    ]
    (cluster.project.path / "runs/chain_V0/train").mkdir(parents=True)  # another's: not this job's to go on with
    steps = cluster.project.path / "steps.txt"

    def end_the_time(job: str, process: subprocess.Popen[bytes]) -> None:
        if job == train and not (cluster.project.path / "go").exists():
            wait_for(lambda: steps.is_file() and "5" in steps.read_text().split(), process)
            warn_of_the_end(process)
            cluster.project.write("go", "")

    assert cluster.run(meanwhile=end_the_time) == [prepare, train, train, test]
    assert steps.read_text().split() == [*"01234567"]  # the step that the signal came in was finished
    listed = cluster.listed()
    assert {name: job["state"] for name, job in listed.items()} == dict.fromkeys(
        ("prepare", "train", "test"), "finished"
    )
    run = cluster.project.path / "runs/chain_V1"
    assert listed["train"]["run"] == listed["test"]["run"] == str(run)
    record = json.loads((run / "train/provenance.json").read_text())
    assert record["resumed_from"] == "last.ckpt"
    assert [earlier["status"] for earlier in record["earlier_runs"]] == ["interrupted"]
    assert record["submission"]["snapshot"] == told["snapshot"]
    assert record["submission"]["id"] == train
    assert (run / "test/default_test/test-evaluation").is_dir()
    assert signal.SIGUSR2.name in cluster.runway("jobs", "logs", train, "--folder", "runs").stdout


SWEPT = CONFIG.replace("'rows'", "'swept'")


@pytest.mark.long
def test_a_sweep_is_an_array_and_a_choice(cluster: Cluster):
    log = "self.log('val_loss', float(self.trainer.optimizers[0].param_groups[0]['lr']), on_step=False, on_epoch=True)"
    step = "            return self.model(batch"
    only_first = "self.global_step == 5 and os.environ['RUNWAY_SUBMITTED_JOB'] == 'trial-1'"
    code = EXECUTOR.replace(step, f"            {log}\n{step}").replace("self.global_step == 5", only_first)
    cluster.project.write("src/executors/steps.py", code.replace("import time", "import os, time", 1))
    cluster.project.write("rows.jsonnet", SWEPT)
    grid = "train.optimizer_config.optimizer_params.lr=0.1,0.2"
    told = cluster.submit("--sweep", "--grid", grid, "--slurm", "time=10", "array_parallelism=2")
    assert [job["job"] for job in told["jobs"]] == ["prepare", "trial-1", "trial-2", "reduce"]
    prepare, first, second, reduce = (job["id"] for job in told["jobs"])
    steps = cluster.project.path / "steps.txt"

    def end_the_time(job: str, process: subprocess.Popen[bytes]) -> None:
        if job == first and not (cluster.project.path / "go").exists():
            wait_for(lambda: steps.is_file() and "5" in steps.read_text().split(), process)
            warn_of_the_end(process)
            cluster.project.write("go", "")

    assert cluster.run(meanwhile=end_the_time) == [prepare, first, first, second, reduce]
    assert steps.read_text().split() == [*"01234567"] * 2
    assert {job["state"] for job in cluster.listed().values()} == {"finished"}
    runs = cluster.project.path / "runs"
    assert sorted(path.name for path in runs.glob("swept_V*")) == ["swept_V0", "swept_V1"]
    assert (runs / "swept_V0/test/default_test/test-evaluation").is_dir()  # the lower value
    assert not (runs / "swept_V1/test").exists()
    assert json.loads((runs / "swept_V0/train/provenance.json").read_text())["submission"]["job"] == "trial-1"
