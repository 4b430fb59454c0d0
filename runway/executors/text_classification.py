"""TextClassificationExecutor: any encoder of transformers with a classification head."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)

from runway.errors import did_you_mean
from runway.executors.base_executor import BaseExecutor
from runway.executors.class_names import check_labels, class_names, names_in_features
from runway.executors.pretrained import check_tokens, load_pretrained
from runway.log import warning
from runway.registry import register_executor

if TYPE_CHECKING:
    from runway.config.config import Config
    from runway.recorder import EvalRecorder

MODEL_KEYS = ("from_pretrained_kwargs", "from_config_kwargs", "sha256", "num_labels", "id2label", "allow_random")
"""What ``model_config`` may hold for this executor."""


@register_executor
class TextClassificationExecutor(BaseExecutor):
    """Fine-tune a pretrained encoder to put texts into classes, one class each.

    Batches hold ``input_ids [B, T]``, ``attention_mask [B, T]`` (``token_type_ids`` where the model takes
    them) and ``labels [B]``. Logged: ``train_loss``, ``val_loss``, ``test_loss``, and what the evaluation
    pipeline computes. Recorded for each row: ``predicted_class_id``, ``predicted_class_label``,
    ``ground_truth_class_id``, ``ground_truth_class_label``, ``probability`` (of the predicted class), ``loss``, and the
    columns of the dataset that ``record_columns`` names (by default ``text``, where there is one).

    ``model_config`` holds ``from_pretrained_kwargs`` or ``from_config_kwargs`` (see ``load_pretrained``), and
    ``id2label`` or ``num_labels``.

    Args:
        *args: BaseExecutor's.
        id2label: the classes' names, ``{id: name}`` or a list. By default those of ``model_config``, else of
            the dataset's ClassLabel, else the model's own.
        label_smoothing: the part of the target's probability that is spread over all classes, in training.
        **kwargs: BaseExecutor's.
    """

    auto_class = "AutoModelForSequenceClassification"
    lora_task_type: str | None = "SEQ_CLS"
    usual_columns: Sequence[str] = ("text",)

    def __init__(
        self,
        *args: Any,
        id2label: Mapping[Any, str] | Sequence[str] | None = None,
        label_smoothing: float = 0.0,
        **kwargs: Any,
    ) -> None:
        self._runway_given_id2label = id2label
        self.label_smoothing = label_smoothing
        super().__init__(*args, **kwargs)

    def _init_model(self, model_config: Config) -> None:
        """Load the model with a head for the classes at hand."""
        import transformers

        id2label = self._runway_find_labels(model_config)
        labels = {"id2label": id2label, "label2id": {name: i for i, name in id2label.items()}} if id2label else {}
        self.model = load_pretrained(getattr(transformers, self.auto_class), model_config, **labels)
        if type(self).__module__.startswith("runway."):  # a subclass may read more
            for key in model_config:
                if key not in MODEL_KEYS:
                    warning(f"model_config.{key} is not used ({did_you_mean(key, MODEL_KEYS)})", once=True)
        self.make_room_for_tokens(self.model)
        self.id2label: dict[int, str] = dict(self.model.config.id2label)
        self.num_labels: int = self.model.config.num_labels
        self.model_inputs = [name for name in inspect.signature(self.model.forward).parameters if name != "labels"]

    def _runway_find_labels(self, model_config: Config) -> dict[int, str] | None:
        """The classes' names, from the closest section that has them; None leaves the model's own."""
        names = ("from_pretrained_kwargs", "from_config_kwargs")
        sections = [model_config, *(model_config.get(name) or {} for name in names)]
        number = next((section["num_labels"] for section in sections if section.get("num_labels")), None)
        given = [self._runway_given_id2label, *(section.get("id2label") for section in sections)]
        named = next((names for names in given if names), None) or self._runway_dataset_labels()
        if named is None:
            return None if number is None else {i: f"LABEL_{i}" for i in range(number)}
        return class_names(named, number, "model_config")

    def _runway_dataset_labels(self) -> list[str] | None:
        """The names of the dataset's ClassLabel, where its label column is one."""
        if self.dp is None or not self.use_data_node:
            return None
        data = self.node_data()
        if not isinstance(data, Mapping):
            return None
        for part in data.values():
            for item in part if isinstance(part, list | tuple) else [part]:
                features = getattr(getattr(item, "dataset", item), "features", None) or {}
                names = names_in_features(features, "label", "labels")
                if names:
                    return names
        return None

    # One batch

    def forward(self, batch: Mapping[str, Any]) -> torch.Tensor:
        """The logits ``[B, num_labels]``, in fp32."""
        inputs = {name: batch[name] for name in self.model_inputs if name in batch}
        return self.model(**inputs).logits.float()

    def training_step(self, batch: Mapping[str, Any], batch_idx: int) -> torch.Tensor:
        """The mean cross-entropy of the batch."""
        labels = batch["labels"].view(-1)  # [B]
        loss = F.cross_entropy(self(batch), labels, label_smoothing=self.label_smoothing)
        self.log("train_loss", loss, prog_bar=True, on_step=True, on_epoch=True, batch_size=len(labels))
        return loss

    def validation_step(self, batch: Mapping[str, Any], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Predict, log ``val_loss``, record every row."""
        self._runway_evaluate_batch(batch, "val_loss", self.valid_eval_recorder)

    def test_step(self, batch: Mapping[str, Any], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Predict, log ``test_loss``, record every row."""
        self._runway_evaluate_batch(batch, "test_loss", self.test_eval_recorder)

    def _runway_evaluate_batch(self, batch: Mapping[str, Any], loss_name: str, recorder: EvalRecorder) -> None:
        labels = batch["labels"].view(-1)  # [B]
        logits = self(batch)  # [B, num_labels]
        losses = F.cross_entropy(logits, labels, reduction="none")  # [B]
        probability, predicted = logits.softmax(-1).max(-1)  # [B], [B]
        self.log(loss_name, losses.mean(), prog_bar=True, batch_size=len(labels), sync_dist=True)
        predicted_ids, truth_ids = predicted.tolist(), labels.tolist()
        recorder.log_sample_dict_batch(
            {
                "predicted_class_id": predicted_ids,
                "predicted_class_label": [self.id2label[i] for i in predicted_ids],
                "ground_truth_class_id": truth_ids,
                "ground_truth_class_label": [self.id2label[i] for i in truth_ids],
                "probability": probability.tolist(),
                "loss": losses.tolist(),
            }
        )

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Check the batch while it is still on the CPU: on a GPU a bad label ends in a device assert."""
        where = self.split_at_hand()
        self.require_in_batch(batch, "labels", "keep the label column when the dataloaders are made (`label_column`)")
        check_labels(batch["labels"], self.num_labels, where, "`model_config`")
        if "input_ids" in self.model_inputs and "inputs_embeds" not in batch:
            hint = "tokenise the texts before (HFDatasetTokenizeTransform), or use the node that does"
            self.require_in_batch(batch, "input_ids", hint)
            check_tokens(batch["input_ids"], self.model, where)
        return batch
