"""Loads data: from the hub, from local files of any usual form, from assets."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.assets import assets_cache, fetch, hub_is_reachable, is_asset
from runway.errors import AssetError, ConfigError, DataError, RunwayError, must_be_known, told_as_config_error
from runway.library_internals import hub_cache_only
from runway.registry import register_transform_functor
from runway.transforms.arrow_tables import TableWriter
from runway.transforms.base import BaseTransform
from runway.transforms.loading.data_files import format_of, near_files, read_files

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

_SPLIT_OF_NAME = {
    "train": "train",
    "training": "train",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
_ORDER = ("train", "validation", "test")


@register_transform_functor
class LoadHFDataset(BaseTransform):
    """Loads a dataset and gives a DatasetDict.

    What is named may be a dataset on the hub, a folder made by ``save_to_disk``, a folder of files (their
    names say the split, as in ``train.csv``), one or more files (csv, tsv, json, jsonl, parquet, arrow, txt,
    also compressed), a pattern such as ``data/*.jsonl``, a dict ``{split: file or files}``, or an asset
    (``pypi://…``, ``hf://…``, ``https://…``). One file is the split ``train``.

    The output depends on the content of local files: edit one, and the node runs again.
    """

    def setup(
        self,
        dataset_name: str | None = None,
        dataset_path: str | Sequence[str] | Mapping[str, str | Sequence[str]] | None = None,
        fields: Sequence[str] | None = None,
        splits: Sequence[str] | Mapping[str, str] | None = None,
        sha256: str | Mapping[str, str] | None = None,
        subset: str | None = None,
        file_format: str | None = None,
        encoding: str = "utf-8",
        dummy_rows: int = 100,
        load_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Say what to load.

        Args:
            dataset_name: a name on the hub, such as ``imdb``; or a path or an asset. Together with
                ``dataset_path`` it is what to take inside of that.
            dataset_path: a path (relative to the project), a list of paths, ``{split: path or paths}``, or an asset.
            fields: the columns to keep; None or an empty list keeps all.
            splits: the splits to keep, or ``{new split: part}`` with parts such as ``train[:80%]``.
            sha256: the sum that pins an asset (of the wheel, where it comes from one); ``{split: sum}`` where
                ``dataset_path`` has an asset for each split.
            subset: the name of a configuration on the hub, or of a subfolder of a local folder.
            file_format: csv, tsv, json, parquet, arrow or text; None goes by the files' names.
            encoding: of csv, tsv, json and text files.
            dummy_rows: how many rows of each split a run with ``--use_dummy_data`` reads.
            load_kwargs: further arguments: of ``datasets.load_dataset`` for the hub; ``delimiter``, ``quotechar``,
                ``escapechar``, ``column_names``, ``skip_rows`` for csv and tsv files; ``field`` for json files.
            **kwargs: ``input_mapping`` and ``output_mapping``, see BaseTransform.
        """
        super().setup(**kwargs)
        if not dataset_name and not dataset_path:
            raise ConfigError(
                "one of `dataset_name` and `dataset_path` must be given",
                where=f"{self.where}, setup_kwargs",
                hint="dataset_name='imdb' takes it from the hub, dataset_path='data/reviews.csv' from a file",
            )
        self.dataset_name = dataset_name
        self.dataset_path = dataset_path
        self.fields = list(fields or [])
        self.splits = splits
        self.sha256 = sha256
        self.subset = subset
        self.file_format = file_format
        self.encoding = encoding
        self.dummy_rows = dummy_rows
        self.load_kwargs = dict(load_kwargs or {})

    def _call(self, data: Any = None) -> DatasetDict:
        from datasets import DatasetDict

        loaded = self._load(self.dummy_rows if self.use_dummy_data else None)
        order = sorted(loaded, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))
        loaded = {name: loaded[name] for name in order}
        if self.splits:
            wanted = self.splits
            if not isinstance(wanted, Mapping):
                wanted = {re.split(r"[\[+]", part)[0]: part for part in _as_list(wanted)}
            loaded = {name: self._part(loaded, part) for name, part in wanted.items()}
        if self.fields:
            for name, part in loaded.items():
                self.need_columns(part, self.fields, split=name, setting="fields")
            loaded = {name: part.select_columns(self.fields) for name, part in loaded.items()}
        return DatasetDict(loaded)

    def _load(self, limit: int | None) -> Mapping[str, Dataset]:
        files = self.load_kwargs.get("data_files", self.dataset_path)
        if isinstance(files, Mapping):
            return self._from_files({split: _as_list(paths) for split, paths in files.items()}, limit)
        if not isinstance(files, str | os.PathLike | None):
            return self._from_files({"train": _as_list(files)}, limit)
        location = self._local_location(None if files is None else str(files))
        if location is None:
            return self._from_hub(limit)
        if location.is_dir():
            return self._from_folder(location / self.subset if self.subset else location, limit)
        return self._from_files({"train": [str(location)]}, limit)

    def _local_location(self, path: str | None) -> Path | None:
        """The file, folder or pattern that is meant, or None for a dataset on the hub."""
        name = self.dataset_name
        if "data_files" in self.load_kwargs:  # HF's form: load_dataset('csv', data_files=…)
            self.file_format, name = self.file_format or name, None
        for text in (path, name):
            if is_asset(text):
                inside = name if text is path else None
                root = self._fetch(str(text), "train")
                return root / inside if inside else root
        if path is None:
            local = self.resolve_path(str(name))
            return local if local.exists() or _is_pattern(str(name)) or _is_path(str(name)) else None
        local = self.resolve_path(path)
        if name and (local.exists() or _is_path(path)):
            return local / name
        if name:
            return None  # owner and name on the hub
        if not local.exists() and not _is_pattern(path):
            hint = f"{near_files(local)}; for a dataset on the hub use dataset_name"
            raise DataError(f"there is no file or folder {path!r}", where=f"{self.where}, {local}", hint=hint)
        return local

    def _from_files(self, splits: Mapping[str, Sequence[str]], limit: int | None) -> dict[str, Dataset]:
        paths = {
            name: [path for pattern in patterns for path in self._paths_of(pattern, name)]
            for name, patterns in splits.items()
        }
        return self._read(paths, limit)

    def _read(self, splits: Mapping[str, Sequence[Path]], limit: int | None) -> dict[str, Dataset]:
        return {
            str(split): read_files(
                paths,
                where=self.where,
                file_format=self.file_format,
                encoding=self.encoding,
                limit=limit,
                options=self.load_kwargs,
            )
            for split, paths in splits.items()
        }

    def _paths_of(self, pattern: str, split: str) -> list[Path]:
        if is_asset(pattern):
            return [self._fetch(pattern, split)]
        if _is_pattern(pattern) and not self.resolve_path(pattern).exists():
            paths = [path for path in self.track_glob(pattern) if path.is_file()]
            if not paths:
                raise DataError(f"no file matches {pattern!r}", where=f"{self.where}, {self.resolve_path(pattern)}")
            return paths
        path = self.resolve_path(pattern)
        self._track(path, split)
        return [path]

    def _track(self, path: Path, split: str) -> None:
        """Record a local file or folder, and hold it against the sum that pins it."""
        if path.is_relative_to(assets_cache(self.global_config, self.project) / "assets"):
            return  # it came with an asset, which its address and sum pin already
        self.track_file(path)
        if self._pin(split) and path.exists():
            self._fetch(str(path), split)

    def _pin(self, split: str) -> str | None:
        return self.sha256.get(split) if isinstance(self.sha256, Mapping) else self.sha256

    def _fetch(self, uri: str, split: str) -> Path:
        return fetch(uri, self._pin(split), assets_cache(self.global_config, self.project), self.project)

    def _from_folder(self, folder: Path, limit: int | None) -> Mapping[str, Dataset]:
        import datasets

        if not folder.is_dir():
            raise DataError(f"there is no folder {str(folder)!r}", where=self.where)
        self._track(folder, "train")
        if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
            saved = datasets.load_from_disk(str(folder))
            parts = saved if isinstance(saved, Mapping) else {"train": saved}
            if limit is None:
                return parts
            return {name: part.select(range(min(limit, len(part)))) for name, part in parts.items()}
        splits: dict[str, list[Path]] = {}
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            if format_of(path) is not None and not path.name.startswith((".", "_")):
                splits.setdefault(_split_of(path.relative_to(folder)), []).append(path)
        if not splits:
            raise DataError(
                f"the folder {folder.name!r} holds no data files",
                where=f"{self.where}, {folder}",
                hint="csv, tsv, json, jsonl, parquet, arrow and txt are known, or a folder made by save_to_disk",
            )
        return self._read(splits, limit)

    def _from_hub(self, limit: int | None) -> Mapping[str, Dataset]:
        import datasets
        from datasets.exceptions import DatasetNotFoundError

        name = "/".join(str(part) for part in (self.dataset_path, self.dataset_name) if part)
        reachable = hub_is_reachable()
        kwargs: dict[str, Any] = {"name": self.subset, **self.load_kwargs}
        if limit is not None and reachable:
            kwargs["streaming"] = True
        try:
            with nullcontext() if reachable else hub_cache_only():
                loaded = datasets.load_dataset(name, **kwargs)
        except (DatasetNotFoundError, OSError, ValueError, RuntimeError) as error:
            raise self._hub_error(name, error, reachable) from error
        splits = loaded if isinstance(loaded, Mapping) else {str(kwargs.get("split", "train")).split("[")[0]: loaded}
        if limit is None:
            return splits
        first = {split: list(part.take(limit)) for split, part in splits.items()}
        return {split: datasets.Dataset.from_list(rows, splits[split].features) for split, rows in first.items()}

    def _hub_error(self, name: str, error: Exception, reachable: bool) -> RunwayError:
        if not reachable:
            return AssetError(
                f"the dataset {name!r} is neither a local file or folder nor in the hub's cache, "
                "and the hub is not reachable",
                where=self.where,
                hint="check the network (and HF_HUB_OFFLINE), or set dataset_path to files of your own",
            )
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return DataError(
            f"the dataset {name!r} cannot be loaded from the hub: {first[:300]}",
            where=self.where,
            hint="check dataset_name and subset; for a local file or folder use dataset_path",
        )

    def _part(self, loaded: Mapping[str, Dataset], part: str) -> Dataset:
        """The rows that HF's notation means: ``train``, ``train[:80%]``, ``train[:100]+test``."""
        from datasets import ReadInstruction, concatenate_datasets

        if part in loaded:
            return loaded[part]
        names = [re.sub(r"\[.*", "", piece).strip() for piece in part.split("+")]
        must_be_known(names, loaded, "there is no split", where=f"{self.where}, splits", error=DataError)
        what = f"`splits` has {part!r}"
        with told_as_config_error(what, ValueError, AssertionError, where=self.where, hint="'train[:80%]'"):
            pieces = ReadInstruction.from_spec(part).to_absolute({name: len(rows) for name, rows in loaded.items()})
        rows = [loaded[piece.splitname].select(range(piece.from_, piece.to)) for piece in pieces]
        return rows[0] if len(rows) == 1 else concatenate_datasets(rows)


def load_splits(
    transform: BaseTransform, read_file: Callable[[Path, str | None], Dataset], **settings: Any
) -> dict[str, Dataset]:
    """What LoadHFDataset gives with these settings, for another transform, whose reads the files count as.

    Args:
        transform: that loads.
        read_file: reads a file of the format that the settings name, if they do, instead of LoadHFDataset; the rows of
            a hub's or a saved dataset do not go through it.
        **settings: of LoadHFDataset.
    """
    loader = _FileByFile(
        name=transform.name,
        global_config=transform.global_config,
        use_dummy_data=transform._use_dummy_data,
        project=transform.project,
        reads=transform._reads,
    )
    loader.setup(**settings)
    loader.read_file = read_file
    return dict(loader._call())


class _FileByFile(LoadHFDataset):
    """LoadHFDataset with another way to read a file."""

    read_file: Callable[[Path, str | None], Dataset]

    def _read(self, splits: Mapping[str, Sequence[Path]], limit: int | None) -> dict[str, Dataset]:
        found = {}
        for split, paths in splits.items():
            writer = TableWriter(self.where)
            for path in paths:
                if limit is None or writer.rows < limit:
                    rows = self.read_file(path, self.file_format).with_format("arrow")[:]
                    writer.add(rows if limit is None else rows.slice(0, limit - writer.rows))
            found[str(split)] = writer.finish()
        return found


def _as_list(paths: Any) -> list[str]:
    return [str(paths)] if isinstance(paths, str | os.PathLike) else [str(path) for path in paths]


def _is_pattern(text: str) -> bool:
    return any(char in text for char in "*?[")


def _is_path(text: str) -> bool:
    """Whether the text can only mean a path, not a name on the hub."""
    return text.startswith(("/", ".", "~")) or text.count("/") > 1 or format_of(Path(text)) is not None


def _split_of(path: Path) -> str:
    """The split that a file's place in its folder says: train-00000-of-00002.parquet, test/a.csv, dev.jsonl."""
    words = [word for part in reversed(path.parts) for word in re.split(r"[^A-Za-z]+", part.lower())]
    return next((_SPLIT_OF_NAME[word] for word in words if word in _SPLIT_OF_NAME), "train")
