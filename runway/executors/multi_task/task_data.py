"""The data of one task: what its node gives, as dataloaders with the task's own sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch.utils.data import DataLoader, IterableDataset

from runway.errors import DataError
from runway.executors.data_attributes import as_list
from runway.executors.multi_task.mixing import TaskBatches
from runway.transforms.batching.dataloaders import MakeDataloaders

if TYPE_CHECKING:
    from runway.executors.multi_task.tasks import Task

ROLES = ("train", "val", "test")


@dataclass
class TaskData:
    """The loaders of one task.

    Attributes:
        where: the task's place in the config.
        node: the data node.
        label_column: the column of what is to be predicted.
        loaders: ``{train: [...], val: [...], test: [...]}``.
    """

    where: str
    node: str
    label_column: str
    loaders: Mapping[str, list[Any]]
    _example: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def features(self) -> Mapping[str, Any]:
        """The columns' types, of a dataset of Hugging Face; empty for another."""
        found = (getattr(loader.dataset, "features", None) for loader in self._all() if hasattr(loader, "dataset"))
        return next((features for features in found if features), {})

    def example(self) -> dict[str, Any]:
        """A batch of one row; empty where that cannot be had."""
        if self._example is None:
            rows = [
                one
                for one in self._all()
                if isinstance(one, DataLoader) and not isinstance(one.dataset, IterableDataset)
            ]
            loader = next((one for one in rows if len(one.dataset)), None)  # type: ignore[arg-type]
            self._example = {} if loader is None else TaskBatches(loader, 0, self.where).fetch([0])
        return self._example if isinstance(self._example, Mapping) else {}

    def _all(self) -> list[Any]:
        return [loader for role in ROLES for loader in self.loaders[role]]


def task_data(task: Task, data: Any, *, global_config: Mapping[str, Any], project: Path) -> TaskData:
    """The loaders of a task.

    Args:
        task: its settings.
        data: what its node gives: a DatasetDict of tokenised texts or numbers, or ``{train_dataloaders: …, …}``.
        global_config: the whole config.
        project: the project's folder.

    Raises:
        DataError: the node gives something else, or a split has no rows.
    """
    where = f"{task.where} ({task.data_node})"
    if isinstance(data, Mapping) and any(str(name).endswith("_dataloaders") for name in data):
        loaders = {role: as_list(data.get(f"{role}_dataloaders")) for role in ROLES}
    elif isinstance(data, Mapping) and data and all(hasattr(split, "column_names") for split in data.values()):
        loaders = _loaders_of_splits(task, data, global_config, project)
    else:
        message = "a task needs a DatasetDict, or a dict with 'train_dataloaders', 'val_dataloaders' and "
        message += f"'test_dataloaders', but its node gives a {type(data).__name__} instead"
        raise DataError(message, where=where)
    if len(loaders["train"]) > 1:
        message = f"a task has one training loader, but its node gives {len(loaders['train'])}"
        raise DataError(message, where=where, hint="put the splits together before, with ConcatenateDatasets")
    return TaskData(task.where, task.data_node, task.label_column, loaders)


def _loaders_of_splits(
    task: Task, splits: Mapping[str, Any], global_config: Mapping[str, Any], project: Path
) -> dict[str, list[Any]]:
    """As MakeDataloaders makes them: texts by length, padded; numbers as they are."""
    are_texts = any("input_ids" in split.column_names for split in splits.values())
    columns = None if task.inputs is None else [*task.inputs, task.label_column]
    maker = MakeDataloaders(name=task.data_node, global_config=global_config, project=project)
    sizes = {f"{role}_kwargs": {"batch_size": task.batch_sizes[role]} for role in ROLES}
    maker.setup(
        use_columns=columns,
        label_column=task.label_column,
        length_bucketed=are_texts,
        pad_to_multiple_of=8 if are_texts else None,
        **sizes,  # type: ignore[arg-type]
    )
    loaders = maker(splits)
    return {role: loaders[f"{role}_dataloaders"] for role in ROLES}
