"""ImageClassificationExecutor: any model of transformers that puts pictures into classes."""

from __future__ import annotations

from typing import Any

from runway.executors.class_names import check_labels
from runway.executors.text_classification import TextClassificationExecutor
from runway.registry import register_executor


@register_executor
class ImageClassificationExecutor(TextClassificationExecutor):
    """Train or fine-tune an ``AutoModelForImageClassification``: one class for each picture.

    Batches hold ``pixel_values [B, C, H, W]`` and ``labels [B]``, as MakeImageDataloaders gives them. Logged and
    recorded is what TextClassificationExecutor logs and records, with the pictures themselves (``record_columns``,
    by default ``image``) in the recorder and the report.

    ``model_config`` holds ``from_pretrained_kwargs`` or ``from_config_kwargs`` (see ``load_pretrained``), and
    ``id2label`` or ``num_labels``; by default both follow from the dataset's ClassLabel.

    Args:
        *args: BaseExecutor's.
        **kwargs: TextClassificationExecutor's.
    """

    auto_class = "AutoModelForImageClassification"
    lora_task_type: str | None = None
    usual_columns = ("image",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Check the batch while it is still on the CPU."""
        self.require_in_batch(batch, "pixel_values", "use a node of MakeImageDataloaders")
        self.require_in_batch(batch, "labels", "keep the label column when the dataloaders are made (`label_column`)")
        check_labels(batch["labels"], self.num_labels, self.split_at_hand(), "`model_config`")
        return batch
