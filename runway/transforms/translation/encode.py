"""Turns sentence pairs into token ids, ``input_ids`` and ``labels``, with one tokenizer or one for each side."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runway.errors import ConfigError, DataError, must_be, must_be_whole
from runway.log import info, warning
from runway.registry import register_transform_functor
from runway.transforms.arrow_tables import TableWriter, column, lengths, ragged
from runway.transforms.base import VALIDATION_NAMES, HFDatasetTransform
from runway.transforms.datasets.rows import RowFilter
from runway.transforms.loading.tokenizer import apart_from_tokenizer, tokenizer_of_node

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from datasets import Dataset, DatasetDict

COLUMNS = {"source": "input_ids", "target": "labels"}
POLICIES = ("error", "truncate", "drop")
NO_LIMIT = 1_000_000  # a tokenizer that knows no limit gives 1e30


def encode_texts(tokenizer: Any, texts: Sequence[str], side: str = "source", prefix: str = "") -> list[list[int]]:
    """The tokens of each text, with the end of sentence: the one rule for training, tests and ``runway translate``.

    What looks like a special token in a text ("a dog <s> runs") is ordinary text. Where a tokenizer takes it for the
    token all the same, as unigram models do, it is cut by a space ("< s>"); in ``prefix`` it means the token.

    Args:
        tokenizer: of transformers.
        texts: the texts.
        side: ``source`` or ``target``: a tokenizer of two languages (Marian, mBART) has a vocabulary or marks for each.
        prefix: stands before each text.
    """
    ids = _token_ids(tokenizer, [prefix + text for text in texts] if prefix else list(texts), side)
    names = sorted(filter(None, tokenizer.all_special_tokens), key=len, reverse=True)
    special = re.compile("|".join(map(re.escape, names)) or "(?!)")
    rows = [row for row, text in enumerate(texts) if special.search(text)]
    if rows and not special.search(prefix):
        controls = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
        own = _count(_token_ids(tokenizer, [prefix + "."], side)[0], controls)  # those that the tokenizer adds
        found = _token_ids(tokenizer, [prefix + texts[row] for row in rows], side, split_special_tokens=True)
        for row, tokens in zip(rows, found, strict=True):
            ids[row] = tokens
        rows = [row for row in rows if _count(ids[row], controls) != own]
    if rows:
        cut = [prefix + special.sub(lambda token: f"{token[0][0]} {token[0][1:]}", texts[row]) for row in rows]
        for row, tokens in zip(rows, _token_ids(tokenizer, cut, side), strict=True):
            ids[row] = tokens
    return ids


def _token_ids(tokenizer: Any, texts: list[str], side: str, **settings: Any) -> list[list[int]]:
    """What the tokenizer gives, and the end of sentence where it adds none (or one before a language's mark)."""
    if not texts:
        return []
    given = {"text": texts} if side == "source" else {"text_target": texts}
    ids = tokenizer(**given, return_attention_mask=False, verbose=False, **settings)["input_ids"]
    eos = tokenizer.eos_token_id
    return ids if eos is None else [row if row and eos in row[-2:] else [*row, eos] for row in ids]


def _count(tokens: Sequence[int], among: set[int]) -> int:
    return sum(token in among for token in tokens)


def truncated_tokens(tokens: list[int], limit: int, eos: int | None) -> list[int]:
    """The first tokens, and those that end a sentence: ``eos``, and a language's mark where one follows it."""
    if len(tokens) <= limit:
        return tokens
    end = tokens[-2:] if len(tokens) > 1 and tokens[-2] == eos != tokens[-1] else tokens[-1:]
    return [*tokens[: max(limit - len(end), 0)], *end[:limit]]


@register_transform_functor
class EncodePairs(HFDatasetTransform):
    """Adds ``input_ids`` (the source's tokens and end of sentence) and ``labels`` (the target's) to sentence pairs.

    The tokenizer is the second input node (``input_node: [pairs, tokenizer]``, as TrainTokenizer gives it), or that of
    ``tokenizer_config``. The texts stay. Noted are the tokens of each side, and what was cut or dropped.
    """

    def setup(
        self,
        tokenizer_config: Mapping[str, Any] | None = None,
        max_length: int | None = None,
        max_target_length: int | None = None,
        on_too_long: str | Mapping[str, str] = "error",
        source_prefix: str = "",
        batch_size: int = 10_000,
        **kwargs: Any,
    ) -> None:
        """Say how to encode.

        Args:
            tokenizer_config: ``{version_name, class_name, …}`` of a pretrained tokenizer, where no node gives one; None
                takes the config's ``tokenizer_config``.
            max_length: tokens of a side at most, end of sentence included: no more than the positions of the model.
                None takes what the tokenizer says, if it does.
            max_target_length: the same for the target; None takes ``max_length``.
            on_too_long: what to do with a longer pair: ``error``, ``truncate`` it or ``drop`` it, which are counted; a
                dict ``{split: …}`` says it for each split (``validation`` for ``valid``, ``val`` and ``dev`` too);
                those it does not name have ``error``.
            source_prefix: what stands before each source text: "translate English to Romanian: " for T5.
            batch_size: rows at a time.
            **kwargs: the settings of HFDatasetTransform.
        """
        super().setup(**kwargs)
        where = f"{self.where}, setup_kwargs"
        for policy in on_too_long.values() if isinstance(on_too_long, Mapping) else [on_too_long]:
            must_be(policy in POLICIES, "on_too_long", f"one of {', '.join(POLICIES)}", policy, where=where)
        for name, value in (("max_length", max_length), ("max_target_length", max_target_length)):
            if value is not None:
                must_be_whole(name, value, least=1, where=where, hint="null is for no limit")
        must_be_whole("batch_size", batch_size, least=1, where=where)
        self.tokenizer_config = tokenizer_config
        self.limits = {"source": max_length, "target": max_target_length or max_length}
        self.on_too_long = on_too_long
        self.source_prefix = source_prefix
        self.batch_size = batch_size

    def __call__(self, data: Any = None) -> Any:
        """Take the pairs and the tokenizer apart, and encode."""
        pairs, given = apart_from_tokenizer(data)
        self._tokenizers = self._both(given)
        return super().__call__(pairs)

    def _both(self, given: Any) -> dict[str, Any]:
        """The tokenizer of each side."""
        if given is None:
            config = self.tokenizer_config
            if config is None:
                config = self.from_config("tokenizer_config")
            if not config:
                raise ConfigError(
                    "there is no tokenizer",
                    where=self.where,
                    hint="give it a second input node that makes one (TrainTokenizer), or a `tokenizer_config`",
                )
            given = tokenizer_of_node(self, config)
        is_both = isinstance(given, Mapping) and set(given) == set(COLUMNS)
        both = dict(given) if is_both else dict.fromkeys(COLUMNS, given)
        for tokenizer in both.values():
            if not callable(tokenizer) or not hasattr(tokenizer, "eos_token_id"):
                raise DataError(
                    f"the second input must be a tokenizer, or {{source, target}} of them, but is a "
                    f"{type(given).__name__} instead",
                    where=self.where,
                )
        return both

    def _call(self, data: Dataset | DatasetDict) -> Dataset | DatasetDict:
        found = {name: self._encode(part, name or "train") for name, part in self.splits_of(data).items()}
        self.note("encoded", {name or "rows": facts for name, (_, facts) in found.items()})
        return self.with_splits(data, {name: rows for name, (rows, _) in found.items()})

    def _encode(self, dataset: Dataset, split: str) -> tuple[Dataset, dict[str, Any]]:
        """The rows with their tokens, and what is to be known of them."""
        self.need_columns(dataset, COLUMNS, split=split)
        writer = TableWriter(f"{self.where}, split {split!r}")
        texts_only = dataset.remove_columns([name for name in COLUMNS.values() if name in dataset.column_names])
        policy = self._policy(split)
        counts: dict[str, int] = {"truncated": 0, "unknown": 0}
        arrow = texts_only.with_format("arrow")
        for start in range(0, max(len(dataset), 1), self.batch_size):  # an empty one gets the columns all the same
            table = arrow[start : start + self.batch_size]
            for side, name in COLUMNS.items():
                ids = self._ids(table, side, start, split)
                unknown = self._tokenizers[side].unk_token_id
                if unknown is not None:
                    counts["unknown"] += sum(row.count(unknown) for row in ids)
                limit = self._limit(side)
                if limit is not None and policy == "truncate":
                    counts["truncated"] += sum(len(row) > limit for row in ids)
                    ids = [truncated_tokens(row, limit, self._tokenizers[side].eos_token_id) for row in ids]
                table = table.append_column(name, ragged(ids, "int32"))
            writer.add(table)
        encoded = writer.finish()
        kept = self._within_limits(encoded, split, policy)
        rows = kept.rows()
        facts = {"pairs": len(rows), "dropped": kept.dropped, **counts, **_token_facts(rows)}
        reasons = [f"{count} dropped {reason}" for reason, count in kept.dropped.items()]
        reasons += [f"truncated: {counts['truncated']}"] if counts["truncated"] else []
        tell = warning if len(rows) < len(encoded) / 2 else info
        tell(
            f"{self.name}: {split} {len(rows)} pairs, {facts['source tokens']} + {facts['target tokens']} tokens"
            + "".join(f"; {reason}" for reason in reasons)
        )
        return rows, facts

    def _ids(self, table: pa.Table, side: str, start: int, split: str) -> list[list[int]]:
        """The tokens of some texts, each with the end of sentence."""
        texts = table.column(side).to_pylist()
        for row, text in enumerate(texts):
            if not text or text.isspace():
                raise DataError(
                    f"the {side} is empty in row {start + row} of the split {split!r}",
                    where=f"{self.where}{_origin(table, row)}",
                    hint="drop such pairs before, with FilterPairs",
                )
        return encode_texts(self._tokenizers[side], texts, side, self.source_prefix if side == "source" else "")

    def _limit(self, side: str) -> int | None:
        """Tokens of a side at most."""
        given = self.limits[side]
        known = getattr(self._tokenizers[side], "model_max_length", None)
        return given if given is not None or known is None or known >= NO_LIMIT else int(known)

    def _policy(self, split: str) -> str:
        if not isinstance(self.on_too_long, Mapping):
            return self.on_too_long
        names = (split, *VALIDATION_NAMES) if split in VALIDATION_NAMES else (split,)
        return next((self.on_too_long[name] for name in names if name in self.on_too_long), "error")

    def _within_limits(self, dataset: Dataset, split: str, policy: str) -> RowFilter:
        import numpy as np

        kept = RowFilter(dataset)
        for side, name in COLUMNS.items():
            limit = self._limit(side)
            if limit is None:
                continue
            counts = lengths(column(dataset, name))
            fits = counts <= limit
            if policy != "drop" and not fits.all():
                row = int(np.flatnonzero(~fits)[0])
                raise DataError(
                    f"the {side} in row {row} of the split {split!r} has {counts[row]} tokens, more than the {limit} "
                    f"that are allowed; so have {int((~fits).sum())} of {len(fits)} rows",
                    where=f"{self.where}{_origin(dataset.with_format('arrow')[row : row + 1], 0)}",
                    hint="set on_too_long to 'truncate' or 'drop' (for a split: {train: 'drop'}), "
                    "or max_length and the model's positions to more",
                )
            kept.apply(fits, f"with a {side} of more than {limit} tokens")
        if len(dataset) and not kept.keep.any():
            raise DataError(f"no pair of the split {split!r} is left", where=self.where, hint="look at max_length")
        return kept


def _token_facts(rows: Dataset) -> dict[str, Any]:
    facts = {}
    for side, name in COLUMNS.items():
        counts: np.ndarray = lengths(column(rows, name))
        facts[f"{side} tokens"] = int(counts.sum())
        facts[f"longest {side}"] = int(counts.max(initial=0))
    return facts


def _origin(table: pa.Table, row: int) -> str:
    """Where a row comes from, as LoadParallelText has noted it."""
    return f", {table.column('origin')[row].as_py()}" if "origin" in table.column_names else ""
