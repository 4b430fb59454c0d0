"""A trained translation model, exported and used: what ``runway translate`` loads."""

from __future__ import annotations

import copy
import json
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
from transformers.utils import logging as hf_logging

from runway.errors import ConfigError, DataError, ExperimentError
from runway.executors.generation import Generation
from runway.executors.seq2seq_model import Tokenizers, max_positions

SETTINGS_FILE = "translation.json"
SIDES = ("source", "target")


def export_translator(
    folder: Path, model: Any, tokenizers: Tokenizers, generation: Generation, source_prefix: str = ""
) -> None:
    """Save model, tokenizers and decoding settings in one folder, with ``save_pretrained``.

    ``AutoModelForSeq2SeqLM.from_pretrained(folder)`` and, where one tokenizer serves both sides,
    ``AutoTokenizer.from_pretrained(folder)`` load them without runway. Two tokenizers stand in
    ``source_tokenizer`` and ``target_tokenizer``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plain = model
    if hasattr(model, "merge_and_unload"):  # LoRA: one model without adapters; the one in use keeps them
        plain = copy.deepcopy(model).merge_and_unload()
    own, shown = plain.generation_config, hf_logging.is_progress_bar_enabled()
    plain.generation_config = generation.config
    hf_logging.disable_progress_bar()
    try:
        plain.save_pretrained(folder)
    finally:
        plain.generation_config = own
        if shown:
            hf_logging.enable_progress_bar()
    if tokenizers.joint:
        tokenizers.source.save_pretrained(folder)
    else:
        for side in SIDES:
            getattr(tokenizers, side).save_pretrained(folder / f"{side}_tokenizer")
    settings = {
        "joint": tokenizers.joint,
        "generate_params": generation.params,
        "source_prefix": source_prefix,
    }
    (folder / SETTINGS_FILE).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


class Translator:
    """Translates texts with an exported model.

    Args:
        model: an encoder-decoder of transformers.
        tokenizers: of both sides.
        generate_params: how to decode; see ``Generation``.
        source_prefix: stands before each source text, as it did in training.
    """

    def __init__(
        self,
        model: Any,
        tokenizers: Tokenizers,
        generate_params: Mapping[str, Any] | None = None,
        source_prefix: str = "",
    ) -> None:
        self.model = model.eval()
        self.tokenizers = tokenizers
        self.source_prefix = source_prefix
        self.positions = max_positions(model)
        self.generation = Generation(generate_params, model.generation_config, positions=self.positions)

    @classmethod
    def load(cls, folder: str | Path, generate_params: Mapping[str, Any] | None = None) -> Translator:
        """The model that a test has exported to ``folder``.

        Args:
            folder: its ``export`` folder.
            generate_params: go over those of the config it was trained with.

        Raises:
            ExperimentError: there is none, or it is damaged.
            ConfigError: a setting that does not exist.
        """
        folder = Path(folder)
        try:
            settings = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
            places = [folder] * 2 if settings["joint"] else [folder / f"{side}_tokenizer" for side in SIDES]
            model = AutoModelForSeq2SeqLM.from_pretrained(folder, local_files_only=True)
            source = AutoTokenizer.from_pretrained(places[0], local_files_only=True)
            target = source if settings["joint"] else AutoTokenizer.from_pretrained(places[1], local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            reason = str(error).strip().split("\n")[0][:200]
            raise ExperimentError(
                f"there is no exported model that can be loaded: {reason}",
                where=str(folder),
                hint="`runway test CONFIG` exports the best model",
            ) from error
        params = {**settings["generate_params"], **(generate_params or {})}
        return cls(model, Tokenizers(source, target), params, settings.get("source_prefix", ""))

    def translate(self, texts: Iterable[str], batch_size: int = 32) -> list[str]:
        """A translation of each text, in their order; batches are made of texts of similar length.

        Raises:
            DataError: a text is longer than the model's positions.
        """
        if batch_size < 1:
            raise ConfigError(f"`batch_size` must be at least 1, but is {batch_size} instead", where="batch_size")
        texts = [" ".join(unicodedata.normalize("NFC", text).split()) for text in texts]
        encoded = [self._encode(number, text) for number, text in enumerate(texts, start=1)]
        order = sorted((row for row, text in enumerate(texts) if text), key=lambda row: -len(encoded[row]))
        found = [""] * len(texts)
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            for row, hypothesis in zip(rows, self._batch([encoded[row] for row in rows]), strict=True):
                found[row] = hypothesis
        return found

    def _encode(self, number: int, text: str) -> list[int]:
        """Token ids that end as EncodePairs lets them end."""
        tokenizer = self.tokenizers.source
        ids = list(tokenizer(self.source_prefix + text, verbose=False)["input_ids"])
        if tokenizer.eos_token_id not in ids[-2:]:
            ids.append(tokenizer.eos_token_id)
        if self.positions is not None and len(ids) > self.positions:
            raise DataError(
                f"a text of {len(ids)} tokens is longer than the model's {self.positions} positions",
                where=f"text {number}",
                hint="give one sentence a line",
            )
        return ids

    def _batch(self, encoded: list[list[int]]) -> list[str]:
        width = max(map(len, encoded))
        pad = self.tokenizers.source.pad_token_id
        input_ids = torch.tensor([ids + [pad] * (width - len(ids)) for ids in encoded], device=self.model.device)
        lengths = torch.tensor([len(ids) for ids in encoded], device=self.model.device)
        mask = (torch.arange(width, device=self.model.device) < lengths[:, None]).long()  # [B, S]
        tokens = self.generation(self.model, input_ids, mask)
        return self.tokenizers.target.batch_decode(tokens.tolist(), skip_special_tokens=True)
