"""The executor of the IMDb demo: how a review becomes a loss, and a prediction."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)
from transformers import AutoModelForSequenceClassification

from runway import BaseExecutor, register_executor


@register_executor
class TextClassificationExecutor(BaseExecutor):
    """A pretrained encoder with a head that says whether a review is positive.

    All that it takes to write an executor of one's own. runway has a ready-made one of this name for any
    number of classes; a project's class comes before it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.id2label = {0: "NEGATIVE", 1: "POSITIVE"}
        self.label2id = {"NEGATIVE": 0, "POSITIVE": 1}
        super().__init__(*args, **kwargs)

    def _init_model(self, model_config: Any) -> None:
        """Initialise self.model; ``model_config`` is that section of the config."""
        self.model = AutoModelForSequenceClassification.from_pretrained(
            **{"trust_remote_code": False, **model_config.from_pretrained_kwargs},
            id2label=self.id2label,
            label2id=self.label2id,
        )

    def setup(self, stage: str) -> None:
        """Take the dataloaders from the data pipeline."""
        super().setup(stage)
        self.prepared_data = self.dp.get_data([self.use_data_node], explode=True)

        self.train_dataloaders = self.prepared_data.get("train_dataloaders")
        self.valid_dataloaders = self.prepared_data.get("val_dataloaders")
        self.test_dataloaders = self.prepared_data.get("test_dataloaders")

    def training_step(self, batch: dict, batch_idx: int) -> torch.Tensor:
        """The loss of one batch; Lightning does the rest."""
        x, y, mask = batch["input_ids"], batch["labels"], batch["attention_mask"]  # [B, T], [B], [B, T]
        loss = self.model(input_ids=x, labels=y, attention_mask=mask).loss
        self.log("train_loss", loss, prog_bar=True, on_epoch=True, on_step=True, batch_size=len(y))
        return loss

    def validation_step(self, batch: dict, batch_idx: int) -> None:
        """Predict one batch; the evaluation pipeline takes it up from the recorder."""
        predictions, loss = self._model_predict(batch)
        self.log("val_loss", loss, prog_bar=True, batch_size=len(batch["labels"]), sync_dist=True)
        self.valid_eval_recorder.log_sample_dict_batch(predictions)

    def test_step(self, batch: dict, batch_idx: int) -> None:
        """The same with the test set's recorder."""
        predictions, loss = self._model_predict(batch)
        self.log("test_loss", loss, batch_size=len(batch["labels"]), sync_dist=True)
        self.test_eval_recorder.log_sample_dict_batch(predictions)

    def _model_predict(self, batch: dict) -> tuple[dict[str, list], torch.Tensor]:
        """What to record of each row, and the mean loss."""
        x, y, mask = batch["input_ids"], batch["labels"], batch["attention_mask"]
        logits = self.model(input_ids=x, attention_mask=mask).logits.float()  # [B, 2]
        losses = F.cross_entropy(logits, y, reduction="none")  # [B]
        probabilities, classes = logits.softmax(dim=-1).max(dim=-1)  # [B], [B]
        y, class_ids = y.tolist(), classes.tolist()
        predictions = {
            "predicted_class_id": class_ids,
            "predicted_class_label": [self.id2label[i] for i in class_ids],
            "probability": probabilities.tolist(),  # of the predicted class
            "ground_truth_class_id": y,
            "ground_truth_class_label": [self.id2label[i] for i in y],
            "loss": losses.tolist(),
            "text": batch["text"],
        }
        return predictions, losses.mean()
