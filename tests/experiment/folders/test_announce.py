"""Two ranks, one run folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.experiment.tiny import names

if TYPE_CHECKING:
    from tests.conftest import Project


@pytest.mark.slow
def test_two_ranks_share_a_version_and_can_be_resumed(project: Project) -> None:
    project.write(
        "src/executors/small.py",
        """
        import torch
        from runway import BaseExecutor, register_executor

        @register_executor
        class Small(BaseExecutor):
            def _init_model(self, model_config):
                self.model = torch.nn.Linear(1, 1)
            def setup(self, stage):
                rows = torch.utils.data.TensorDataset(torch.ones(20, 1))
                self.train_dataloaders = [torch.utils.data.DataLoader(rows, batch_size=1)]
                self.valid_dataloaders = [torch.utils.data.DataLoader(rows, batch_size=5)]
            def training_step(self, batch, batch_idx):
                return self.model(batch[0]).square().mean()
            def validation_step(self, batch, batch_idx):
                self.log("val_loss", self.model(batch[0]).mean(), sync_dist=True)
        """,
    )
    project.write(
        "src/data_ops/nothing.py",
        """
        from runway import BaseTransform, register_transform_functor

        @register_transform_functor
        class Nothing(BaseTransform):
            def _call(self, data):
                return [1]
        """,
    )
    project.write(
        "two.jsonnet",
        """
        {
          experiment_name: 'two',
          meta: {EXPERIMENT_FOLDER: 'runs', logger_enable: ['csv']},
          data_pipeline: {transforms: {'output:Nothing': {transform_name: 'Nothing'}}},
          executor: {ExecutorClass: 'Small', init_kwargs: {use_data_node: 'output:Nothing'}},
          train: {trainer_paras: {max_epochs: 1, accelerator: 'cpu', devices: 2, strategy: 'ddp'}},
        }
        """,
    )
    project.run("train", "two.jsonnet")  # Lightning starts the second rank
    project.run("train", "two.jsonnet", "--resume", "train.trainer_paras.max_epochs=2")
    launcher = ("-m", "torch.distributed.run", "--nproc_per_node=2", "-m", "runway")
    project.python(*launcher, "train", "two.jsonnet", "train.trainer_paras.max_epochs=2")
    assert [name for name in names(project.path / "runs") if name.startswith("two")] == ["two_V0", "two_V1"]
    for version in ("two_V0", "two_V1"):
        train = project.path / "runs" / version / "train"
        index = json.loads((train / "saved_models/checkpoints.json").read_text())
        assert index["best_model_path"] == "epoch=1-step=20.ckpt"
        assert json.loads((train / "provenance.json").read_text())["status"] == "finished"
