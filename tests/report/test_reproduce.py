"""A real run, made again after its config's file has changed; and what three changes between two runs are told as."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import Project

CODE = """
    import lightning
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    from runway import BaseExecutor, BaseTransform, register_executor, register_transform_functor


    def clean(number):
        return number * 2.0


    def unused(number):
        return number


    @register_transform_functor
    class Numbers(BaseTransform):
        def _call(self, data):
            return [clean(number / 20) for number in range(20)]


    @register_transform_functor
    class Loaders(BaseTransform):
        def _call(self, data):
            x = torch.tensor(data).reshape(-1, 1)
            make = lambda shuffle: [DataLoader(TensorDataset(x, 3 * x), batch_size=4, shuffle=shuffle)]
            return {"train_dataloaders": make(True), "val_dataloaders": make(False), "test_dataloaders": make(False)}


    @register_executor
    class Line(BaseExecutor):
        def _init_model(self, model_config):
            self.model = torch.nn.Sequential(torch.nn.Linear(1, 4), torch.nn.Dropout(0.2), torch.nn.Linear(4, 1))

        def _loss(self, batch):
            return ((self.model(batch[0]) - batch[1]) ** 2).mean()

        def training_step(self, batch, batch_idx):
            return self._loss(batch)

        def validation_step(self, batch, batch_idx):
            self.log("val_loss", self._loss(batch))

        def test_step(self, batch, batch_idx):
            self.log("test_loss", self._loss(batch))
"""
CONFIG = """
    {
      experiment_name: 'line',
      meta: { seed: 3, logger_enable: [] },
      data_pipeline: {
        transforms: {
          'process:Numbers': { transform_name: 'Numbers' },
          'output:Loaders': { input_node: 'process:Numbers', transform_name: 'Loaders', cache: false },
        },
      },
      executor: { ExecutorClass: 'Line', init_kwargs: { use_data_node: 'output:Loaders' } },
      train: {
        trainer_paras: { max_epochs: 2, accelerator: 'cpu', enable_progress_bar: false },
        optimizer_config: { optimizer_name: 'AdamW', optimizer_params: { lr: LR } },
      },
      test: { trainer_paras: { accelerator: 'cpu', enable_progress_bar: false } },
    }
"""
LR = "train.optimizer_config.optimizer_params.lr"
SESSION = f"""
    import contextlib, importlib, io, json, sys
    from pathlib import Path
    from runway.cli.app import main

    def say(*words, wanted=0):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            code = main(words)
        assert code == wanted, (words, code)
        return printed.getvalue()

    config, ops = Path("config.jsonnet"), Path("src/data_ops/ops.py")
    say("run", "config.jsonnet", "--tags", "small")
    config.write_text(config.read_text().replace("lr: 0.01", "lr: 0.5"))  # the run has kept its own
    again = json.loads(say("reproduce", "line", "--strict", "--json"))

    changed = ops.read_text().replace("number * 2.0", "number * 2.5").replace("return number\\n", "return -number\\n")
    ops.write_text(changed)
    importlib.reload(sys.modules["data_ops.ops"])
    say("run", "config.jsonnet", "{LR}=0.02", "meta.seed=4")
    say("reproduce", "line_V0_tag:small", "--strict", wanted=2)
    names = ("line_V0_tag:small", "line_V2", "--json")
    print(json.dumps([again, json.loads(say("blame", *names)), json.loads(say("compare", *names))]))
"""


def test_a_run_is_made_again_and_what_differs_is_named(project: Project) -> None:
    project.write("src/data_ops/ops.py", CODE)
    project.write("config.jsonnet", CONFIG.replace("LR", "0.01"))
    done = project.python("-c", textwrap.dedent(SESSION))
    again, blamed, compared = json.loads(done.stdout.splitlines()[-1])

    assert (again["differences"], again["same"]) == ([], True)
    values = again["metrics"]["train val_loss"]
    assert values["again"] == values["before"] > 0
    assert "test test_loss" in again["metrics"]
    runs = project.path / "experiments"
    record = json.loads((runs / "line_V1_tag:small/train/provenance.json").read_text("utf-8"))
    assert (record["reproduces"], record["config_file"]) == ("line_V0_tag:small", "config.jsonnet")

    data = ["process:Numbers", "output:Loaders"]
    assert [(one["kind"], one["name"], one["nodes"], one["training"]) for one in blamed["differences"]] == [
        ("code", "data_ops.ops.clean", data, True),
        ("setting", LR, [], True),
        ("seed", "meta.seed", [], True),
    ]
    assert blamed["unknown"] == []
    assert list(compared["settings"]) == ["meta.seed", LR]
    assert (compared["code"], compared["facts"]) == (["data_ops.ops.clean"], {})
    assert compared["data"] == {node: ["code: data_ops.ops.clean"] for node in data}

    assert "cannot be made again as it was: here differs data_ops.ops.clean" in done.stderr
    assert sorted(path.name for path in runs.glob("line*")) == ["line_V0_tag:small", "line_V1_tag:small", "line_V2"]
