"""One training or test over several processes, however they were started: by Lightning, by torchrun, by srun."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from runway import EvalRecorder
from runway.errors import ConfigError, ExperimentError
from runway.experiment.folders.find_checkpoint import best_checkpoint, last_checkpoint
from runway.ranks import launch, rank
from tests.experiment.tiny import tiny

if TYPE_CHECKING:
    from tests.conftest import Project

# Rows whose prediction is the same whatever batch they stand in; and a note of each file that is written into the runs.
EXECUTOR = """
    import os, sys

    import torch
    from torch.utils.data import DataLoader

    from runway import BaseExecutor, register_executor
    from runway.transforms.batching.dataloaders import make_dataloader

    def note(event, args):
        is_written = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
        if is_written and "/runs/" in str(args[0]):
            names = ("RANK", "SLURM_PROCID", "LOCAL_RANK")
            rank = next((os.environ[name] for name in names if name in os.environ), "0")
            with open(f"writes-{rank}.txt", "a") as file:
                file.write(str(args[0]) + "\\n")

    sys.addaudithook(note)

    @register_executor
    class Line(BaseExecutor):
        def _init_model(self, model_config):
            self.model = torch.nn.Linear(1, 1).double()

        def train_dataloader(self):
            return DataLoader(self.node_data()["train"].remove_columns("tokens"), batch_size=4, shuffle=True)

        def val_dataloader(self):
            return DataLoader(self.node_data()["valid"].remove_columns("tokens"), batch_size=4)

        def test_dataloader(self):
            rows = self.node_data()["test"]  # with Lightning's sampler, and with runway's, in batches by length
            by_length = make_dataloader(rows, batch_size=4, length_columns=["tokens"])
            return [DataLoader(rows.remove_columns("tokens"), batch_size=4), by_length]

        def step(self, batch):
            x = torch.as_tensor(batch["value"]).double()
            y = x * self.model.weight.view(()) + self.model.bias.view(())
            return y, ((y - 3 * x) ** 2).mean()

        def training_step(self, batch, batch_idx):
            return self.step(batch)[1]

        def validation_step(self, batch, batch_idx):
            y, loss = self.step(batch)
            self.log("val_loss", loss, sync_dist=True, batch_size=len(y))
            self.valid_eval_recorder.log_sample_dict_batch({"y": y.tolist()})

        def test_step(self, batch, batch_idx, dataloader_idx=0):
            y, _ = self.step(batch)
            numbers = torch.as_tensor(batch["row"]).tolist()
            self.test_eval_recorder.log_sample_dict_batch({"row": numbers, "y": y.tolist()})
"""
DATA = """
    import os

    from runway import BaseTransform, register_transform_functor

    @register_transform_functor
    class MakeRows(BaseTransform):
        def setup(self, rows, **kwargs):
            self.rows = rows
            super().setup(**kwargs)

        def _call(self, data):
            import datasets

            with open("ran.txt", "a") as file:
                file.write("once\\n")
            splits = {}
            for split, count in self.rows.items():
                numbers = range(count)
                values = [7 * row % count / count for row in numbers]
                tokens = [[1] * (13 * row % 17 + 1) for row in numbers]
                columns = {"row": list(numbers), "value": values, "tokens": tokens}
                splits[split] = datasets.Dataset.from_dict(columns)
            return datasets.DatasetDict(splits)
"""
CONFIG = """
    {
      experiment_name: 'line',
      meta: { EXPERIMENT_FOLDER: 'runs', logger_enable: ['csv', 'tensorboard'] },
      data_pipeline: { transforms: {
        'output:Rows': { transform_name: 'MakeRows', setup_kwargs: { rows: { train: 40, valid: 13, test: 101 } } },
      } },
      executor: { ExecutorClass: 'Line', init_kwargs: { use_data_node: 'output:Rows' } },
      train: {
        trainer_paras: { max_epochs: 1, accelerator: 'cpu', enable_progress_bar: false },
        optimizer_config: { optimizer_name: 'SGD', optimizer_params: { lr: 0.1 } },
      },
      test: { trainer_paras: { accelerator: 'cpu', enable_progress_bar: false } },
    }
"""


@pytest.fixture
def line(project: Project) -> Project:
    project.write("src/executors/line.py", EXECUTOR)
    project.write("src/data_ops/rows.py", DATA)
    project.write("line.jsonnet", CONFIG)
    return project


def of_processes(count: int, *stages: str) -> list[str]:
    return [f"{stage}.trainer_paras.{setting}" for stage in stages for setting in (f"devices={count}", "strategy=ddp")]


def by_torchrun(project: Project, count: int, *args: str, check: bool = True) -> str:
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count), "-m", "runway", *args]
    return project.python(*command, check=check, timeout=240).output


def by_srun(project: Project, count: int, *args: str, check: bool = True, **env: str) -> str:
    """As srun does: every process at once, told apart by Slurm's variables."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    tasks = {"SLURM_JOB_ID": "77", "SLURM_STEP_ID": "0", "SLURM_NTASKS": f"{count}", "SLURM_NODEID": "0"}
    tasks |= {"SLURM_NTASKS_PER_NODE": f"{count}", "SLURM_NNODES": "1", "MASTER_ADDR": "127.0.0.1"}
    started = [
        project.start(
            *args, env={**tasks, "SLURM_PROCID": f"{n}", "SLURM_LOCALID": f"{n}", "MASTER_PORT": f"{port}"} | env
        )
        for n in range(count)
    ]
    outputs = ["".join(process.communicate(timeout=240)) for process in started]
    if check:
        assert [process.returncode for process in started] == [0] * count, outputs
    return "\n".join(outputs)


def rows(project: Project, run: str, suffix: str) -> list[dict]:
    folder = project.path / "runs" / run / "test" / suffix
    return EvalRecorder.load_from_disk("test-evaluation", folder).get_sample_logs("list")


@pytest.mark.slow
@pytest.mark.unknown_code
def test_recorders_are_those_of_one_process_however_the_processes_were_started(line: Project):
    line.run("run", "line.jsonnet", "test_suffix=one")
    one = rows(line, "line_V0", "one")
    assert [row["row"] for row in one] == [*range(101)] * 2
    assert line.read("ran.txt") == "once\n"

    line.run("test", "line.jsonnet", "test_suffix=three", *of_processes(3, "test"), timeout=240)
    by_torchrun(line, 2, "test", "line.jsonnet", "test_suffix=torchrun", *of_processes(2, "test"))
    for suffix in ("three", "torchrun"):
        assert rows(line, "line_V0", suffix) == one, suffix
    assert line.read("ran.txt") == "once\n"


@pytest.mark.unknown_code
@pytest.mark.parametrize(
    "start", [pytest.param(by_srun, marks=pytest.mark.slow), pytest.param(by_torchrun, marks=pytest.mark.long)]
)
def test_one_version_one_writer_data_made_once(line: Project, start):
    output = start(line, 2, "run", "line.jsonnet", *of_processes(2, "train"))  # and a test on one
    assert [path.name for path in (line.path / "runs").iterdir()] == ["line_V0"]
    assert (line.path / "writes-0.txt").is_file()
    assert not (line.path / "writes-1.txt").exists()
    assert line.read("ran.txt") == "once\n"
    assert [row["row"] for row in rows(line, "line_V0", "default_test")] == [*range(101)] * 2
    assert "1 of 14 rows" in output  # the 13 of the validation, on two ranks

    if start is by_torchrun:  # going on, in the version that both find
        more = "train.trainer_paras.max_epochs=2"
        start(line, 2, "train", "line.jsonnet", *of_processes(2, "train"), more, "--resume")
        assert [path.name for path in (line.path / "runs").iterdir()] == ["line_V0"]
        assert not (line.path / "writes-1.txt").exists()


@pytest.mark.long
@pytest.mark.unknown_code
def test_a_stage_of_one_process_beside_one_of_several(line: Project):
    line.run("run", "line.jsonnet", *of_processes(2, "train"), "test_suffix=alone", timeout=240)
    line.run("run", "line.jsonnet", *of_processes(2, "test"), "test_suffix=two", timeout=240)
    assert sorted(path.name for path in (line.path / "runs").iterdir()) == ["line_V0", "line_V1"]
    assert [row["row"] for row in rows(line, "line_V0", "alone")] == [*range(101)] * 2
    assert [row["row"] for row in rows(line, "line_V1", "two")] == [*range(101)] * 2


TWICE = """
    from runway import RunwayExperiment, load_config

    for name in ("first", "second"):
        two = ["train.trainer_paras.devices=2", "train.trainer_paras.strategy=ddp"]
        experiment = RunwayExperiment(load_config("line.jsonnet", two), experiment_name=name)
        experiment.train()
        experiment.test()  # of one process: the other one goes on to the next training, and waits for it
"""


@pytest.mark.slow
@pytest.mark.unknown_code
def test_a_script_trains_again_after_a_stage_of_one_process(line: Project):
    line.write("twice.py", TWICE)
    line.python("twice.py", timeout=240)
    assert sorted(path.name for path in (line.path / "runs").iterdir()) == ["first_V0", "second_V0"]
    for run in ("first_V0", "second_V0"):
        assert [row["row"] for row in rows(line, run, "default_test")] == [*range(101)] * 2


@pytest.mark.parametrize(
    ("env", "devices", "told", "hint"),
    [
        ({}, 2, "stands alone in a Slurm job of 2 tasks", "srun runway train"),
        ({"SLURM_STEP_ID": "0"}, 1, "srun has started 2 processes, but train.trainer_paras asks for 1", "strategy=ddp"),
        (
            {"SLURM_STEP_ID": "0", "SLURM_NNODES": "2"},
            2,
            "2 processes on 2 machines",
            "train.trainer_paras.num_nodes=2",
        ),
        ({"SLURM_NODEID": ""}, 2, "has no SLURM_NODEID", "by srun"),
    ],
)
def test_what_cannot_be_is_told(tmp_path, monkeypatch, env, devices, told, hint):
    task = {"SLURM_JOB_ID": "77", "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_PROCID": "0"}
    task |= {"SLURM_NODEID": "0", "SLURM_LOCALID": "0", "SLURM_NNODES": "1"}
    for name, value in (task | env).items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    two = ["train.trainer_paras.strategy=ddp"] if devices == 2 else []
    with pytest.raises(ConfigError) as raised:
        tiny(tmp_path, f"train.trainer_paras.devices={devices}", *two).train()
    assert told in str(raised.value)
    assert hint in str(raised.value.hint)
    assert not (tmp_path / "runs").exists()


def test_fsdp_wants_gpus_and_shards_are_told(tmp_path):
    with pytest.raises(ConfigError, match="requires a GPU") as raised:
        tiny(tmp_path, "train.trainer_paras.strategy=fsdp").train()
    assert raised.value.where == "train.trainer_paras"

    # As FSDP leaves them with `state_dict_type: sharded`: the best is the best, and what to do with it is said.
    saved = tmp_path / "runs/tiny_V0/train/saved_models"
    for name in ("epoch=0.ckpt", "last.ckpt"):
        (saved / name).mkdir(parents=True)
        (saved / name / "meta.pt").touch()
    (saved / "checkpoints.json").write_text('{"best_model_path": "epoch=0.ckpt"}')
    assert best_checkpoint(saved) == saved / "epoch=0.ckpt"
    assert last_checkpoint(saved) == saved / "last.ckpt"
    with pytest.raises(ExperimentError, match="a folder of shards") as told:
        tiny(tmp_path).test()
    assert "consolidate_checkpoint" in str(told.value.hint)


def test_ranks(monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in os.environ if name.startswith(("SLURM_", "TORCHELASTIC"))]:
        monkeypatch.delenv(name)
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert rank() == 0
    assert launch() is None
    monkeypatch.setenv("SLURM_PROCID", "0")  # a shell in a job, where Lightning starts processes
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert rank() == 1
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("NODE_RANK", "1")  # the first of a second machine
    assert rank() != 0
    monkeypatch.setenv("RANK", "0")
    assert rank() == 0
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert launch() is None
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert launch() == ("torchrun", 4)
