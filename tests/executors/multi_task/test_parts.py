"""Heads, encoders, losses and the metrics of tasks, one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)
from torch import nn

from runway.errors import ConfigError, DataError, RunwayError
from runway.executors.multi_task.heads import TaskHead
from runway.executors.multi_task.losses import TaskLoss, known_losses
from runway.executors.multi_task.tasks import Named, read_tasks
from runway.recorder import EvalRecorder
from runway.registry import register_encoder, register_head
from tests.executors.multi_task.tiny_tasks import CLASSES, NUMBERS, executor_of, experiment, node, tasks_config


@register_head
class SignHead(TaskHead):
    """A head of a user's own: a hinge loss over the sign of a number."""

    def __init__(self, width: int, data: Any, criterion: Any, *, margin: float = 1.0, **kwargs: Any) -> None:
        super().__init__(width, 1, data, criterion, **kwargs)
        self.margin = margin

    def loss(self, outputs: torch.Tensor, batch: Any, *, by_row: bool = False) -> torch.Tensor:
        """The hinge."""
        losses = (self.margin - outputs[:, 0] * batch["labels"].sign()).clamp(min=0)
        return losses if by_row else losses.mean()

    def columns(self, outputs: torch.Tensor, batch: Any) -> dict[str, Any]:
        """The signs."""
        return {
            "prediction": (outputs[:, 0] > 0).long().tolist(),
            "target": (batch["labels"] > 0).long().tolist(),
        }


@register_encoder
class Wave(nn.Module):
    """An encoder of a user's own, over the column that its ``forward`` names."""

    def __init__(self, in_features: int, scale: float = 1.0) -> None:
        super().__init__()
        self.layer, self.scale, self.out_features = nn.Linear(in_features, 6), scale, 6

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Sines."""
        return (self.layer(x) * self.scale).sin()


def test_a_users_own_head_and_encoder(tmp_path: Path) -> None:
    head = {"name": "SignHead", "margin": 0.5}
    task = {"data_node": "output:Sum", "label_column": "y", "head": head, "metrics": ["accuracy"]}
    model = {"encoder": "Wave", "encoder_kwargs": {"scale": 2.0}}
    changed = {"tasks": {"sum": task}, "model_config": model}
    executor = executor_of(tasks_config(tmp_path, **changed))
    assert executor.model.encoders["shared"].net.layer.in_features == 3
    assert executor.heads["sum"].margin == 0.5
    result = experiment(tmp_path, changed=changed).train()
    assert 0 <= result.metrics["val_sum_accuracy"] <= 1


def test_several_numbers_a_row(tmp_path: Path) -> None:
    nodes = {"output:Sum": node(outputs=3), "output:Sign": node(classes=True)}
    task = {**NUMBERS, "data_node": "output:Sum", "loss": "L1Loss", "metrics": ["mae", "mse", "r_squared"]}
    changed = {"tasks": {"sum": task}, "data_pipeline": {"transforms": nodes}}
    experiment(tmp_path, changed=changed).train()
    tested = experiment(tmp_path, changed=changed).test()
    recorder = EvalRecorder.load_from_disk("test-evaluation", tested.path)
    assert [len(row) for row in recorder["prediction"]] == [3] * 5
    assert tested.metrics["test_sum_mae"] == pytest.approx(tested.metrics["test_sum_loss"], rel=1e-5)


def test_the_encoder_may_be_the_whole_model(tmp_path: Path) -> None:
    head = {"name": "regression", "linear": False}
    changed = {"tasks": {"sum": {**NUMBERS, "data_node": "output:Sum", "head": head}}}
    with pytest.raises(ConfigError, match="the encoder gives 8 numbers, but the head needs 1"):
        executor_of(tasks_config(tmp_path, **changed))
    executor = executor_of(tasks_config(tmp_path, "model_config.encoder_kwargs.hidden=[4,1]", **changed))
    assert not list(executor.heads["sum"].parameters())


def test_losses_by_name() -> None:
    assert {"cross_entropy", "mse_loss", "huber_loss", "CrossEntropyLoss", "SmoothL1Loss"} <= known_losses().keys()
    assert "gaussian_nll_loss" not in known_losses()  # it takes a third tensor
    outputs, target = torch.randn(5, 3), torch.tensor([0, 1, 2, 1, 0])
    weight = [1.0, 2.0, 3.0]
    expected = F.cross_entropy(outputs, target, weight=torch.tensor(weight))
    for name in ("cross_entropy", "CrossEntropyLoss"):
        loss = TaskLoss(Named(name, {"weight": weight}), "tasks.x.loss")
        assert torch.equal(loss(outputs, target), expected)
        assert loss(outputs, target, by_row=True).shape == (5,)
        assert not loss.state_dict()
    with pytest.raises(ConfigError, match="does not go with outputs"):
        TaskLoss(Named("mse_loss"), "tasks.x.loss")(outputs, target.float()[:, None].expand(5, 2))


def test_labels_that_are_none_of_the_classes(tmp_path: Path) -> None:
    head = {"name": "classification", "id2label": ["only"]}
    changed = {"tasks": {"sign": {**CLASSES, "data_node": "output:Sign", "head": head}}}
    with pytest.raises(DataError, match="the label 1 is none of the model's 1 labels") as caught:
        experiment(tmp_path, changed=changed).train()
    assert "the train split of the task 'sign'" in str(caught.value.where)


def test_settings_once_or_per_task() -> None:
    config = {
        "tasks": {"a": {"data_node": "A", "loss": "mse_loss"}, "b": {"data_node": "B"}},
        "train": {"batch_size": {"a": 3}, "loss": {"b": {"name": "l1_loss"}}, "weight": 2},
        "test": {"batch_size": 7},
    }
    a, b = read_tasks(config).values()
    assert (a.batch_sizes["train"], b.batch_sizes["train"], b.batch_sizes["test"]) == (3, 32, 7)
    assert (a.loss, b.loss, a.weight) == (Named("mse_loss"), Named("l1_loss"), 2.0)
    with pytest.raises(ConfigError, match="the loss of the task 'a' is given twice"):
        read_tasks(config | {"train": {"loss": "l1_loss"}})
    with pytest.raises(ConfigError, match="unknown key 'kwarg'"):
        read_tasks(config | {"train": {"loss": {"b": {"name": "l1_loss", "kwarg": {}}}}})
    with pytest.raises(ConfigError, match="the task 'a' has no data node"):
        read_tasks({"tasks": {"a": {}}})
    with pytest.raises(ConfigError, match="has no task"):
        read_tasks({})
    with pytest.raises(ConfigError, match="nothing would be trained"):
        read_tasks(config | {"train": {"weight": 0}})


def test_dataloaders_of_a_task_keep_their_own_sizes_and_a_shared_size_is_asked_for(tmp_path: Path) -> None:
    loaders = {"transform_name": "MakeDataloaders", "input_node": "output:Sum", "cache": False}
    loaders["setup_kwargs"] = {"label_column": "y", "length_bucketed": False, "pad_to_multiple_of": None}
    nodes = {"output:Sum": node(), "output:Loaders": loaders}
    changed = {"data_pipeline": {"transforms": nodes}, "tasks": {"sum": {**NUMBERS, "data_node": "output:Loaders"}}}
    executor = executor_of(tasks_config(tmp_path, "train.batch_size=6", **changed))
    assert len(next(iter(executor.train_dataloader()))["sum"][0]["labels"]) == 6
    with pytest.raises(RunwayError, match=r"`train\.batch_size` is given per task"):
        executor_of(tasks_config(tmp_path, "train.batch_size={sum: 6}", **changed))
