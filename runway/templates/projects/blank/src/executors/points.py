"""The model: a small network over points."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F  # noqa: N812 (torch's own name for it)
from torch import nn

from runway import BaseExecutor, register_executor


@register_executor
class PointsExecutor(BaseExecutor):
    """Tell two classes of points apart."""

    def _init_model(self, model_config: Any) -> None:
        hidden = model_config["hidden"]
        self.model = nn.Sequential(nn.Linear(2, hidden), nn.ReLU(), nn.Linear(hidden, 2))

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        """The mean loss of a batch: `x [B, 2]`, `labels [B]`."""
        loss = F.cross_entropy(self.model(batch["x"].float()), batch["labels"])
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Predict and record."""
        self.evaluate_batch(batch, "val_loss", self.valid_eval_recorder)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Predict and record."""
        self.evaluate_batch(batch, "test_loss", self.test_eval_recorder)

    def evaluate_batch(self, batch: Any, name: str, recorder: Any) -> None:
        """Log the loss, and a row for each point."""
        logits = self.model(batch["x"].float())
        losses = F.cross_entropy(logits, batch["labels"], reduction="none")
        self.log(name, losses.mean(), prog_bar=True)
        recorder.log_sample_dict_batch(
            {
                "predicted_class_id": logits.argmax(-1).tolist(),
                "ground_truth_class_id": batch["labels"].tolist(),
                "loss": losses.tolist(),
            }
        )
