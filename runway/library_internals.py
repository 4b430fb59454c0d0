"""The names of transformers, datasets, evaluate and peft that runway relies on, and that they do not document.

Each stands in one function, with the version that it was read in; ``tests/test_library_internals.py`` fails first where
a new one moves it. Those of Lightning stand in ``runway/executors/lightning_internals.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any


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


def adapter_layers() -> tuple[type, ...]:
    """The classes that peft puts in the place of a model's layers (peft 0.21)."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils import ModulesToSaveWrapper

    return (BaseTunerLayer, ModulesToSaveWrapper)


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
