"""Translates texts with a model that a test has exported: what ``runway translate`` loads."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from runway.config.signatures import accepted_settings
from runway.errors import DataError, ExperimentError, RunwayError, must_be, must_be_known, must_be_whole
from runway.executors.seq2seq.export import SETTINGS_FILE, of_the_texts
from runway.executors.seq2seq.generation import Generation
from runway.executors.seq2seq.model import Tokenizers, max_positions
from runway.log import warning
from runway.pretrained import open_pretrained
from runway.transforms.translation.clean_and_filter import SIDES, SOURCE, CleanPairs
from runway.transforms.translation.encode import encode_texts, truncated_tokens

POLICIES = ("error", "truncate")


class Translator:
    """Translates texts with an exported model.

    Args:
        model: an encoder-decoder of transformers.
        tokenizers: of both sides.
        generate_params: how to decode; see ``Generation``.
        source_prefix: stands before each source text, as it did in training.
        cleaning: settings of CleanPairs, which the source texts go through as they did in training; without them
            texts are brought into NFC, and runs of white space made one space.

    Raises:
        ConfigError: a setting that does not exist.
    """

    def __init__(
        self,
        model: Any,
        tokenizers: Tokenizers,
        generate_params: Mapping[str, Any] | None = None,
        source_prefix: str = "",
        cleaning: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model.eval()
        self.tokenizers = tokenizers
        self.source_prefix = source_prefix
        self.positions = max_positions(model)
        self.generation = Generation(generate_params, model.generation_config, positions=self.positions)
        self._cleaner: CleanPairs | None = None
        if cleaning is not None:
            settings = of_the_texts(cleaning)
            known = accepted_settings(CleanPairs).names
            must_be_known(settings, known, "CleanPairs has no setting", where="cleaning")
            self._cleaner = CleanPairs(name="cleaning")
            self._cleaner.setup(**settings)
            self._cleaner.changed = {}

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
        hint = "`runway test CONFIG` exports the best model"
        try:
            settings = _read_settings(folder)
            places = [folder] * 2 if settings["joint"] else [folder / f"{side}_tokenizer" for side in SIDES]
            load = partial(open_pretrained, where=str(folder), local_files_only=True)
            model, loaded = load(AutoModelForSeq2SeqLM, folder, output_loading_info=True, ignore_mismatched_sizes=True)
            source = load(AutoTokenizer, places[0])
            target = source if settings["joint"] else load(AutoTokenizer, places[1])
        except Exception as error:  # open_pretrained leaves some of transformers' own
            reason = str(error).strip().split("\n")[0][:200] or type(error).__name__
            message = f"there is no exported model that can be loaded: {reason}"
            raise ExperimentError(message, where=str(folder), hint=hint) from error
        wrong = _wrong_weights(loaded)
        if wrong:
            raise ExperimentError(f"the exported model is damaged: {wrong}", where=str(folder), hint=hint)
        if all(getattr(model.generation_config, name) is None for name in ("decoder_start_token_id", "bos_token_id")):
            message = "the exported model does not say which token its translations start with"
            raise ExperimentError(message, where=str(folder / "generation_config.json"), hint=hint)
        params = {**settings["generate_params"], **(generate_params or {})}
        prefix, cleaning = settings.get("source_prefix", ""), settings.get("cleaning")
        return cls(model, Tokenizers(source, target), params, prefix, cleaning)

    def translate(
        self,
        texts: Iterable[str],
        batch_size: int = 32,
        *,
        on_too_long: str = "error",
        places: Iterable[str] | None = None,
    ) -> list[str]:
        """A translation of each text, in their order; batches are made of texts of similar length.

        Args:
            texts: one sentence each; an empty one stays empty.
            batch_size: texts at a time.
            on_too_long: what to do with a text of more tokens than the model has positions: ``error``, or
                ``truncate`` it, with a warning.
            places: where each text comes from, for errors and warnings; by default its number.

        Raises:
            DataError: a text is longer than the model's positions.
            ExperimentError: the model cannot translate, as an export that was changed.
        """
        must_be_whole("batch_size", batch_size, least=1, where="batch_size")
        policies = f"one of {', '.join(POLICIES)}"
        must_be(on_too_long in POLICIES, "on_too_long", policies, on_too_long, where="on_too_long")
        texts = self._clean(list(texts))
        places = [f"text {number}" for number in range(1, len(texts) + 1)] if places is None else list(places)
        try:
            return self._translated(texts, batch_size, on_too_long, places)
        except (RunwayError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # of whatever a setting in the export makes transformers stumble over
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise ExperimentError(f"the model cannot translate: {reason}", hint="is the export whole?") from error

    def _translated(self, texts: list[str], batch_size: int, on_too_long: str, places: Sequence[str]) -> list[str]:
        rows = [row for row, text in enumerate(texts) if text.strip()]
        tokens = encode_texts(self.tokenizers.source, [texts[row] for row in rows], prefix=self.source_prefix)
        encoded = {row: self._fitted(ids, places[row], on_too_long) for row, ids in zip(rows, tokens, strict=True)}
        order = sorted(rows, key=lambda row: -len(encoded[row]))
        found = [""] * len(texts)
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            for row, hypothesis in zip(batch, self._batch([encoded[row] for row in batch]), strict=True):
                found[row] = hypothesis
        return found

    def _clean(self, texts: Sequence[str]) -> list[str]:
        """The texts as those that the model has learnt from."""
        if self._cleaner is None:
            return [" ".join(unicodedata.normalize("NFC", text).split()) for text in texts]
        return self._cleaner.clean_texts(pa.chunked_array([pa.array(texts, pa.string())]), SOURCE).to_pylist()

    def _fitted(self, ids: list[int], place: str, on_too_long: str) -> list[int]:
        """Token ids that the model has positions for."""
        if self.positions is None or len(ids) <= self.positions:
            return ids
        message = f"a text of {len(ids)} tokens is longer than the model's {self.positions} positions"
        if on_too_long == "error":
            hint = "give one sentence a line, or cut it: `on_too_long='truncate'` (`--on_too_long truncate`)"
            raise DataError(message, where=place, hint=hint)
        warning(f"{place}: {message}; it is cut")
        return truncated_tokens(ids, self.positions, self.tokenizers.source.eos_token_id)

    def _batch(self, encoded: list[list[int]]) -> list[str]:
        pad = self.tokenizers.source.pad_token_id
        rows = [torch.tensor(ids, dtype=torch.long, device=self.model.device) for ids in encoded]
        input_ids = pad_sequence(rows, batch_first=True, padding_value=pad)  # [B, S]
        mask = pad_sequence([torch.ones_like(ids) for ids in rows], batch_first=True)
        tokens = self.generation(self.model, input_ids, mask)
        return self.tokenizers.target.batch_decode(tokens.tolist(), skip_special_tokens=True)


def _read_settings(folder: Path) -> dict[str, Any]:
    """What ``translation.json`` says.

    Raises:
        ValueError: it is not what ``export_translator`` writes.
    """
    settings = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
    if not isinstance(settings, dict):
        raise ValueError(f"{SETTINGS_FILE} must hold an object")
    optional = {"source_prefix": str, "cleaning": dict}
    for name, kind in {"joint": bool, "generate_params": dict, **optional}.items():
        if not isinstance(settings.get(name, kind() if name in optional else None), kind):
            raise ValueError(f"{SETTINGS_FILE} has no {name!r} that can be used")
    return settings


def _wrong_weights(loaded: Mapping[str, Any]) -> str:
    """What a model's file of weights lacks or has too many, in words; empty where all is right."""
    found = []
    kinds = {"missing": "missing weights", "unexpected": "unknown weights", "mismatched": "weights of other sizes"}
    for kind, text in kinds.items():
        names = sorted(key if isinstance(key, str) else key[0] for key in loaded.get(f"{kind}_keys", ()))
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            found.append(f"{text} {', '.join(names[:3])}{more}")
    return "; ".join(found)
