"""__Title__."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import nn

from runway import BaseExecutor, register_executor


@register_executor
class __Class__(BaseExecutor):
    """Say in one line what is trained.

    Batches hold `x [B, features]` and `labels [B]`. `model_config` holds `features`, `hidden` and `classes`.
    """

    def _init_model(self, model_config: Any) -> None:
        """Set `self.model`: any module of torch, or one of transformers."""
        layers = [nn.Linear(model_config["features"], model_config.get("hidden", 16)), nn.ReLU()]
        self.model = nn.Sequential(*layers, nn.Linear(layers[0].out_features, model_config["classes"]))

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        """The mean loss of a batch."""
        loss = F.cross_entropy(self.model(batch["x"].float()), batch["labels"])
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Predict, log `val_loss`, record every row."""
        self.predict_and_record(batch, "val_loss", self.valid_eval_recorder)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Predict, log `test_loss`, record every row."""
        self.predict_and_record(batch, "test_loss", self.test_eval_recorder)

    def predict_and_record(self, batch: Any, loss_name: str, recorder: Any) -> None:
        """What a row of the recorder holds, evaluation pipelines and the report can use."""
        logits = self.model(batch["x"].float())
        losses = F.cross_entropy(logits, batch["labels"], reduction="none")
        self.log(loss_name, losses.mean(), prog_bar=True)
        recorder.log_sample_dict_batch(
            {
                "predicted_class_id": logits.argmax(-1).tolist(),
                "ground_truth_class_id": batch["labels"].tolist(),
                "loss": losses.tolist(),
            }
        )
