"""Turns text columns into token ids with a Hugging Face tokenizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runway.errors import ConfigError, DataError, must_be_whole
from runway.registry import register_transform_functor
from runway.transforms.arrow_tables import TableWriter, ragged
from runway.transforms.base import HFDatasetTransform
from runway.transforms.loading.tokenizer import check_keys, tokenizer_of_node

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa
    from datasets import Dataset, DatasetDict


@register_transform_functor
class HFDatasetTokenizeTransform(HFDatasetTransform):
    """Tokenises text columns: ``text`` gives ``text_input_ids``, ``text_attention_mask`` and so on.

    With ``rename_col_dict`` they get the names that a model expects:
    ``{text_input_ids: 'input_ids', text_attention_mask: 'attention_mask'}``.
    Splits that are not processed pass through.
    """

    def setup(
        self,
        tokenizer_config: Mapping[str, Any] | None = None,
        tokenize_fields_list: Sequence[str | Sequence[str]] = ("text",),
        rename_col_dict: Mapping[str, str] | None = None,
        splits_to_process: list[str] | None = None,
        batch_size: int = 1000,
        _num_proc: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Say what to tokenise, and how.

        Args:
            tokenizer_config: ``{version_name, class_name, tokenize_kwargs}``; ``version_name`` is a hub name, a path
                or an asset (with ``sha256`` beside it), ``tokenize_kwargs`` are the arguments of the tokenizer's
                call, such as ``{truncation: true, max_length: 256}``. None takes the config's ``tokenizer_config``.
            tokenize_fields_list: the columns; a list of two in it is a pair, tokenised together.
            rename_col_dict: {column: new name}, for the columns that come out.
            splits_to_process: the splits to tokenise; None means all, one that is not there is skipped.
            batch_size: rows at a time.
            _num_proc: processes, for tokenizers written in Python; the fast ones use all cores by themselves.
            **kwargs: the settings of HFDatasetTransform.
        """
        super().setup(rename_col_dict=rename_col_dict, splits_to_process=splits_to_process, **kwargs)
        if tokenizer_config is None:
            tokenizer_config = self.from_config("tokenizer_config")
        if tokenizer_config is None:
            raise ConfigError("`tokenizer_config` must be given", where=f"{self.where}, setup_kwargs")
        check_keys(tokenizer_config)
        self.tokenizer_config = tokenizer_config
        self.tokenize_fields_list = list(tokenize_fields_list)
        must_be_whole("batch_size", batch_size, least=1, where=self.where)
        self.batch_size = batch_size
        self.num_proc = _num_proc

    def _call(self, data: Dataset | DatasetDict) -> Dataset | DatasetDict:
        tokenizer = tokenizer_of_node(self, self.tokenizer_config)
        parts = self.splits_of(data)
        tokens = {split: self._tokenize(dataset, tokenizer, split) for split, dataset in parts.items()}
        return self.with_splits(data, tokens)

    def _tokenize(self, dataset: Dataset, tokenizer: Any, split: str) -> Dataset:
        from datasets import Features

        kwargs = dict(self.tokenizer_config.get("tokenize_kwargs") or {})
        kwargs.pop("return_tensors", None)  # tensors are made when a batch is
        fields = [[field] if isinstance(field, str) else list(field) for field in self.tokenize_fields_list]
        for field in fields:
            self._check_columns(dataset, field, bool(kwargs.get("is_split_into_words")), split)
        if self.num_proc and self.num_proc > 1 and not tokenizer.is_fast:
            return self._map(dataset, fields, tokenizer, kwargs)
        writer = TableWriter(self.where)
        arrow = dataset.with_format("arrow")
        for start in range(0, max(len(dataset), 1), self.batch_size):  # an empty one gets the columns all the same
            table = arrow[start : start + self.batch_size]
            features = dict(dataset.features)
            for field in fields:
                tokens = self._encode(self._texts(table, field, start), field, tokenizer, kwargs)
                features.update(Features.from_arrow_schema(tokens.schema))
                table = _beside(table, tokens)
            ordered = Features({name: features[name] for name in table.column_names})
            writer.add(table.replace_schema_metadata(ordered.arrow_schema.metadata))
        return writer.finish()

    def _map(self, dataset: Dataset, fields: list[list[str]], tokenizer: Any, kwargs: dict) -> Dataset:
        """The same in several processes, for tokenizers written in Python."""

        def tokenize(batch: Mapping[str, list]) -> dict[str, list]:
            encodings = [(field, tokenizer(*(batch[name] for name in field), **kwargs)) for field in fields]
            return {f"{'_'.join(field)}_{key}": value for field, found in encodings for key, value in found.items()}

        return dataset.map(tokenize, batched=True, batch_size=self.batch_size, num_proc=self.num_proc)

    def _check_columns(self, dataset: Dataset, columns: list[str], words: bool, split: str) -> None:
        self.need_columns(dataset, columns, split=split, setting="tokenize_fields_list")
        for name in columns:
            kind = str(getattr(dataset.features[name], "dtype", dataset.features[name]))
            if not words and kind not in ("string", "large_string", "null"):
                raise DataError(
                    f"the column {name!r} must hold text, but holds {kind} instead",
                    where=f"{self.where}, tokenize_fields_list",
                )

    def _texts(self, table: pa.Table, field: list[str], start: int) -> list[list[Any]]:
        texts = [table.column(name).to_pylist() for name in field]
        for name, values in zip(field, texts, strict=True):
            if None in values:
                raise DataError(
                    f"the column {name!r} has no text in row {start + values.index(None)}",
                    where=self.where,
                    hint=f"drop such rows before, with FilterRows and drop_empty: ['{name}']",
                )
        return texts

    def _encode(self, texts: list[list[Any]], field: list[str], tokenizer: Any, kwargs: dict) -> pa.Table:
        """The token columns of some rows, each value a list of ids or flags."""
        import numpy as np
        import pyarrow as pa

        rows = len(texts[0])
        if not rows:
            texts = [[[""] if kwargs.get("is_split_into_words") else ""] for _ in texts]
        arrays = {}
        for name, values in tokenizer(*texts, **kwargs).items():
            if len(values) != len(texts[0]):
                raise DataError(
                    f"the tokenizer gives {len(values)} rows for {rows} texts",
                    where=self.where,
                    hint="leave return_overflowing_tokens out of tokenize_kwargs: it makes several rows of one",
                )
            lists = all(isinstance(row, list) and (not row or isinstance(row[0], int)) for row in values)
            dtype = np.int8 if name.endswith("mask") or name == "token_type_ids" else np.int32
            arrays[f"{'_'.join(field)}_{name}"] = ragged(values, dtype) if lists else pa.array(values)
        return pa.table(arrays).slice(0, rows)


def _beside(table: pa.Table, more: pa.Table) -> pa.Table:
    """The columns of both; those of ``more`` replace what has their name."""
    for name in more.column_names:
        if name in table.column_names:
            table = table.drop_columns([name])
        table = table.append_column(name, more.column(name))
    return table
