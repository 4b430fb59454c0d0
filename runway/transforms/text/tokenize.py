"""Turns text columns into token ids with a Hugging Face tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.assets import assets_cache, fetch, hub_is_reachable, is_asset
from runway.errors import AssetError, ConfigError, DataError, did_you_mean
from runway.log import warning
from runway.registry import register_transform_functor
from runway.transforms.arrow_tables import TableWriter, dataset_of, ragged
from runway.transforms.base import HFDatasetTransform

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa
    from datasets import Dataset, DatasetDict

_OWN_KEYS = ("version_name", "class_name", "tokenize_kwargs", "sha256", "revision", "init_kwargs")


def load_tokenizer(
    tokenizer_config: Mapping[str, Any], project: Path | None = None, cache_dir: Path | str = "cache"
) -> Any:
    """The tokenizer that a ``tokenizer_config`` describes.

    Args:
        tokenizer_config: ``version_name`` (a name on the hub, a path relative to the project, or an asset),
            ``class_name`` (a class of transformers, by default AutoTokenizer), and where needed ``sha256`` (pins an
            asset), ``revision`` (of the hub), ``init_kwargs`` (further arguments of ``from_pretrained``).
        project: the project's folder; None is the current one.
        cache_dir: where assets are kept, relative to the project.

    Raises:
        ConfigError: the config lacks ``version_name``, or ``class_name`` is not a tokenizer of transformers.
        AssetError: the files cannot be had.
    """
    where = "tokenizer_config"
    name = tokenizer_config.get("version_name")
    if not isinstance(name, str) or not name:
        raise ConfigError(
            f"`version_name` must be a hub name, a path or an asset, but is {name!r} instead",
            where=where,
            hint="for example version_name: 'distilbert-base-uncased'",
        )
    root = Path(project or Path.cwd())
    local = root / Path(name).expanduser()
    if is_asset(name):
        local = fetch(name, tokenizer_config.get("sha256"), cache_dir, root)
    elif not local.exists() and name.startswith(("/", ".", "~")):
        raise AssetError(f"there is no tokenizer at {name!r}", where=f"{where}, {local}")

    import transformers

    class_name = tokenizer_config.get("class_name") or "AutoTokenizer"
    cls = getattr(transformers, class_name, None)
    if cls is None or not hasattr(cls, "from_pretrained"):
        known = [known_name for known_name in dir(transformers) if "Tokenizer" in known_name]
        raise ConfigError(
            f"`class_name` must be a tokenizer class of transformers, but is {class_name!r} instead",
            where=where,
            hint=did_you_mean(class_name, known),
        )
    kwargs = dict(tokenizer_config.get("init_kwargs") or {})
    if tokenizer_config.get("revision"):
        kwargs["revision"] = tokenizer_config.get("revision")
    on_hub = not local.exists()
    if on_hub and not hub_is_reachable():
        kwargs["local_files_only"] = True  # what was downloaded before, without a minute of retries
    try:
        return cls.from_pretrained(name if on_hub else str(local), **kwargs)
    except (OSError, ValueError, TypeError) as error:  # TypeError: a folder without the files of a tokenizer
        reason = str(error).strip().splitlines()[0][:200].rstrip(":")
        if kwargs.get("local_files_only"):
            reason = "it is neither a local path nor in the hub's cache, and the hub is not reachable"
        raise AssetError(
            f"the tokenizer {name!r} cannot be loaded: {reason}",
            where=where,
            hint="check version_name and the network (and HF_HUB_OFFLINE), or give the path of a folder of your own",
        ) from error


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
        if tokenizer_config is None and self.global_config is not None:
            tokenizer_config = self.global_config.get("tokenizer_config")
        if tokenizer_config is None:
            raise ConfigError("`tokenizer_config` must be given", where=f"node {self.name!r}, setup_kwargs")
        for key in tokenizer_config:
            if key not in _OWN_KEYS:
                warning(f"node {self.name!r}: tokenizer_config.{key} is not used ({did_you_mean(key, _OWN_KEYS)})")
        self.tokenizer_config = tokenizer_config
        self.tokenize_fields_list = list(tokenize_fields_list)
        self.batch_size = batch_size
        self.num_proc = _num_proc

    def _call(self, data: Dataset | DatasetDict) -> Dataset | DatasetDict:
        name = str(self.tokenizer_config.get("version_name"))
        if not is_asset(name) and self.resolve_path(name).exists():
            self.track_file(name)
        tokenizer = load_tokenizer(self.tokenizer_config, self.project, assets_cache(self.global_config, self.project))
        return self.map_splits(data, lambda dataset: self._tokenize(dataset, tokenizer))

    def _tokenize(self, dataset: Dataset, tokenizer: Any) -> Dataset:
        from datasets import Features

        kwargs = dict(self.tokenizer_config.get("tokenize_kwargs") or {})
        kwargs.pop("return_tensors", None)  # tensors are made when a batch is
        fields = [[field] if isinstance(field, str) else list(field) for field in self.tokenize_fields_list]
        for field in fields:
            self._check_columns(dataset, field, bool(kwargs.get("is_split_into_words")))
        if not len(dataset):  # the columns all the same
            empty = self._encode([[""]] * len(fields[0]), fields[0], tokenizer, kwargs)
            return dataset_of(_beside(dataset.with_format("arrow")[:], empty.slice(0, 0)))
        if self.num_proc and self.num_proc > 1 and not tokenizer.is_fast:
            return self._map(dataset, fields, tokenizer, kwargs)
        writer = TableWriter(f"node {self.name!r}")
        arrow = dataset.with_format("arrow")
        for start in range(0, len(dataset), self.batch_size):
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

    def _check_columns(self, dataset: Dataset, columns: list[str], words: bool) -> None:
        for name in columns:
            if name not in dataset.column_names:
                raise DataError(
                    f"there is no column {name!r} to tokenise",
                    where=f"node {self.name!r}, tokenize_fields_list",
                    hint=did_you_mean(name, dataset.column_names),
                )
            kind = str(getattr(dataset.features[name], "dtype", dataset.features[name]))
            if not words and kind not in ("string", "large_string", "null"):
                raise DataError(
                    f"the column {name!r} must hold text, but holds {kind} instead",
                    where=f"node {self.name!r}, tokenize_fields_list",
                )

    def _texts(self, table: pa.Table, field: list[str], start: int) -> list[list[str]]:
        texts = [table.column(name).to_pylist() for name in field]
        for name, values in zip(field, texts, strict=True):
            if None in values:
                raise DataError(
                    f"the column {name!r} has no text in row {start + values.index(None)}",
                    where=f"node {self.name!r}",
                    hint=f"drop such rows before, with FilterRows and drop_empty: ['{name}']",
                )
        return texts

    def _encode(self, texts: list[list[str]], field: list[str], tokenizer: Any, kwargs: dict) -> pa.Table:
        """The token columns of some rows, each value a list of ids or flags."""
        import numpy as np
        import pyarrow as pa

        arrays = {}
        for name, values in tokenizer(*texts, **kwargs).items():
            if len(values) != len(texts[0]):
                raise DataError(
                    f"the tokenizer gives {len(values)} rows for {len(texts[0])} texts",
                    where=f"node {self.name!r}",
                    hint="leave return_overflowing_tokens out of tokenize_kwargs: it makes several rows of one",
                )
            lists = all(isinstance(row, list) and (not row or isinstance(row[0], int)) for row in values)
            dtype = np.int8 if name.endswith("mask") or name == "token_type_ids" else np.int32
            arrays[f"{'_'.join(field)}_{name}"] = ragged(values, dtype) if lists else pa.array(values)
        return pa.table(arrays)


def _beside(table: pa.Table, more: pa.Table) -> pa.Table:
    """The columns of both; those of ``more`` replace what has their name."""
    for name in more.column_names:
        if name in table.column_names:
            table = table.drop_columns([name])
        table = table.append_column(name, more.column(name))
    return table
