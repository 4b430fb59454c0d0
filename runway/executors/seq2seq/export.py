"""Saves a trained translation model for use, with runway or without."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import GenerationConfig

from runway.config.signatures import accepted_settings
from runway.disk import replacing
from runway.executors.pretrained import without_adapters, without_progress_bars
from runway.transforms.base import HFDatasetTransform
from runway.transforms.translation.clean_and_filter import SIDES

if TYPE_CHECKING:
    from runway.executors.seq2seq.generation import Generation
    from runway.executors.seq2seq.model import Tokenizers

SETTINGS_FILE = "translation.json"
UNLIMITED_LENGTH = 256  # of generate() without runway, for a model whose positions set no limit
# What decides which other settings of a GenerationConfig have an effect.
_SWITCHES = ("num_beams", "do_sample", "use_cache", "return_dict_in_generate")


def export_translator(
    folder: Path,
    model: Any,
    tokenizers: Tokenizers,
    generation: Generation,
    source_prefix: str = "",
    cleaning: Mapping[str, Any] | None = None,
) -> None:
    """Save model, tokenizers and decoding settings in one folder, with ``save_pretrained``.

    ``AutoModelForSeq2SeqLM.from_pretrained(folder)`` and, where one tokenizer serves both sides,
    ``AutoTokenizer.from_pretrained(folder)`` load them without runway. Two tokenizers stand in
    ``source_tokenizer`` and ``target_tokenizer``. Adapters of LoRA are merged into the weights.

    Args:
        folder: where to; it is made.
        model: an encoder-decoder of transformers, whole or in parts with adapters; it stays as it is.
        tokenizers: of both sides.
        generation: how to decode. ``translation.json`` keeps its settings as they were given;
            ``generation_config.json`` those that have an effect, and a limit of length.
        source_prefix: stands before each source text.
        cleaning: ``setup_kwargs`` of the CleanPairs that the texts went through, if they did.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with replacing(folder, lasting=True) as beside:  # an earlier export is there until this one is whole
        beside.mkdir()
        _write(beside, model, tokenizers, generation)
        settings = {"joint": tokenizers.joint, "generate_params": generation.params, "source_prefix": source_prefix}
        if cleaning is not None:
            settings["cleaning"] = of_the_texts(cleaning)
        (beside / SETTINGS_FILE).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _write(folder: Path, model: Any, tokenizers: Tokenizers, generation: Generation) -> None:
    plain = without_adapters(model)
    own, plain.generation_config = plain.generation_config, _saved_generation(generation)
    try:
        with without_progress_bars():
            plain.save_pretrained(folder)
    finally:
        plain.generation_config = own
    if tokenizers.joint:
        tokenizers.source.save_pretrained(folder)
    else:
        for side in SIDES:
            getattr(tokenizers, side).save_pretrained(folder / f"{side}_tokenizer")


def _saved_generation(generation: Generation) -> GenerationConfig:
    """The settings as ``save_pretrained`` takes them: it refuses those that have no effect beside the others."""
    saved = GenerationConfig()
    given = {name: value for name, value in vars(generation.config).items() if not name.startswith("_")}
    for name in sorted(given, key=lambda name: name not in _SWITCHES):
        before = getattr(saved, name, None)
        setattr(saved, name, given[name])
        try:
            saved.validate(strict=True)
        except ValueError:
            setattr(saved, name, before)
    if generation.limits is not None:  # runway's limit of each sentence; generate() alone would stop at 20 tokens
        saved.max_length = generation.positions or UNLIMITED_LENGTH
    return saved


def of_the_texts(cleaning: Mapping[str, Any]) -> dict[str, Any]:
    """The settings without those that say which splits and columns of a dataset they are for."""
    of_datasets = accepted_settings(HFDatasetTransform).names
    return {name: value for name, value in cleaning.items() if name not in of_datasets}
