"""``get_tokenizer`` and ``batch_depad``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runway.transforms.loading.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from torch import Tensor

KNOWN = ("version_name", "class_name", "tokenize_kwargs", "init_kwargs", "additional_tokens", "revision", "sha256")


def get_tokenizer(tokenizer_config: Mapping[str, Any]) -> Any:
    """The tokenizer of a ``tokenizer_config``; one of GPT-2's that has no padding token pads with its end token."""
    known = {name: value for name, value in tokenizer_config.items() if name in (*KNOWN, "from_pretrained_kwargs")}
    tokenizer = load_tokenizer(known)
    if tokenizer.pad_token is None and str(tokenizer_config.get("class_name")).startswith("GPT2"):
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def batch_depad(
    x: Tensor, attension_mask: Tensor | None = None, y: Tensor | None = None, pad_len: int = 0
) -> tuple[Tensor | None, ...]:
    """Cut a batch, padded with 0, to its longest row.

    Args:
        x: int64 [B, T], the inputs.
        attension_mask: [B, T], cut as the inputs are.
        y: int64 [B, T'], the labels, cut to their own longest row.
        pad_len: so much padding stays.

    Returns:
        (inputs, mask, labels).
    """
    longest = int((x != 0).sum(dim=-1).max()) + pad_len
    mask = None if attension_mask is None else attension_mask[:, :longest]
    labels = None if y is None else y[:, : int((y != 0).sum(dim=-1).max()) + pad_len]
    return x[:, :longest], mask, labels
