"""Heads: what stands on an encoder for one task, with its loss and what it records. A user's own derives from TaskHead.

@register_head
class RankHead(TaskHead):
    default_loss = "margin_ranking_loss"
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

from runway.errors import ConfigError, DataError, did_you_mean, must_be
from runway.executors.class_names import check_labels, class_names, names_in_features
from runway.registry import register_head

if TYPE_CHECKING:
    from runway.executors.multi_task.losses import TaskLoss
    from runway.executors.multi_task.task_data import TaskData


class TaskHead(nn.Module):
    """A linear layer, its loss, and the columns that are recorded for each row.

    A head of your own overrides what it does otherwise: ``forward``, ``loss``, ``columns``. Name it in the config by
    ``@register_head`` or as ``package.module:Class``; further arguments of its constructor stand beside ``name`` in
    ``tasks.NAME.head``.

    Args:
        width: of what the encoder gives, ``[B, width]``.
        outputs: how many numbers the layer gives for a row.
        data: the task's data, to look at.
        criterion: the loss that the config names, else ``default_loss``.
        dropout: before the layer.
        linear: false for an encoder whose output is the prediction.
    """

    default_loss: ClassVar[str | None] = None
    """The loss where the config names none; None for a head whose ``loss`` needs none."""

    default_metrics: ClassVar[Sequence[str]] = ()
    """The metrics where the config names none."""

    pred_field: ClassVar[str] = "prediction"
    ref_field: ClassVar[str | None] = "target"
    """The recorded columns that metrics compare."""

    def __init__(
        self,
        width: int,
        outputs: int,
        data: TaskData,
        criterion: TaskLoss | None,
        *,
        dropout: float = 0.0,
        linear: bool = True,
    ) -> None:
        super().__init__()
        self.where = data.where
        self.criterion = criterion
        self.dropout = nn.Dropout(dropout)
        if not linear and width != outputs:
            message = f"the encoder gives {width} numbers, but the head needs {outputs}, and has no layer of its own"
            raise ConfigError(message, where=f"{self.where}.head", hint="leave `linear: false` out")
        self.layer: nn.Module = nn.Linear(width, outputs) if linear else nn.Identity()

    def forward(self, encoded: torch.Tensor) -> torch.Tensor:
        """The outputs, of what the encoder gives ``[B, width]``."""
        return self.layer(self.dropout(encoded)).float()

    def loss(self, outputs: torch.Tensor, batch: Mapping[str, Any], *, by_row: bool = False) -> torch.Tensor:
        """The loss of a batch; with ``by_row`` of each row, ``[B]``."""
        if self.criterion is None:
            message = f"{type(self).__name__} has no loss"
            raise ConfigError(message, where=f"{self.where}.loss", hint="name one, or give the head a method `loss`")
        return self.criterion(outputs, self.target(batch), by_row=by_row)

    def target(self, batch: Mapping[str, Any]) -> torch.Tensor:
        """What the loss compares the outputs with."""
        return batch["labels"]

    def columns(self, outputs: torch.Tensor, batch: Mapping[str, Any]) -> dict[str, Any]:
        """What is recorded of each row, ``{column: [B]}``; the task, and the loss, are recorded without it."""
        return {"prediction": outputs.tolist(), "target": self.target(batch).tolist()}

    def check(self, batch: Mapping[str, Any], where: str) -> None:
        """Raise a DataError where a batch is not what the head takes; the batch is on the CPU."""

    def examples(self) -> dict[str, list] | None:
        """Some rows of ``columns``, on which the metrics are tried before a training; None where that cannot be."""
        return None


@register_head("classification")
class ClassificationHead(TaskHead):
    """Puts each row into one class; ``labels`` are their numbers. Records what TextClassificationExecutor does.

    Args:
        width: of what the encoder gives.
        data: the task's data.
        criterion: the loss; ``cross_entropy`` by default.
        num_labels: how many classes.
        id2label: their names, ``{id: name}`` or a list; by default those of the dataset's ClassLabel.
        **kwargs: ``dropout``, ``linear``.
    """

    default_loss = "cross_entropy"
    default_metrics = ("accuracy",)
    pred_field, ref_field = "predicted_class_id", "ground_truth_class_id"

    def __init__(
        self,
        width: int,
        data: TaskData,
        criterion: TaskLoss | None,
        *,
        num_labels: int | None = None,
        id2label: Mapping[Any, str] | Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        where = f"{data.where}.head"
        named = id2label or names_in_features(data.features, data.label_column, "labels")
        if named is None and num_labels is None:
            hint = f"write `{where}: {{ name: 'classification', num_labels: … }}`, or put a node of EncodeLabels before"
            raise ConfigError(
                "how many classes there are is not known: the labels are no ClassLabel", where=where, hint=hint
            )
        self_names = class_names(named or [f"LABEL_{i}" for i in range(num_labels or 0)], num_labels, where)
        super().__init__(width, len(self_names), data, criterion, **kwargs)
        self.id2label = self_names

    def target(self, batch: Mapping[str, Any]) -> torch.Tensor:
        """The classes, int64 ``[B]``."""
        return batch["labels"].view(-1)

    def columns(self, outputs: torch.Tensor, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The class, its name and its probability, and the true one's."""
        probability, predicted = outputs.softmax(-1).max(-1)
        predicted_ids, truth_ids = predicted.tolist(), self.target(batch).tolist()
        return {
            "predicted_class_id": predicted_ids,
            "predicted_class_label": [self.id2label[i] for i in predicted_ids],
            "ground_truth_class_id": truth_ids,
            "ground_truth_class_label": [self.id2label[i] for i in truth_ids],
            "probability": probability.tolist(),
        }

    def check(self, batch: Mapping[str, Any], where: str) -> None:
        """The labels are classes."""
        check_labels(batch["labels"], len(self.id2label), where, f"`{self.where}.head`")

    def examples(self) -> dict[str, list]:
        """Each class once."""
        return {self.pred_field: [*self.id2label], str(self.ref_field): [*self.id2label]}


@register_head("regression")
class RegressionHead(TaskHead):
    """Predicts a number, or several, for each row. Records ``prediction`` and ``target``.

    Args:
        width: of what the encoder gives.
        data: the task's data.
        criterion: the loss; ``mse_loss`` by default.
        outputs: how many numbers; by default as many as a row's label has.
        **kwargs: ``dropout``, ``linear``.
    """

    default_loss = "mse_loss"
    default_metrics = ("mse",)

    def __init__(
        self, width: int, data: TaskData, criterion: TaskLoss | None, *, outputs: int | None = None, **kwargs: Any
    ) -> None:
        labels = data.example().get("labels")
        if outputs is None:
            if labels is None:
                raise ConfigError("how many numbers are predicted is not known", where=f"{data.where}.head.outputs")
            outputs = labels[0].numel()
        must_be(outputs > 0, "outputs", "a whole number from 1", outputs, where=f"{data.where}.head")
        super().__init__(width, outputs, data, criterion, **kwargs)
        self.outputs = outputs

    def forward(self, encoded: torch.Tensor) -> torch.Tensor:
        """The numbers, ``[B]``, or ``[B, outputs]`` of several."""
        outputs = super().forward(encoded)
        return outputs.squeeze(-1) if self.outputs == 1 else outputs

    def target(self, batch: Mapping[str, Any]) -> torch.Tensor:
        """The true numbers, as the outputs are."""
        labels = batch["labels"].float()
        return labels.view(-1) if self.outputs == 1 else labels.view(len(labels), -1)

    def check(self, batch: Mapping[str, Any], where: str) -> None:
        """There are as many numbers as outputs, and no NaN."""
        labels = batch["labels"]
        found = labels[0].numel() if len(labels) else self.outputs
        if found != self.outputs:
            message = f"a label has {found} numbers, but `{self.where}.head` predicts {self.outputs}"
            raise DataError(message, where=where)
        if not torch.isfinite(labels.float()).all():
            hint = "drop such rows before, with FilterRows"
            raise DataError("a label is not a finite number", where=where, hint=hint)

    def examples(self) -> dict[str, list]:
        """A few numbers."""
        rows = [[0.25 + row] * self.outputs if self.outputs > 1 else 0.25 + row for row in range(3)]
        return {self.pred_field: rows, str(self.ref_field): rows}


def unknown_settings(cls: type, given: Mapping[str, Any], known: Sequence[str], where: str) -> list[ConfigError]:
    """An error for each setting that a head or an encoder does not take."""
    return [
        ConfigError(f"{cls.__name__} has no setting {name!r}", where=where, hint=did_you_mean(name, known, listing=12))
        for name in given
        if name not in known
    ]
