"""A training that was stopped and resumed ends with the weights of one that never was."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from datasets import Dataset

from runway.errors import ConfigError, ExperimentError
from runway.experiment import Interrupted
from runway.registry import register_executor, register_transform_functor
from runway.transforms.base import BaseTransform
from runway.transforms.batching.dataloaders import make_dataloader
from tests.experiment.tiny import TinyRegression, names, same_weights, tiny, weights

if TYPE_CHECKING:
    from tests.conftest import Project

EPOCHS = "train.trainer_paras.max_epochs=3"


@register_executor
class StopsItself(TinyRegression):
    """Sends its process the signal that its config names, at one step of all (not of the epoch)."""

    def _init_model(self, model_config: Any) -> None:
        super()._init_model(model_config)
        self.signals = dict(model_config.get("signals") or {})

    def on_step(self, batch_idx: int) -> None:
        """Ctrl-C, as a terminal sends it."""
        for number in self.signals.pop(str(self.trainer.fit_loop.total_batch_idx + 1), []):
            os.kill(os.getpid(), number)


def _stopped(path: Path, at: int, number: int, *overrides: str) -> Interrupted:
    model = json.dumps({"width": 8, "signals": {str(at): [int(number)]}})
    with pytest.raises(Interrupted) as caught:
        tiny(path, EPOCHS, "executor.ExecutorClass=StopsItself", f"model_config={model}", *overrides).train()
    return caught.value


@pytest.mark.parametrize(
    ("at", "overrides"),
    [
        (3, []),  # inside the first epoch
        (14, []),  # inside a later one
        (10, []),  # at the end of one, before its validation
        (8, ["train.trainer_paras.val_check_interval=4"]),  # before a validation inside an epoch
        (11, ["train.trainer_paras.accumulate_grad_batches=3"]),  # inside an accumulated step
        (20, ["data_pipeline.transforms.output:Rows.setup_kwargs.valid=false"]),
        (20, ["data_pipeline.transforms.output:Rows.setup_kwargs.valid=false", "train.trainer_paras.max_steps=25"]),
        (13, ["train.optimizer_config.scheduler=linear", "train.early_stop_patience=50"]),
    ],
)
def test_a_resumed_training_equals_one_that_was_never_stopped(tmp_path: Path, at: int, overrides: list[str]) -> None:
    whole = tiny(tmp_path / "whole", EPOCHS, *overrides).train()
    _stopped(tmp_path / "parts", at, signal.SIGINT, *overrides)
    resumed = tiny(tmp_path / "parts", EPOCHS, *overrides, resume=True).train()
    assert resumed.path.parent.name == "tiny_V0"
    last = [result.path / "saved_models" / "last.ckpt" for result in (whole, resumed)]
    assert same_weights(weights(last[0]), weights(last[1]))
    assert names(whole.path / "saved_models") == names(resumed.path / "saved_models")
    assert names(whole.path / "recorders") == names(resumed.path / "recorders")
    optimizers = [torch.load(path, weights_only=True)["optimizer_states"][0]["state"] for path in last]
    assert all(torch.equal(optimizers[0][key]["exp_avg"], optimizers[1][key]["exp_avg"]) for key in optimizers[0])
    histories = [json.loads((result.path / "metrics_history.json").read_text()) for result in (whole, resumed)]
    assert histories[0] == histories[1]


@register_executor
class SavesItself(TinyRegression):
    """Saves a checkpoint of its own after the third batch, in the midst of its hooks, and draws a number in them."""

    def on_train_batch_end(self, *args: Any) -> None:
        """Draw, save."""
        torch.rand(1)
        if self.trainer.global_step == 3 and not self.trainer.ckpt_path:
            self.trainer.save_checkpoint(Path(str(self.trainer.default_root_dir)).parents[2] / "own/last.ckpt")


def test_a_checkpoint_that_a_hook_of_the_users_saved_is_gone_on_from(tmp_path: Path) -> None:
    settings = ["executor.ExecutorClass=SavesItself"]
    whole = tiny(tmp_path, *settings).train().path
    kept = weights(whole / "saved_models/last.ckpt")
    shutil.rmtree(whole / "saved_models")
    shutil.move(tmp_path / "own", whole / "saved_models")
    resumed = tiny(tmp_path, *settings, resume=True).train().path
    assert resumed == whole
    assert same_weights(kept, weights(whole / "saved_models/last.ckpt"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_is_saved_recorded_and_says_how_to_go_on(tmp_path: Path, number: int) -> None:
    before = signal.getsignal(number)
    error = _stopped(tmp_path, 4, number)
    assert error.exit_code == 130
    assert "--resume" in str(error.hint)
    assert signal.getsignal(number) == before
    train = tmp_path / "runs/tiny_V0/train"
    assert torch.load(train / "saved_models/last.ckpt", weights_only=True)["global_step"] == 4
    assert json.loads((train / "provenance.json").read_text())["status"] == "interrupted"
    log = (train / "run.log").read_text().splitlines()
    assert any(" Interrupted: training was interrupted; its state is in last.ckpt" in line for line in log[-3:])
    tiny(tmp_path, EPOCHS, resume=True).train()
    assert "going on at step 4 of 30\n" in (train / "run.log").read_text()
    record = json.loads((train / "provenance.json").read_text())
    assert record["status"] == "finished"
    assert record["resumed_from"] == "last.ckpt"
    assert [earlier["status"] for earlier in record["earlier_runs"]] == ["interrupted"]


def test_a_second_ctrl_c_stops_at_once(tmp_path: Path) -> None:
    model = json.dumps({"width": 8, "signals": {"4": [int(signal.SIGINT)] * 2}})
    with pytest.raises(Interrupted, match="interrupted"):
        tiny(tmp_path, "executor.ExecutorClass=StopsItself", f"model_config={model}").train()
    assert not (tmp_path / "runs/tiny_V0/train/saved_models/last.ckpt").exists()


def test_a_moved_run_can_be_resumed_and_knows_its_best(tmp_path: Path) -> None:
    _stopped(tmp_path / "old", 14, signal.SIGINT)
    (tmp_path / "new").mkdir()
    (tmp_path / "old" / "runs").rename(tmp_path / "new" / "runs")
    resumed = tiny(tmp_path / "new", EPOCHS, resume=True).train()
    whole = tiny(tmp_path / "whole", EPOCHS).train()
    assert resumed.checkpoint is not None
    assert resumed.checkpoint.is_relative_to(tmp_path / "new")
    assert whole.checkpoint is not None
    assert resumed.checkpoint.name == whole.checkpoint.name


def test_what_cannot_be_resumed_says_so(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="no version with a checkpoint to resume from"):
        tiny(tmp_path, resume=True).train()
    tiny(tmp_path, "train.model_checkpoint_callback_paras.save_weights_only=true").train()
    with pytest.raises(ExperimentError, match="holds weights only"):
        tiny(tmp_path, resume=True).train()
    with pytest.raises(ConfigError, match="contradict"):
        tiny(tmp_path, resume=True, reset=True).train()
    assert names(tmp_path / "runs") == ["tiny_V0"]


def test_a_resume_with_another_config_says_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny(tmp_path).train()
    tiny(tmp_path, EPOCHS, "test_suffix=other", "meta.DATA_FOLDER=data", resume=True).train()
    assert "config differs" not in capsys.readouterr().err
    more = [f"model_config.extra_{number}=1" for number in range(5)]
    tiny(tmp_path, EPOCHS, *more, "model_config.extra_5=1", resume=True).train()
    told = next(line for line in capsys.readouterr().err.splitlines() if "config differs from that of tiny_V0" in line)
    assert "model_config.extra_0 (nothing -> 1)" in told
    assert told.endswith("model_config.extra_4 (nothing -> 1) and 1 more")


def test_a_resume_with_nothing_left_to_do_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny(tmp_path).train()
    assert "going on" not in capsys.readouterr().err
    tiny(tmp_path, resume=True).train()
    assert "nothing was left to train after step 20" in capsys.readouterr().err


def test_more_epochs_after_a_finished_training(tmp_path: Path) -> None:
    whole = tiny(tmp_path / "whole", EPOCHS).train()
    tiny(tmp_path / "parts").train()
    resumed = tiny(tmp_path / "parts", EPOCHS, resume=True).train()
    assert same_weights(
        weights(whole.path / "saved_models/last.ckpt"), weights(resumed.path / "saved_models/last.ckpt")
    )


def test_the_place_is_found_with_workers_and_with_an_epoch_that_samplers_must_know(project: Project) -> None:
    """In a process of its own: worker processes and pytest's do not mix."""
    program = project.write(
        "order.py",
        """
        import torch
        from torch.utils.data import BatchSampler, DataLoader, SequentialSampler
        from lightning.pytorch.loops.fetchers import _PrefetchDataFetcher
        from runway.experiment.callbacks.replay import ReplayLoader

        class PerEpoch(BatchSampler):
            epoch = 0
            def set_epoch(self, epoch): self.epoch = epoch
            def __iter__(self):
                generator = torch.Generator().manual_seed(self.epoch)
                order = torch.randperm(12, generator=generator).tolist()
                return iter([order[at:at + 3] for at in range(0, 12, 3)])

        sampler = PerEpoch(SequentialSampler(range(12)), 3, False)

        def order(workers, began=None):
            loader = DataLoader(list(range(12)), batch_sampler=sampler, num_workers=workers)
            replayed = ReplayLoader(loader, "max_size_cycle")
            replayed.limits, replayed.epoch = [4], 5
            fetcher = _PrefetchDataFetcher()
            fetcher.setup(replayed)
            if began is None:
                iter(fetcher)
            else:
                replayed.replay(began, 2, fetcher)
            left = 4 if began is None else 2
            return [next(fetcher)[0].tolist() for _ in range(left)], replayed.epoch_began

        first, began = order(0)
        for workers in (0, 1):
            assert order(workers, began)[0] == first[2:], workers
        assert first[0] == torch.randperm(12, generator=torch.Generator().manual_seed(5)).tolist()[:3]
        """,
    )
    project.python(program)


def test_ctrl_c_at_the_real_command(project: Project) -> None:
    project.write(
        "src/executors/slow.py",
        """
        import time
        import torch
        from runway import BaseExecutor, register_executor
        from runway.log import info

        @register_executor
        class Slow(BaseExecutor):
            def _init_model(self, model_config):
                self.model = torch.nn.Linear(1, 1)
            def setup(self, stage):
                rows = torch.utils.data.TensorDataset(torch.ones(4000, 1))
                self.train_dataloaders = [torch.utils.data.DataLoader(rows, batch_size=1)]
                self.valid_dataloaders = []
            def training_step(self, batch, batch_idx):
                if batch_idx == 3:
                    info("READY")
                time.sleep(0.01)
                return self.model(batch[0]).mean()
        """,
    )
    project.write(
        "src/data_ops/rows.py",
        """
        from runway import BaseTransform, register_transform_functor

        @register_transform_functor
        class Nothing(BaseTransform):
            def _call(self, data):
                return [1]
        """,
    )
    project.write(
        "slow.jsonnet",
        """
        {
          experiment_name: 'slow',
          meta: {EXPERIMENT_FOLDER: 'runs', logger_enable: []},
          data_pipeline: {transforms: {'output:Nothing': {transform_name: 'Nothing'}}},
          executor: {ExecutorClass: 'Slow', init_kwargs: {use_data_node: 'output:Nothing'}},
          train: {trainer_paras: {max_epochs: 1, accelerator: 'cpu'}},
        }
        """,
    )
    process = project.start("train", "slow.jsonnet")
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if "READY" in line:
            process.send_signal(signal.SIGINT)
            break
    _, rest = process.communicate(timeout=60)
    told = "".join(seen) + rest
    assert process.returncode == 130, told
    assert "--resume" in told
    assert "Traceback" not in told
    assert names(project.path / "runs/slow_V0/train/saved_models") == ["checkpoints.json", "last.ckpt"]


@register_transform_functor
class BucketedRows(BaseTransform):
    """The same kind of rows, in the ready-made length-bucketed loaders."""

    def setup(self) -> None:
        """It has no settings."""

    def _call(self, data: Any) -> dict[str, list[Any]]:
        rows = {"input_ids": [[1] * (1 + 7 * i % 5) for i in range(22)], "label": [float(i) for i in range(22)]}
        dataset = Dataset.from_dict(rows)
        loader = make_dataloader(dataset, batch_size=2, shuffle=True, seed=3)
        return {"train_dataloaders": [loader], "val_dataloaders": [make_dataloader(dataset, batch_size=5)]}


@register_executor
class StopsInBuckets(StopsItself):
    """StopsItself over batches that are dicts."""

    def _loss(self, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
        x = batch["input_ids"].float().sum(1, keepdim=True).expand(-1, 4)
        predictions = self.model(x)
        return predictions, ((predictions - batch["labels"].view(-1, 1)) ** 2).mean()

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        """Squared error."""
        self.batches.append(batch["index"].tolist())
        self.on_step(batch_idx)
        return self._loss(batch)[1]

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Log the error."""
        self.log("val_loss", self._loss(batch)[1])


@pytest.mark.parametrize("at", [4, 15])
def test_the_ready_made_loaders_go_on_inside_an_epoch(tmp_path: Path, at: int) -> None:
    node = "data_pipeline.transforms.output:Rows.transform_name=BucketedRows"
    overrides = [EPOCHS, node, "~eval"]
    executor = "executor.ExecutorClass=StopsInBuckets"
    model = 'model_config={"width": 8, "signals": {}}'
    whole = tiny(tmp_path / "whole", *overrides, executor, model).train()
    stopping = json.dumps({"width": 8, "signals": {str(at): [int(signal.SIGINT)]}})
    with pytest.raises(Interrupted):
        tiny(tmp_path / "parts", *overrides, executor, f"model_config={stopping}").train()
    resumed = tiny(tmp_path / "parts", *overrides, executor, model, resume=True).train()
    assert same_weights(*(weights(run.path / "saved_models" / "last.ckpt") for run in (whole, resumed)))
