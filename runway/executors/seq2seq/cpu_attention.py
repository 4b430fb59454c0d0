"""Attention for half precision on a CPU, where torch's fused kernel is the slowest way to train on short sequences.

For bfloat16, the backward of ``scaled_dot_product_attention`` on a CPU has a cost for each head and sentence that
hardly depends on their length: 40 ms for 64 sentences of 16 tokens and 8 heads, where the plain formula takes 3 ms
(torch 2.13, one core with AVX512-BF16). With nine attentions that is more than the rest of a small translation model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)

from runway.library_internals import attention_of, register_attention_like_sdpa, sdpa_attention

NAME = "runway_sdpa"
LONGEST_PLAIN = 160  # tokens; beyond, the formula's matrix of scores costs more than casting to fp32


def use_fast_attention(model: Any) -> None:
    """Let a transformers model that uses SDPA take this module's choice of kernel; others stay as they are."""
    if attention_of(model) == "sdpa":
        register_attention_like_sdpa(NAME, attend)
        model.set_attn_implementation(NAME)


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    position_bias: torch.Tensor | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention with the arguments that transformers gives to an attention function.

    Args:
        module: the attention layer; ``module.is_causal`` counts where ``is_causal`` is None.
        query: ``[B, H, T, D]``.
        key: ``[B, H, S, D]``, in as many heads as the query.
        value: likewise.
        attention_mask: boolean, true where to look, or added to the scores; ``[B, 1, T, S]`` or None.
        dropout: of the weights.
        scaling: of the scores; by default ``D ** -0.5``.
        is_causal: whether a token sees only those before it, where there is no mask.
        position_bias: added to the scores, as T5 has it; ``[1, H, T, S]``.
        **kwargs: what else a model gives; a call with something in it that changes the result is transformers' to do.

    Returns:
        ``[B, T, H, D]``, and None for the weights.
    """
    if not _is_ours(query, key, kwargs):
        given = {"dropout": dropout, "scaling": scaling, "is_causal": is_causal, "position_bias": position_bias}
        return sdpa_attention(module, query, key, value, attention_mask, **given, **kwargs)
    causal = getattr(module, "is_causal", False) if is_causal is None else is_causal
    causal = bool(causal) and attention_mask is None and query.shape[2] > 1
    plain = max(query.shape[2], key.shape[2]) <= LONGEST_PLAIN
    if causal and (plain or position_bias is not None):
        attention_mask = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool).tril()
        causal = False
    mask = attention_mask if position_bias is None else _added(attention_mask, position_bias)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if plain:
        scores = torch.matmul(query * scale, key.transpose(2, 3))  # [B, H, T, S]
        weights = F.dropout(_added(mask, scores).softmax(-1), dropout)
        found = torch.matmul(weights.to(value.dtype), value)
    else:
        if mask is not None and mask.is_floating_point():
            mask = mask.float()
        wholes = (query.float(), key.float(), value.float())  # torch's kernel for fp32 keeps no matrix of scores
        found = F.scaled_dot_product_attention(
            *wholes, attn_mask=mask, dropout_p=dropout, scale=scale, is_causal=causal
        ).to(query.dtype)
    return found.transpose(1, 2).contiguous(), None


def _is_ours(query: torch.Tensor, key: torch.Tensor, others: Mapping[str, Any]) -> bool:
    """Whether it is training in bfloat16 on a CPU, and nothing is asked for that the formula here does not have."""
    if query.device.type != "cpu" or query.dtype != torch.bfloat16 or not torch.is_grad_enabled():
        return False
    if others.get("softcap") is not None or any(isinstance(value, torch.Tensor) for value in others.values()):
        return False
    return key.shape[1] == query.shape[1] and (query.requires_grad or key.requires_grad)


def _added(mask: torch.Tensor | None, scores: torch.Tensor) -> torch.Tensor:
    """Scores, or a bias of them, with the mask."""
    if mask is None:
        return scores
    return scores.masked_fill(~mask, torch.finfo(scores.dtype).min) if mask.dtype == torch.bool else scores + mask
