"""Attention for half precision on a CPU, where torch's fused kernel is the slowest way to train on short sequences.

For bfloat16, the backward of ``scaled_dot_product_attention`` on a CPU has a cost for each head and sentence that
hardly depends on their length: 40 ms for 64 sentences of 16 tokens and 8 heads, where the plain formula takes 3 ms
(torch 2.13, one core with AVX512-BF16). With nine attentions that is more than the rest of a small translation model.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)

NAME = "runway_sdpa"
LONGEST_PLAIN = 160  # tokens; beyond, the formula's matrix of scores costs more than casting to fp32


def use_fast_attention(model: Any) -> None:
    """Let a transformers model that uses SDPA take this module's choice of kernel; others stay as they are."""
    if getattr(getattr(model, "config", None), "_attn_implementation", None) != "sdpa":
        return
    _register()
    model.set_attn_implementation(NAME)


def _register() -> None:
    from transformers import AttentionInterface
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask

    AttentionInterface.register(NAME, attend)
    ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, sdpa_mask)


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
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
        **kwargs: for transformers' own function.

    Returns:
        ``[B, T, H, D]``, and None for the weights.
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    own = query.device.type == "cpu" and query.dtype == torch.bfloat16 and torch.is_grad_enabled()
    if not own or key.shape[1] != query.shape[1] or not (query.requires_grad or key.requires_grad):
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, is_causal=is_causal, **kwargs
        )
    causal = getattr(module, "is_causal", False) if is_causal is None else is_causal
    causal = causal and attention_mask is None and query.shape[2] > 1
    if max(query.shape[2], key.shape[2]) > LONGEST_PLAIN:
        if attention_mask is not None and attention_mask.is_floating_point():
            attention_mask = attention_mask.float()
        found = F.scaled_dot_product_attention(
            query.float(),
            key.float(),
            value.float(),
            attn_mask=attention_mask,
            dropout_p=dropout,
            scale=scaling,
            is_causal=causal,
        )
        return found.to(query.dtype).transpose(1, 2).contiguous(), None
    if causal:
        attention_mask = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool).tril()
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = torch.matmul(query * scale, key.transpose(2, 3))  # [B, H, T, S]
    if attention_mask is not None:
        if attention_mask.dtype == torch.bool:
            scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
        else:
            scores = scores + attention_mask
    weights = F.dropout(scores.softmax(-1), dropout)
    return torch.matmul(weights.to(value.dtype), value).transpose(1, 2).contiguous(), None
