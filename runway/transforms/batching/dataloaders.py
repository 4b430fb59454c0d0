"""Makes torch DataLoaders of tokenised datasets, the last node before an executor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runway.assets import assets_cache
from runway.errors import ConfigError, DataError, did_you_mean
from runway.registry import register_transform_functor
from runway.transforms.arrow_tables import column
from runway.transforms.base import HFDatasetTransform
from runway.transforms.batching.collate import (
    IndexedRows,
    PadBatch,
    make_dataloader,
    numeric_columns,
    row_lengths,
)
from runway.transforms.batching.length_buckets import LengthBucketSampler
from runway.transforms.text.tokenize import load_tokenizer

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict
    from torch.utils.data import DataLoader

__all__ = [
    "IndexedRows",
    "LengthBucketSampler",
    "MakeDataloaders",
    "PadBatch",
    "make_dataloader",
    "numeric_columns",
    "row_lengths",
]

VALIDATION_NAMES = ("valid", "validation", "val", "dev")


@register_transform_functor
class MakeDataloaders(HFDatasetTransform):
    """Gives ``{train_dataloaders: [...], val_dataloaders: [...], test_dataloaders: [...]}``.

    Batches are padded to their longest row, and rows of similar length go together; training order changes with
    each epoch under ``meta.seed``. A batch holds tensors, the labels ``[B]`` under ``labels``, and under ``index``
    each row's place in its split. Sizes come from ``train.batch_size`` and ``test.batch_size`` of the config,
    worker processes from ``train.dataloader_workers`` and ``test.dataloader_workers``.
    The node cannot be cached: set ``cache: false``.
    """

    def setup(
        self,
        use_columns: Sequence[str] | None = None,
        train_kwargs: Mapping[str, Any] | None = None,
        val_kwargs: Mapping[str, Any] | None = None,
        test_kwargs: Mapping[str, Any] | None = None,
        length_bucketed: bool = True,
        max_tokens_per_batch: int | None = None,
        pad_to_multiple_of: int | None = 8,
        tokenizer_config: Mapping[str, Any] | None = None,
        pad_token_id: int | None = None,
        label_column: str | None = "label",
        train_splits: str | Sequence[str] | None = None,
        val_splits: str | Sequence[str] | None = None,
        test_splits: str | Sequence[str] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Say how batches are made.

        Args:
            use_columns: the columns that go into a batch; None takes all numbers and sequences of numbers.
            train_kwargs: for the training loaders: ``batch_size``, ``shuffle``, ``drop_last``,
                ``max_tokens_per_batch``, ``num_workers`` and other arguments of torch's DataLoader.
            val_kwargs: the same for the validation loaders.
            test_kwargs: the same for the test loaders.
            length_bucketed: whether rows of similar length go together.
            max_tokens_per_batch: fill training batches by tokens, padding included, instead of rows; ``drop_last`` then
                leaves none of them out.
            pad_to_multiple_of: round the padded length up to this; null does not.
            tokenizer_config: tells what pads, and on which side; None takes the config's ``tokenizer_config``.
            pad_token_id: what pads ``input_ids``, instead of asking the tokenizer.
            label_column: the column that goes under ``labels``.
            train_splits: the splits to train on, one loader each; None takes ``train``.
            val_splits: None takes ``valid``, ``validation``, ``val`` or ``dev``, whichever is there.
            test_splits: None takes ``test``.
            seed: of the training order; None takes ``meta.seed``.
            **kwargs: the settings of HFDatasetTransform.
        """
        super().setup(**kwargs)
        self.use_columns = list(use_columns) if use_columns is not None else None
        self.loader_kwargs = {
            "train": {"shuffle": True, "max_tokens_per_batch": max_tokens_per_batch, **(train_kwargs or {})},
            "val": dict(val_kwargs or {}),
            "test": dict(test_kwargs or {}),
        }
        self.length_bucketed = length_bucketed
        self.pad_to_multiple_of = pad_to_multiple_of
        self.tokenizer_config = tokenizer_config
        self.pad_token_id = pad_token_id
        self.label_column = label_column
        self.splits = {"train": train_splits, "val": val_splits, "test": test_splits}
        self.seed = seed

    def _call(self, data: Dataset | DatasetDict) -> dict[str, list[DataLoader]]:
        splits = data if isinstance(data, Mapping) else {"train": data}
        padding = self._padding(next(iter(splits.values())))
        seed = self._setting("meta", "seed", 0) if self.seed is None else self.seed
        loaders: dict[str, list[DataLoader]] = {}
        for role in ("train", "val", "test"):
            section = "train" if role == "train" else "test"
            settings = {
                "batch_size": self._setting(section, "batch_size", self._setting("train", "batch_size", 32)),
                "num_workers": self._setting(section, "dataloader_workers", 0) or 0,
                "pin_memory": _has_gpu(),
                **self.loader_kwargs[role],
            }
            loaders[f"{role}_dataloaders"] = [
                self._loader(self.split(splits, name), name, {"seed": seed, **padding, **settings})
                for name in self._names(role, splits)
            ]
        if not any(loaders.values()):
            raise DataError(
                f"none of the splits {', '.join(splits)} is for training, validation or test",
                where=f"node {self.name!r}",
                hint="name them in train_splits, val_splits and test_splits",
            )
        return loaders

    def _check_output(self, data: Any) -> None:
        """Loaders, not datasets: there is nothing to check."""

    def _names(self, role: str, splits: Mapping[str, Dataset]) -> list[str]:
        """The splits of a role: those that the config names, or those with its usual names."""
        wanted = self.splits[role]
        if wanted is not None:
            return [wanted] if isinstance(wanted, str) else list(wanted)
        usual = VALIDATION_NAMES if role == "val" else (role,)
        return [name for name in usual if name in splits]

    def _loader(self, dataset: Dataset, split: str, settings: Mapping[str, Any]) -> DataLoader:
        where = f"node {self.name!r}, split {split!r}"
        for name in self.use_columns or ():
            if name not in dataset.column_names:
                raise DataError(
                    f"there is no column {name!r}",
                    where=f"{where}, use_columns",
                    hint=did_you_mean(name, dataset.column_names),
                )
        names = self.use_columns if self.use_columns is not None else numeric_columns(dataset)
        if not names:
            raise DataError(
                "there are no columns of numbers to make batches of",
                where=where,
                hint="tokenise it before (HFDatasetTokenizeTransform), or name other columns in use_columns",
            )
        label = self.label_column
        if label in dataset.column_names and label not in names and self.use_columns is None:
            raise DataError(
                f"the labels must be numbers, but the column {label!r} holds {dataset.features[label]} instead",
                where=where,
                hint="put a node of EncodeLabels before it; or `label_column: null` for batches without labels",
            )
        if self.label_column in names and column(dataset, str(self.label_column)).null_count:
            raise DataError(
                f"the column {self.label_column!r} has empty values",
                where=where,
                hint=f"drop such rows before, with FilterRows and drop_empty: ['{self.label_column}']",
            )
        try:
            chosen = {
                "columns": names,
                "label_column": self.label_column,
                "pad_to_multiple_of": self.pad_to_multiple_of,
                "length_bucketed": self.length_bucketed,
            }
            return make_dataloader(dataset, **{**chosen, **settings})
        except (TypeError, ValueError) as error:  # of torch, about an argument
            raise ConfigError(f"a DataLoader cannot be made: {error}", where=where, hint="look at *_kwargs") from error

    def _padding(self, dataset: Dataset) -> dict[str, Any]:
        """What pads ``input_ids``, and on which side."""
        if self.pad_token_id is not None or "input_ids" not in dataset.column_names:
            return {"pad_token_id": self.pad_token_id or 0}
        config = self.tokenizer_config
        if config is None and self.global_config is not None:
            config = self.global_config.get("tokenizer_config")
        if config is None:
            return {"pad_token_id": 0}
        tokenizer = load_tokenizer(config, self.project, assets_cache(self.global_config, self.project))
        token = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        return {"pad_token_id": token or 0, "padding_side": tokenizer.padding_side}

    def _setting(self, section: str, key: str, default: Any) -> Any:
        """``section.key`` of the experiment's config."""
        found = self.global_config.get(section) if self.global_config is not None else None
        value = found.get(key) if isinstance(found, Mapping) else None
        return default if value is None else value


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
