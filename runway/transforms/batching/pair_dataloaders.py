"""Makes torch DataLoaders of encoded sentence pairs: batches alike in length on both sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runway.errors import DataError, did_you_mean
from runway.registry import register_transform_functor
from runway.transforms.batching.dataloaders import MakeDataloaders

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict
    from torch.utils.data import DataLoader

TOKENS = ("input_ids", "labels")
TEXTS = ("source", "target")


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
        self._given: Any = None

    def __call__(self, data: Any = None) -> Any:
        """Take the pairs and the tokenizer apart, and make the loaders."""
        if isinstance(data, Sequence) and len(data) in (1, 2):
            data, self._given = data[0], data[1] if len(data) == 2 else None
        return super().__call__(data)

    def _call(self, data: Dataset | DatasetDict) -> dict[str, list[DataLoader]]:
        splits = data if isinstance(data, Mapping) else {"train": data}
        for split, rows in splits.items():
            missing = next((name for name in TOKENS if name not in rows.column_names), None)
            if missing:
                raise DataError(
                    f"the split {split!r} has no column {missing!r}",
                    where=self.where,
                    hint=f"encode the pairs before, with EncodePairs; {did_you_mean(missing, rows.column_names)}",
                )
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
        token = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        return {"pad_token_id": token or 0, "padding_side": "right"}
