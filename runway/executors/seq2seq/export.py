"""Saves a trained translation model for use, with runway or without."""

from __future__ import annotations

import copy
import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import GenerationConfig

from runway.config.signatures import accepted_settings
from runway.disk import replacing
from runway.executors.pretrained import without_progress_bars
from runway.library_internals import adapter_layers
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
    plain = _without_adapters(model)
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


def _without_adapters(model: Any) -> Any:
    """The model itself; where it has adapters (LoRA), a copy with these merged into its weights."""
    peft = sys.modules.get("peft")  # a model with adapters has imported it
    if peft is None or not any(isinstance(module, peft.PeftModel) for module in model.modules()):
        return model
    merged = copy.deepcopy(model)
    _untie_adapted(merged)
    for name, module in reversed(list(merged.named_modules())):  # the inner before the outer
        if isinstance(module, peft.PeftModel):
            whole = module.merge_and_unload()
            if not name:
                return whole
            parent, _, own_name = name.rpartition(".")
            setattr(merged.get_submodule(parent), own_name, whole)
    return merged


def _untie_adapted(model: Any) -> None:
    """Give each layer weights of its own, where an adapter on one of them must not change the others."""
    uses = Counter(id(weight) for _, weight in model.named_parameters(remove_duplicate=False))
    kinds = adapter_layers()
    adapted: Iterable[torch.nn.Module] = filter(lambda module: isinstance(module, kinds), model.modules())
    if not any(uses[id(weight)] > 1 for module in adapted for weight in module.parameters()):
        return
    for module in model.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            if uses[id(weight)] > 1:
                setattr(module, name, torch.nn.Parameter(weight.detach().clone(), weight.requires_grad))


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
