"""__Title__: one step."""

from __future__ import annotations

import torch
from executors.__name__ import __Class__


def test_a_step_gives_a_loss_with_a_gradient() -> None:
    executor = __Class__(None, {"features": 4, "classes": 3}, mode="train")
    batch = {"x": torch.rand(5, 4), "labels": torch.tensor([0, 1, 2, 0, 1])}
    loss = executor.training_step(batch, 0)
    loss.backward()
    assert loss.item() > 0
    assert all(parameter.grad is not None for parameter in executor.parameters())
