"""Cross-entropy over tokens: only where there is one, with label smoothing, and its gradient in the same pass."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)
from torch import nn

IGNORE_INDEX = -100


class PackedHead:
    """Lets a model's output layer see only the positions that count.

    A batch of targets is padded; the layer over the vocabulary is a third of a small translation model's work,
    and at a padded position all of it is waste. It works on any architecture whose ``get_output_embeddings`` is a
    linear layer that is called on hidden states ``[B, T, D]``; the others compute all positions.

    Args:
        model: a transformers model.
    """

    def __init__(self, model: Any) -> None:
        self.positions: torch.Tensor | None = None
        head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
        if isinstance(head, nn.Linear):
            head.register_forward_pre_hook(self._select)

    def _select(self, head: nn.Module, arguments: tuple) -> tuple | None:
        if self.positions is None:
            return None
        hidden = arguments[0]  # [B, T, D]
        if hidden.ndim != 3:
            return None
        return (hidden.flatten(0, 1).index_select(0, self.positions), *arguments[1:])  # [N, D]

    def logits(self, model: nn.Module, positions: torch.Tensor, **inputs: Any) -> torch.Tensor:
        """The model's logits ``[N, V]`` at ``positions`` of the flattened ``[B * T]``."""
        self.positions = positions
        try:
            logits = model(**inputs).logits
        finally:
            self.positions = None
        return logits if logits.ndim == 2 else logits.flatten(0, 1).index_select(0, positions)


def rounded(positions: torch.Tensor, multiple: int = 64) -> torch.Tensor:
    """The positions, with the first repeated until there are a multiple: ``[N] → [M]``.

    A CPU's kernels for half precision are compiled anew for every shape, and the number of target tokens is another
    in each batch; rounded, few shapes come back again and again. What is added has no target.
    """
    missing = -len(positions) % multiple
    return torch.cat([positions, positions[:1].expand(missing)]) if missing and len(positions) else positions


def token_losses(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The cross-entropy of each token, in nats and at least fp32: ``[M, V], [N] → [N]``; further rows do not count."""
    return F.cross_entropy(logits[: len(targets)].to(_precise(logits)), targets, reduction="none")


def smoothed_cross_entropy(logits: torch.Tensor, targets: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
    """The mean over tokens of ``(1 - s) · -log p(target) + s · mean over the vocabulary of -log p``.

    It is ``F.cross_entropy(…, label_smoothing=s)`` in half as many passes over ``[N, V]``. Of no tokens it is 0, and so
    are its gradients.

    Args:
        logits: ``[M, V]``, any floating type.
        targets: ``[N]``, N at most M; rows beyond have no part in the loss.
        smoothing: the part ``s`` of the target's probability that is spread over the vocabulary (Szegedy et al.
            2016, section 7).
    """
    if not len(targets):
        return logits[:0].sum().to(_precise(logits))
    return _SmoothedCrossEntropy.apply(logits, targets, smoothing)


def _precise(logits: torch.Tensor) -> torch.dtype:
    return torch.promote_types(logits.dtype, torch.float32)


class _SmoothedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, targets: torch.Tensor, smoothing: float) -> torch.Tensor:
        count, vocabulary = len(targets), logits.shape[1]
        every = F.log_softmax(logits, dim=-1, dtype=_precise(logits))  # [M, V]
        log_probs = every[:count]
        at_target = log_probs.gather(1, targets[:, None]).sum()
        loss = -(1 - smoothing) * at_target / count
        if smoothing:
            loss = loss - smoothing * log_probs.sum() / (count * vocabulary)
        if ctx.needs_input_grad[0]:  # softmax - smoothed target, made where the log-probabilities were
            gradient = log_probs.exp_().mul_(1 / count)
            if smoothing:
                gradient.sub_(smoothing / vocabulary / count)
            peak = torch.full_like(targets[:, None], 1, dtype=every.dtype).mul_(-(1 - smoothing) / count)
            gradient.scatter_add_(1, targets[:, None], peak)
            every[count:].zero_()
            ctx.save_for_backward(every)
            ctx.dtype = logits.dtype
        return loss

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient.mul_(grad_outputs[0]).to(ctx.dtype), None, None  # in place: 30 MB that nobody else needs
