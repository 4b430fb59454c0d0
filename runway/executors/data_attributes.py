"""The data that an executor's ``setup`` has set: dataloaders, or datasets of which loaders are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader, IterableDataset
from torch.utils.data import Dataset as TorchDataset

from runway.errors import DataError
from runway.transforms.base import VALIDATION_NAMES

if TYPE_CHECKING:
    from runway.executors.base_executor import BaseExecutor

_LOADERS = {
    "train": ("train_dataloaders",),
    "val": ("valid_dataloaders", "val_dataloaders"),
    "test": ("test_dataloaders",),
}
_DATASETS = {"train": ("train_dataset",), "val": ("val_dataset", "valid_dataset"), "test": ("test_dataset",)}
_SPLITS = {"train": ("train",), "val": VALIDATION_NAMES, "test": ("test",)}


def own_loaders(executor: BaseExecutor, role: str) -> list[Any] | None:
    """The loaders of ``train``, ``val`` or ``test`` data that an executor has set for itself.

    The first that is there, of: ``self.train_dataloaders`` (``valid_dataloaders``, ``test_dataloaders``);
    ``self.data_loaders``, ``{train: {name: loader}, valid: {…}, test: {…}}``; ``self.train_dataset`` (``val_dataset``,
    ``test_dataset``). A dataset of Hugging Face with ``input_ids`` becomes loaders as ``MakeDataloaders`` makes them,
    any other torch's DataLoader; sizes and workers come from ``train.batch_size``, ``train.dataloader_workers`` and
    those of ``test``; training data is shuffled.

    Returns:
        None where it has set none, so that the data node's are taken.

    Raises:
        DataError: the training data has no rows.
    """
    own = vars(executor)
    for name in _LOADERS[role]:
        if own.get(name) is not None:
            return as_list(own[name])
    if own.get("data_loaders") is not None:
        return next((as_list(own["data_loaders"][name]) for name in _SPLITS[role] if name in own["data_loaders"]), [])
    for name in _DATASETS[role]:
        if own.get(name) is not None:
            return _loaders_of(executor, own[name], role, name)
    return [] if any(name in own for name in (*_LOADERS[role], *_DATASETS[role])) else None


def given_loaders(executor: BaseExecutor, data: Any) -> list[Any]:
    """The test loaders over data that is given; see ``BaseExecutor.loaders_for``.

    Raises:
        DataError: loaders cannot be made of it.
    """
    if isinstance(data, Mapping) and any(str(name).endswith("_dataloaders") for name in data):
        return as_list(data.get("test_dataloaders"))
    if isinstance(data, Mapping) and hasattr(data, "column_names"):
        return loaders_of_splits(executor, {"test": data["test"] if "test" in data else next(iter(data.values()))})[
            "test_dataloaders"
        ]
    if hasattr(data, "column_names"):
        return _loaders_of(executor, data, "test", "test_dataset")
    loaders = as_list(data)
    if loaders and all(isinstance(loader, DataLoader) for loader in loaders):
        return loaders
    if isinstance(data, TorchDataset):
        return _loaders_of(executor, data, "test", "test_dataset")
    raise DataError(
        f"{type(executor).__name__} can make no batches of a {type(data).__name__}",
        where=f"loaders_for of {type(executor).__name__}",
        hint="give a Dataset, dataloaders or a dataset of torch; or override `loaders_for(self, data)`",
    )


def as_list(loaders: Any) -> list[Any]:
    """One loader, several, or some with names, as a list."""
    if loaders is None:
        return []
    if isinstance(loaders, Mapping):
        return list(loaders.values())
    return list(loaders) if isinstance(loaders, list | tuple) else [loaders]


def loaders_of_splits(executor: BaseExecutor, splits: Mapping[str, Any]) -> Mapping[str, Any]:
    """``{train_dataloaders, val_dataloaders, test_dataloaders}`` of tokenised splits, as MakeDataloaders makes them."""
    from runway.transforms.batching.dataloaders import MakeDataloaders

    config, project = executor.global_config, executor.project_dir
    maker = MakeDataloaders(name=executor.use_data_node, global_config=config, project=project)
    maker.setup()
    return maker(splits)


def _loaders_of(executor: BaseExecutor, dataset: Any, role: str, name: str) -> list[Any]:
    is_stream = isinstance(dataset, IterableDataset)
    if role == "train" and not is_stream and len(dataset) == 0:
        raise DataError("the training data has no rows", where=f"self.{name} of {type(executor).__name__}")
    columns = getattr(dataset, "column_names", None) or ()
    if "input_ids" in columns and not is_stream and dataset.format["type"] is None:  # not made tensors of by the user
        return loaders_of_splits(executor, {_SPLITS[role][0]: dataset})[f"{role}_dataloaders"]
    section = executor.train_config if role == "train" else executor.test_config
    workers = section.get("dataloader_workers") or 0
    return [
        DataLoader(
            dataset,
            batch_size=section.get("batch_size") or executor.train_config.get("batch_size") or 32,
            shuffle=role == "train" and not is_stream,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
        )
    ]
