"""Decoding in batches: settings from a config, checked; the same output whatever the batch."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from runway.errors import ConfigError, must_be, must_be_known, must_be_whole, told_as_config_error

OWN_DEFAULTS = {"max_len_a": 1.5, "max_len_b": 20}
"""A hypothesis has at most ``max_len_a * source tokens + max_len_b`` tokens (the names are fairseq's)."""

_SETS_LENGTH = ("max_length", "max_new_tokens")
# What GenerationConfig has, but what belongs to the model, to the call, or gives something other than token ids.
_ONE_HYPOTHESIS = "decoding gives one hypothesis for each sentence"
_NOT_FROM_CONFIG = {
    **dict.fromkeys(
        ("return_dict_in_generate", "output_scores", "output_logits", "output_attentions"), _ONE_HYPOTHESIS
    ),
    **dict.fromkeys(("output_hidden_states", "transformers_version", "num_return_sequences"), _ONE_HYPOTHESIS),
    "compile_config": _ONE_HYPOTHESIS,
    "forced_eos_token_id": "each hypothesis ends at the limit of its own sentence, which max_len_a and max_len_b set",
}


class Generation:
    """How a model decodes: transformers' settings, and a limit of length for each sentence.

    The limit follows from each sentence's own length. A limit for the batch would let a sentence's neighbours
    decide where it ends. It is kept by allowing nothing but the end there, so a hypothesis always ends.

    Args:
        params: ``num_beams``, ``length_penalty``, ``no_repeat_ngram_size`` … as transformers' GenerationConfig has
            them, and ``max_len_a``, ``max_len_b``. With ``max_new_tokens`` or ``max_length`` the limit is that.
        base: the model's own settings, which ``params`` go over.
        positions: how many positions the decoder has; None for a model without such a limit.
        where: what ``params`` are called in the config, for errors.

    Raises:
        ConfigError: a setting that does not exist, or a value that transformers refuses.
    """

    def __init__(
        self,
        params: Mapping[str, Any] | None,
        base: GenerationConfig | None = None,
        *,
        positions: int | None = None,
        where: str = "generate_params",
    ) -> None:
        self.params = dict(params or {})
        self.positions = positions
        self.where = where
        _check_names(self.params, where)
        own = {key: self.params[key] for key in OWN_DEFAULTS if key in self.params}
        for key, value in own.items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            must_be(is_number and 0 <= value < math.inf, key, "a number from 0", value, where=where)
        fixed = next((key for key in _SETS_LENGTH if self.params.get(key) is not None), None)
        if fixed is not None:
            length = self.params[fixed]
            must_be_whole(fixed, length, least=1, where=where)
            if positions is not None and length > positions:
                message = f"hypotheses of {length} tokens do not fit: the model has {positions} positions"
                hint = "a smaller max_new_tokens, or a model with more (max_position_embeddings)"
                raise ConfigError(message, where=where, hint=hint)
            if own:
                message = f"`{next(iter(own))}` and a fixed length are two limits for the same thing"
                raise ConfigError(message, where=where, hint="give max_len_a and max_len_b, or max_new_tokens")
        self.limits: dict[str, float] | None = {**OWN_DEFAULTS, **own} if own or fixed is None else None
        given = {key: value for key, value in self.params.items() if key not in OWN_DEFAULTS}
        self.config = _build(given, base, where, drop_length=self.limits is not None)

    @property
    def num_beams(self) -> int:
        """How many hypotheses are kept while decoding; 1 is greedy."""
        return self.config.num_beams or 1

    def __call__(self, model: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Decode one batch.

        It runs in the weights' own precision, outside autocast: rounding in bfloat16 depends on the shape of a
        batch, and so would the hypotheses.

        Args:
            model: an encoder-decoder of transformers, in eval mode.
            input_ids: ``[B, S]``.
            attention_mask: ``[B, S]``.

        Returns:
            Token ids ``[B, T]``, padded; with the decoder's first token.
        """
        config, processors = self.config, LogitsProcessorList()
        if self.limits is not None:
            lengths = attention_mask.sum(1)  # [B]
            limits = (lengths * self.limits["max_len_a"] + self.limits["max_len_b"]).long().clamp_min(1)
            if self.positions is not None:
                limits = limits.clamp_max(self.positions - 1)
            longest = int(limits.max())
            if self.config.early_stopping == "never" and self.positions:
                longest = self.positions - 1  # its bound uses the length limit: the same for every batch
            config = copy.copy(config)
            config.max_new_tokens = longest
            processors.append(EndAtLimit(limits, self._ends()))
        with _decoding(model, config):
            return model.generate(
                input_ids=input_ids,
                attention_mask=attention_mask,
                generation_config=config,
                logits_processor=processors,
            )

    def check(self, model: Any) -> None:
        """Decode one token, to find out before a training what would fail after it.

        Raises:
            ConfigError: transformers cannot decode with these settings.
        """
        device = next(model.parameters()).device
        ids = torch.tensor([[self._ends()[0] if self._ends() else 0]], device=device)
        config, training = copy.copy(self.config), model.training
        config.max_new_tokens, config.min_new_tokens, config.min_length = 1, None, 0
        model.eval()
        what = "transformers cannot decode with these settings"  # of any kind: it has no class of its own for it
        try:
            with (
                told_as_config_error(what, Exception, where=self.where),
                torch.random.fork_rng(devices=[]),
                warnings.catch_warnings(),
                _decoding(model, config),
            ):
                warnings.simplefilter("ignore")
                model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=config)
        finally:
            model.train(training)

    def _ends(self) -> list[int]:
        ends = self.config.eos_token_id
        return [] if ends is None else [int(end) for end in (ends if isinstance(ends, list | tuple) else [ends])]


@contextmanager
def _decoding(model: Any, config: GenerationConfig) -> Iterator[None]:
    """No gradients, no autocast, and these settings alone.

    transformers puts the model's own settings where ``config`` has none; so it is made the model's own. New tensors
    are fp32: with ``bf16-true`` Lightning sets another type, and those of transformers are then mixed.
    """
    dtype, own = torch.get_default_dtype(), model.generation_config
    device = next(model.parameters()).device.type
    torch.set_default_dtype(torch.float32)
    model.generation_config = config
    try:
        with torch.no_grad(), torch.autocast(device, enabled=False):
            yield
    finally:
        model.generation_config = own
        torch.set_default_dtype(dtype)


class EndAtLimit(LogitsProcessor):
    """Where a sentence has reached its limit, only the end is allowed.

    Args:
        limits: tokens after the first, of each sentence ``[B]``.
        ends: the ids that end a sentence.
    """

    def __init__(self, limits: torch.Tensor, ends: list[int]) -> None:
        self.limits, self.ends = limits, ends
        self._first = int(limits.min())

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """``[B * beams, T], [B * beams, V] → [B * beams, V]``."""
        made = input_ids.shape[1]  # with the decoder's start: the token to come is the made-th after it
        if made < self._first or not self.ends:
            return scores
        over = (self.limits <= made).repeat_interleave(scores.shape[0] // len(self.limits))
        only_end = torch.full_like(scores, -math.inf)
        only_end[:, self.ends] = scores[:, self.ends].clamp_min(torch.finfo(scores.dtype).min)
        return torch.where(over[:, None], only_end, scores)  # type: ignore[return-value]


def _check_names(params: Mapping[str, Any], where: str) -> None:
    known = {key for key in GenerationConfig().to_dict() if not key.startswith("_")}
    known |= set(OWN_DEFAULTS) | set(_SETS_LENGTH) | {"num_beams", "do_sample", "length_penalty", "early_stopping"}
    for name in params.keys() & _NOT_FROM_CONFIG.keys():
        raise ConfigError(f"`{name}` is not for the config: {_NOT_FROM_CONFIG[name]}", where=where)
    must_be_known(params, known - _NOT_FROM_CONFIG.keys(), "decoding has no setting", where=where)


def _build(given: dict[str, Any], base: GenerationConfig | None, where: str, *, drop_length: bool) -> GenerationConfig:
    """The model's settings with those of the config over them."""
    settings = {key: value for key, value in (base.to_dict() if base else {}).items() if not key.startswith("_")}
    settings.pop("transformers_version", None)
    if drop_length:
        # A forced end comes at the length limit of the batch, where it favours whoever is there: EndAtLimit ends each.
        settings.pop("forced_eos_token_id", None)
    if drop_length or set(_SETS_LENGTH) & set(given):
        for key in _SETS_LENGTH:
            settings.pop(key, None)
    must_be_whole("num_beams", given.get("num_beams", 1), least=1, where=where)
    with told_as_config_error("transformers refuses these settings", ValueError, TypeError, where=where):
        config = GenerationConfig.from_dict({**settings, **given})
        config.validate(strict=False)
    return config
