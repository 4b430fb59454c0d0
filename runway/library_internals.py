"""The names of transformers, datasets, evaluate and peft that runway relies on, and that they do not document.

Each stands in one function, with the version that it was read in; ``tests/test_library_internals.py`` fails first where
a new one moves it. Those of Lightning stand in ``runway/executors/lightning_internals.py``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset


def free_logging() -> None:
    """Let go the lock of the module ``logging`` where this thread holds it outside of all logging (Python 3.11).

    An exception out of a signal handler (Ctrl-C, a killed worker of a DataLoader) may come between the taking of the
    lock and the ``try`` that would let it go. This thread does not notice; any other one that logs waits for ever, and
    with it all that waits for that one, such as ``wandb.init``.
    """
    lock: Any = getattr(logging, "_lock", None)
    while hasattr(lock, "_is_owned") and lock._is_owned():
        lock.release()


def encoder_decoder_types() -> Collection[str]:
    """The model types that ``AutoModelForSeq2SeqLM`` makes (transformers 5.23)."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES

    return MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES.keys()


def schedule_function(name: str) -> Callable[..., Any]:
    """The function behind a name of ``transformers.get_scheduler``, for its signature (transformers 5.23)."""
    from transformers import SchedulerType
    from transformers.optimization import TYPE_TO_SCHEDULER_FUNCTION

    function: Any = TYPE_TO_SCHEDULER_FUNCTION[SchedulerType(name)]
    return function


def attention_of(model: Any) -> str | None:
    """The name of a model's attention; None where it is no model of transformers (transformers 5.23)."""
    return getattr(getattr(model, "config", None), "_attn_implementation", None)


def register_attention_like_sdpa(name: str, function: Callable[..., Any]) -> None:
    """Make ``function`` an attention that models take by name, with the masks that SDPA gets (transformers 5.23)."""
    from transformers import AttentionInterface
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask

    AttentionInterface.register(name, function)
    ALL_MASK_ATTENTION_FUNCTIONS.register(name, sdpa_mask)


def sdpa_attention(*args: Any, **kwargs: Any) -> Any:
    """transformers' own SDPA attention, which it calls as ``attention(module, query, key, …)`` (transformers 5.23)."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    return sdpa_attention_forward(*args, **kwargs)


def weights_not_saved(module: Any) -> set[str]:
    """The weights that ``save_pretrained`` leaves out, as the architecture computes them (transformers 5.23)."""
    found = set()
    for name, part in module.named_modules():
        before = f"{name}." if name else ""
        found |= {before + key for key in getattr(part, "_keys_to_ignore_on_save", None) or ()}
    return found


def adapter_layers() -> tuple[type, ...]:
    """The classes that peft puts in the place of a model's layers (peft 0.21)."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils import ModulesToSaveWrapper

    return (BaseTunerLayer, ModulesToSaveWrapper)


def configs_of_readme(readme: Path) -> tuple[Mapping[str, Mapping[str, Any]], str | None]:
    """The ``configs`` in the YAML of a dataset's README, by name, and the default's name (datasets 5.2).

    Raises:
        Exception: what yaml, huggingface_hub or datasets find wrong with it.
    """
    from datasets.utils.metadata import MetadataConfigs
    from huggingface_hub import DatasetCard

    found = MetadataConfigs.from_dataset_card_data(DatasetCard.load(readme, ignore_metadata_errors=True).data)
    return found, found.get_default_config_name()


def hf_builders() -> Collection[str]:
    """The builders that datasets brings along: csv, imagefolder, webdataset, … (datasets 5.2)."""
    from datasets.packaged_modules import _PACKAGED_DATASETS_MODULES

    return _PACKAGED_DATASETS_MODULES.keys()


def builder_of_suffix(suffix: str) -> str | None:
    """The builder that reads files whose names end so (``.jpg``), or None (datasets 5.2)."""
    from datasets.packaged_modules import _EXTENSION_TO_MODULE

    return _EXTENSION_TO_MODULE.get(suffix, (None, {}))[0]


def builder_takes(builder: str) -> Callable[[str], bool]:
    """Whether a builder reads a file of this name, ``metadata.csv`` among them (datasets 5.2)."""
    from datasets.packaged_modules import _MODULE_TO_EXTENSIONS
    from datasets.packaged_modules.folder_based_builder.folder_based_builder import FolderBasedBuilder

    suffixes = tuple(_MODULE_TO_EXTENSIONS.get(builder, ()))
    about = FolderBasedBuilder.METADATA_FILENAMES if builder.endswith("folder") else ()
    return lambda name: not suffixes or name.endswith(suffixes) or Path(name).name in about


def files_as_they_are(splits: Mapping[str, Sequence[str]]) -> Mapping[str, Any]:
    """Paths as ``data_files`` for ``load_dataset``, which would take brackets in one for a pattern (datasets 5.2)."""
    from datasets.data_files import DataFilesDict, DataFilesList

    return DataFilesDict({split: DataFilesList(list(files), [()] * len(files)) for split, files in splits.items()})


def self_contained(dataset: Dataset) -> Dataset:
    """With the bytes of images and sounds in the rows, where they held the paths of files (datasets 5.2)."""
    from datasets.features.features import require_storage_embed
    from datasets.table import embed_table_storage

    if not any(require_storage_embed(feature) for feature in dataset.features.values()):
        return dataset
    return dataset.with_format("arrow").map(embed_table_storage, batched=True, batch_size=100).with_format(None)


@contextmanager
def random_fingerprints() -> Iterator[None]:
    """Datasets get a random fingerprint, where ``map`` would pickle its function to hash it (datasets 5.2)."""
    from datasets import arrow_dataset, fingerprint

    homes: list[Any] = [home for home in (fingerprint, arrow_dataset) if hasattr(home, "update_fingerprint")]
    hashing = [home.update_fingerprint for home in homes]
    for home in homes:
        home.update_fingerprint = lambda *_: fingerprint.generate_random_fingerprint()
    try:
        yield
    finally:
        for home, function in zip(homes, hashing, strict=True):
            home.update_fingerprint = function


@contextmanager
def hub_cache_only() -> Iterator[None]:
    """datasets serves what was downloaded before, without a minute of retries (datasets 5.2, huggingface_hub 2.4)."""
    import datasets
    from huggingface_hub import constants

    before = datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before


@contextmanager
def evaluate_offline(offline: bool) -> Iterator[None]:
    """evaluate follows ``HF_HUB_OFFLINE``, though it has a switch of its own (evaluate 0.4.6)."""
    import evaluate.config as settings

    before = settings.HF_EVALUATE_OFFLINE
    settings.HF_EVALUATE_OFFLINE = before or offline
    try:
        yield
    finally:
        settings.HF_EVALUATE_OFFLINE = before


def sacrebleu_statistics(
    metric: Any, hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> list[list[int]]:
    """What BLEU or chrF sums up of each hypothesis and its references, given as streams (sacrebleu 2.6)."""
    return metric._extract_corpus_statistics(hypotheses, references)


def sacrebleu_score(metric: Any, sums: list[int]) -> float:
    """The score that BLEU or chrF computes of such sums (sacrebleu 2.6)."""
    return metric._compute_score_from_stats(sums).score
