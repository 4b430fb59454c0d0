"""Rows by the builders of HF datasets over local files: images in folders, tar archives, XML, …"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runway.errors import ConfigError, DataError, RunwayError
from runway.library_internals import files_as_they_are, self_contained
from runway.transforms.arrow_tables import scratch_folder

if TYPE_CHECKING:
    from datasets import Dataset


def build_splits(
    builder: str, splits: Mapping[str, Sequence[str]], settings: Mapping[str, Any], limit: int | None, where: str
) -> Mapping[str, Dataset]:
    """What a builder makes of files, anew: HF's cache of prepared files goes by their times, not their content.

    Args:
        builder: its name.
        splits: the paths of each split; or addresses that HF datasets knows.
        settings: further arguments of ``load_dataset``.
        limit: how many rows of each split to keep.
        where: whose work it is, for errors.

    Returns:
        The splits; images and sounds are in the rows, so that what comes after depends on what they hold.

    Raises:
        DataError: the builder fails.
    """
    is_address = any("://" in path for paths in splits.values() for path in paths)
    files = dict(splits) if is_address else files_as_they_are(splits)
    settings = {**settings, "cache_dir": str(scratch_folder())}
    try:
        loaded = load_dataset(builder, data_files=files, **settings)
        parts = loaded if isinstance(loaded, Mapping) else {split_asked(settings): loaded}
        if limit is not None:
            parts = {split: part.select(range(min(limit, len(part)))) for split, part in parts.items()}
        return {split: self_contained(part) for split, part in parts.items()}
    except RunwayError:  # an interruption
        raise
    except Exception as error:  # of whatever library the builder reads with
        known = error.__cause__ or error  # DatasetGenerationError says nothing itself
        first = (str(known).strip().splitlines() or [type(known).__name__])[0]
        raise DataError(
            f"the builder {builder!r} of HF datasets cannot read the files: {first[:300]}",
            where=where,
            hint="look at load_kwargs and at the files; the log lists what was taken",
        ) from error


def load_dataset(path: str, **arguments: Any) -> Any:
    """``datasets.load_dataset``, which runs nothing that comes with the data.

    Raises:
        ConfigError: it would.
    """
    import datasets

    hint = "save the rows as parquet, which HF datasets does by itself"
    if arguments.pop("trust_remote_code", None):
        raise ConfigError("loading scripts of datasets are not run", where="load_kwargs.trust_remote_code", hint=hint)
    if path == "pandas":  # datasets 5 refuses it too
        raise ConfigError("the builder 'pandas' reads pickles, which can run any code", where="dataset_name", hint=hint)
    return datasets.load_dataset(path, trust_remote_code=False, **arguments)


def split_asked(settings: Mapping[str, Any]) -> str:
    """The split that ``load_dataset`` was asked for, where it gives one Dataset."""
    return str(settings.get("split", "train")).split("[")[0]
