"""Makes torch DataLoaders of tokenised datasets, the last node before an executor.

Padding every review to the longest one wastes most of a batch; rows sorted by length waste almost nothing.
The sampler gives whole batches of indices, the dataset fetches a batch at once, the collator pads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runway.errors import ConfigError, DataError, must_be_whole, told_as_config_error
from runway.registry import register_transform_functor
from runway.transforms.arrow_tables import column, lengths
from runway.transforms.base import VALIDATION_NAMES, HFDatasetTransform
from runway.transforms.batching.collate import IndexedRows, PadBatch, is_numeric, is_sequence
from runway.transforms.loading.tokenizer import apart_from_tokenizer, padding_of, tokenizer_of_node

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict
    from torch.utils.data import DataLoader

TOKENS = ("input_ids", "labels")
TEXTS = ("source", "target")


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
            label_column: the column that goes under ``labels``; null is for batches without them.
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
        if pad_to_multiple_of is not None:
            must_be_whole(
                "pad_to_multiple_of", pad_to_multiple_of, least=0, where=self.where, hint="null does not round"
            )
        self.pad_to_multiple_of = pad_to_multiple_of
        self.tokenizer_config = tokenizer_config
        self.pad_token_id = pad_token_id
        self.label_column = label_column
        self.splits = {"train": train_splits, "val": val_splits, "test": test_splits}
        self.seed = seed

    def _call(self, data: Dataset | DatasetDict) -> dict[str, list[DataLoader]]:
        import torch

        splits = data if isinstance(data, Mapping) else {"train": data}
        padding = self._padding(next(iter(splits.values())))
        seed = self.from_config("meta", "seed", default=0) if self.seed is None else self.seed
        loaders: dict[str, list[DataLoader]] = {}
        for role in ("train", "val", "test"):
            section = "train" if role == "train" else "test"
            settings = {
                "batch_size": self._batch_size(section, self.loader_kwargs[role]),
                "num_workers": self.from_config(section, "dataloader_workers", default=0),
                "pin_memory": torch.cuda.is_available(),
                **self.loader_kwargs[role],
            }
            loaders[f"{role}_dataloaders"] = [
                self._loader(self.split(splits, name), name, {"seed": seed, **padding, **settings})
                for name in self._names(role, splits)
            ]
        if not any(loaders.values()):
            raise DataError(
                f"none of the splits {', '.join(splits)} is for training, validation or test",
                where=self.where,
                hint="name them in train_splits, val_splits and test_splits",
            )
        return loaders

    def _batch_size(self, section: str, settings: Mapping[str, Any]) -> int:
        """Rows of a batch: as the node's own settings say, or else the config's section."""
        if settings.get("batch_size") is not None:
            return settings["batch_size"]
        name = section if self.from_config(section, "batch_size") is not None else "train"
        batch_size = self.from_config(name, "batch_size", default=32)
        if isinstance(batch_size, Mapping):
            hint = "let the task use the node before this one, which gives rows; or give batch_size in train_kwargs, …"
            message = f"`{name}.batch_size` is given per task, and this node does not know of which task its rows are"
            raise ConfigError(message, where=self.where, hint=hint)
        return batch_size

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
        self.need_columns(dataset, self.use_columns or (), split=split, setting="use_columns")
        where = f"{self.where}, split {split!r}"
        names = self.use_columns if self.use_columns is not None else numeric_columns(dataset)
        if not names:
            raise DataError(
                "there are no columns of numbers to make batches of",
                where=where,
                hint="tokenise it before (HFDatasetTokenizeTransform), or name other columns in use_columns",
            )
        label = self.label_column
        if label is not None and self.use_columns is None and "labels" not in dataset.column_names:
            hint = "`label_column: null` makes batches without labels"
            self.need_columns(dataset, [label], split=split, setting="label_column", hint=hint)
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
        what = "a DataLoader cannot be made"  # torch says so, of an argument
        with told_as_config_error(what, TypeError, ValueError, where=where, hint="look at *_kwargs"):
            chosen = {
                "columns": names,
                "label_column": self.label_column,
                "pad_to_multiple_of": self.pad_to_multiple_of,
                "length_bucketed": self.length_bucketed,
            }
            return make_dataloader(dataset, **{**chosen, **settings})

    def _padding(self, dataset: Dataset) -> dict[str, Any]:
        """What pads ``input_ids``, and on which side."""
        if self.pad_token_id is not None or "input_ids" not in dataset.column_names:
            return {"pad_token_id": self.pad_token_id or 0}
        config = self.from_config("tokenizer_config") if self.tokenizer_config is None else self.tokenizer_config
        if config is None:
            return {"pad_token_id": 0}
        tokenizer = tokenizer_of_node(self, config)
        return {"pad_token_id": padding_of(tokenizer), "padding_side": tokenizer.padding_side}


@register_transform_functor
class MakePairDataloaders(MakeDataloaders):
    """Gives ``{train_dataloaders: [...], val_dataloaders: [...], test_dataloaders: [...]}`` of what EncodePairs gives.

    A batch has ``input_ids [B, S]`` and ``attention_mask [B, S]``, ``labels [B, T]`` padded with -100, ``index [B]``
    (each row's place in its split) and the lists of text ``source`` and ``target``. Pairs of similar length on both
    sides go together: in training in another order each epoch, under ``meta.seed`` and whatever the number of ranks; in
    validation and test from the longest on.

    Input: the encoded pairs, or ``[pairs, tokenizer]``, which says what pads. The node cannot be cached:
    set ``cache: false``.
    """

    def setup(
        self,
        max_tokens_per_batch: int | None = None,
        eval_max_tokens_per_batch: int | None = None,
        pad_to_multiple_of: int | None = None,
        keep_texts: bool = True,
        **kwargs: Any,
    ) -> None:
        """Say how batches are made.

        Args:
            max_tokens_per_batch: fill training batches up to so many tokens instead of ``train.batch_size`` pairs:
                source and target together, padding included; ``drop_last`` then leaves none of them out.
            eval_max_tokens_per_batch: the same for validation and test, instead of ``test.batch_size`` pairs.
            pad_to_multiple_of: round padded lengths up to this: 8 suits a GPU, none (the default) a CPU.
            keep_texts: whether ``source`` and ``target`` are in the batches of validation and test.
            **kwargs: the settings of MakeDataloaders: ``train_kwargs``, ``pad_token_id``, ``train_splits``, …
        """
        kwargs.setdefault("use_columns", TOKENS)
        kwargs.setdefault("label_column", "labels")
        super().setup(max_tokens_per_batch=max_tokens_per_batch, pad_to_multiple_of=pad_to_multiple_of, **kwargs)
        for role in ("val", "test"):
            self.loader_kwargs[role].setdefault("max_tokens_per_batch", eval_max_tokens_per_batch)
        self.keep_texts = keep_texts

    def __call__(self, data: Any = None) -> Any:
        """Take the pairs and the tokenizer apart, and make the loaders."""
        pairs, self._given = apart_from_tokenizer(data)
        return super().__call__(pairs)

    def _call(self, data: Dataset | DatasetDict) -> dict[str, list[DataLoader]]:
        splits = data if isinstance(data, Mapping) else {"train": data}
        for split, rows in splits.items():
            self.need_columns(rows, TOKENS, split=split, hint="encode the pairs before, with EncodePairs")
        return super()._call(data)

    def _loader(self, dataset: Dataset, split: str, settings: Mapping[str, Any]) -> DataLoader:
        names = list(self.use_columns or TOKENS)
        if self.keep_texts and not settings.get("shuffle"):
            names += [name for name in TEXTS if name in dataset.column_names and name not in names]
        return super()._loader(
            dataset, split, {"columns": names, "length_columns": TOKENS, "with_mask": True, **settings}
        )

    def _padding(self, dataset: Dataset) -> dict[str, Any]:
        tokenizer = self._given.get("source") if isinstance(self._given, Mapping) else self._given
        if tokenizer is None or self.pad_token_id is not None:
            return super()._padding(dataset)
        return {"pad_token_id": padding_of(tokenizer), "padding_side": "right"}


def make_dataloader(
    dataset: Dataset,
    *,
    batch_size: int = 32,
    shuffle: bool = False,
    columns: Sequence[str] | None = None,
    label_column: str | None = "label",
    pad_token_id: int = 0,
    padding_side: str = "right",
    pad_to_multiple_of: int | None = 8,
    length_bucketed: bool = True,
    max_tokens_per_batch: int | None = None,
    drop_last: bool = False,
    seed: int = 0,
    num_workers: int = 0,
    length_columns: Sequence[str] | None = None,
    with_mask: bool = False,
    **loader_kwargs: Any,
) -> DataLoader:
    """A DataLoader over a tokenised Dataset, with dynamic padding and batches of similar lengths.

    Args:
        dataset: the rows; their length is that of ``input_ids``, else of the first sequence of numbers.
        batch_size: rows of a batch.
        shuffle: another order in each epoch (``sampler.set_epoch``, which Lightning calls).
        columns: the columns that go into a batch; None takes numbers and sequences of numbers.
        label_column: the column that goes under ``labels``.
        pad_token_id: pads ``input_ids``.
        padding_side: ``right`` or ``left``.
        pad_to_multiple_of: round the padded length up to this.
        length_bucketed: whether rows of similar length go together.
        max_tokens_per_batch: fill batches by tokens instead of rows.
        drop_last: leave out the last, smaller batch.
        seed: of the order.
        num_workers: processes that fetch batches.
        length_columns: whose lengths count, one or two; None takes ``input_ids``, else the first sequence.
        with_mask: whether to add ``attention_mask`` where the rows have none.
        **loader_kwargs: further arguments of torch's DataLoader; ``collate_fn`` takes a batch of IndexedRows.

    Returns:
        Batches ``{name: tensor}`` with ``labels`` ``[B]`` and ``index`` ``[B]``.
    """
    import numpy as np
    from torch.utils.data import DataLoader

    from runway.transforms.batching.length_buckets import sampler_class

    names = numeric_columns(dataset) if columns is None else list(columns)
    types = dataset.features.arrow_schema
    sequences = [name for name in names if is_sequence(types.field(name).type)]
    measured = [name for name in length_columns or ("input_ids", *names) if name in sequences]
    measured = measured[: len(length_columns or "1")] if length_bucketed or max_tokens_per_batch else []
    row_lengths = [lengths(column(dataset, name)) for name in measured]
    sampler = sampler_class()(
        np.stack(row_lengths, axis=1) if measured else None,
        batch_size,
        shuffle=shuffle,
        seed=seed,
        drop_last=drop_last,
        max_tokens_per_batch=max_tokens_per_batch if measured else None,
        rows=len(dataset),
    )
    if num_workers:
        loader_kwargs = {"persistent_workers": True, **loader_kwargs}
    collate = PadBatch({"input_ids": pad_token_id}, label_column, pad_to_multiple_of, padding_side, with_mask)
    rows: Any = IndexedRows(dataset, names)  # a Dataset to torch by what it does, not by its class
    return DataLoader(
        rows,
        sampler=sampler,
        batch_size=None,  # the sampler makes the batches
        num_workers=num_workers,
        **{"collate_fn": collate, **loader_kwargs},
    )


def numeric_columns(dataset: Dataset) -> list[str]:
    """The columns of numbers and of sequences of numbers."""
    types = dataset.features.arrow_schema
    return [name for name in dataset.column_names if is_numeric(types.field(name).type)]
