"""A project whose trainings take no time: a straight line through twenty points."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Project, Result, WarmProcess

OPERATIONS = '''
import json

from runway import BaseTransform, register_transform_functor


@register_transform_functor
class MakePoints(BaseTransform):
    """Points of a line; notes each time that it is made."""

    def setup(self, slope: float = 2.0, **kwargs):
        super().setup(**kwargs)
        self.slope = slope

    def _call(self, data):
        if self.slope < 0:
            raise ValueError("the slope is negative")
        return [[number / 10, self.slope * number / 10] for number in range(20)]


@register_transform_functor
class MakeLoaders(BaseTransform):
    """Its loaders."""

    def _call(self, data):
        import torch
        from torch.utils.data import DataLoader, TensorDataset

        rows = TensorDataset(torch.tensor([x for x, _ in data]), torch.tensor([y for _, y in data]))
        size = self.global_config.train.batch_size
        return {
            "train_dataloaders": [DataLoader(rows, batch_size=size)],
            "val_dataloaders": [DataLoader(rows, batch_size=20)],
            "test_dataloaders": [DataLoader(rows, batch_size=20)],
        }
'''

EXECUTOR = '''
import os
import signal

import torch

from runway import BaseExecutor, register_executor


@register_executor
class Line(BaseExecutor):
    """y = w * x."""

    def _init_model(self, model_config):
        self.model = torch.nn.Linear(1, 1, bias=False)
        self.fails = model_config["fails"]

    def _loss(self, batch):
        return ((self.model(batch[0][:, None])[:, 0] - batch[1]) ** 2).mean()

    def training_step(self, batch, batch_idx):
        if self.fails == "raises":
            raise RuntimeError("this one was to fail")
        loss = self._loss(batch)
        return loss * float("nan") if self.fails == "nan" else loss

    def on_train_epoch_end(self):
        """Kill the process once, where a file says so, in the midst of the training."""
        if os.path.exists("kill_me") and self.current_epoch == 1 and self.fails == "no":
            os.remove("kill_me")
            os.kill(os.getppid(), signal.SIGKILL)

    def validation_step(self, batch, batch_idx):
        loss = self._loss(batch)
        self.log("val_loss", loss)

    def test_step(self, batch, batch_idx):
        self.log("test_loss", self._loss(batch))
'''

CONFIG = """
{
  experiment_name: 'line',
  meta: { logger_enable: [], seed: 1 },
  data_pipeline: {
    transforms: {
      'input:Points': { transform_name: 'MakePoints', setup_kwargs: { slope: 2.0 } },
      'output:Loaders': { input_node: 'input:Points', transform_name: 'MakeLoaders', cache: false },
    },
  },
  model_config: { fails: 'no', layers: [1] },
  executor: { ExecutorClass: 'Line', init_kwargs: { use_data_node: 'output:Loaders' } },
  train: {
    batch_size: 10,
    trainer_paras: {
      max_epochs: 3,
      accelerator: 'cpu',
      enable_progress_bar: false,
      num_sanity_val_steps: 0,
    },
    optimizer_config: { optimizer_name: 'SGD', optimizer_params: { lr: 0.001 * $.train.batch_size } },
  },
}
"""


class SweepProject(Project):
    """The project, and what its sweeps have left."""

    def run(self, *args: str | Path, timeout: float = 400, **how: Any) -> Result:
        """As Project's; a sweep starts several processes that import torch, which takes its time on a busy machine."""
        return super().run(*args, timeout=timeout, **how)

    def sweep(self, *words: str, check: bool = True) -> Any:
        """Run `runway sweep`; gives what it printed as JSON, or the failed command."""
        done = self.run("sweep", "line.jsonnet", *words, "--json", check=check)
        return json.loads(done.stdout) if done.returncode == 0 else done

    def runs(self, name: str = "line") -> dict[str, dict[str, Any]]:
        """{version: provenance} of what was trained."""
        files = (self.path / "experiments").glob(f"{name}_V*/train/provenance.json")
        return {file.parent.parent.name: json.loads(file.read_text()) for file in sorted(files)}


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory, warm: WarmProcess) -> SweepProject:
    """The project, one for the tests of a file."""
    made = SweepProject(tmp_path_factory.mktemp("line") / "project", warm)
    made.write("src/data_ops/points.py", OPERATIONS)
    made.write("src/executors/line.py", EXECUTOR)
    made.write("line.jsonnet", CONFIG)
    return made


def files_of(folder: Path) -> list[str]:
    """The names in a folder, without hidden ones."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
