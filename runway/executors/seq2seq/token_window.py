"""Weighs every target token of an optimiser step alike, however many micro-batches and ranks share them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from runway.executors.lightning_internals import accumulates
from runway.executors.precision import scales_gradients

if TYPE_CHECKING:
    import lightning

Count = torch.Tensor | float  # on several ranks a tensor on their device, so that no step waits for it


class TokenWindow:
    """The trained tokens of one optimiser step: of its micro-batches, and of all ranks.

    Lightning divides each micro-batch's loss by ``accumulate_grad_batches``, and DDP takes the mean over ranks. Over
    means, that weighs a token of a short batch more, and an epoch's last, incomplete window less. So each micro-batch
    gives its sum of losses over a number that all share, by its ``share``; when the window is complete, one factor over
    the gradients makes of it the mean over all tokens. The number is the tokens of the window's first micro-batch (the
    mean of all ranks): with one micro-batch the factor is 1, on one rank so is the share, and neither costs anything.

    Args:
        trainer: whose micro-batches and ranks they are.
        state: what ``state`` was when half a window was saved with its gradients.
    """

    def __init__(self, trainer: lightning.Trainer, state: Mapping[str, float] | None = None) -> None:
        self.trainer = trainer
        self._restored = state
        self._first: Count | None = None  # of the open window's first micro-batch; the mean of ranks, as all
        self._total: Count = 0
        self._has_own = False  # whether this rank has had a token in the window

    def share(self, tokens: int, batch_idx: int) -> Count:
        """By what the mean loss of a micro-batch is multiplied.

        Args:
            tokens: how many the mean is over.
            batch_idx: of this epoch.
        """
        count = self._mean_of_ranks(tokens)
        state, self._restored = self._restored, None
        if state and any(parameter.grad is not None for parameter in self.trainer.lightning_module.parameters()):
            self._first, self._total = state["first"], state["total"]
        if self._first is None or batch_idx % self.trainer.accumulate_grad_batches == 0:  # Lightning's new window
            self._first, self._total, self._has_own = count, 0, False
        self._total = self._total + count
        self._has_own |= tokens > 0
        return tokens / _not_zero(self._first)

    def complete(self) -> None:
        """After a micro-batch's backward pass: where it was the window's last, put the gradients right.

        In a window without any token there is nothing to learn, and the optimiser must not move by its momentum alone:
        its gradients become None.
        """
        if self._first is None or accumulates(self.trainer):  # a loss that is not of `share`, or more to come
            return
        first, self._first = self._first, None
        parameters = self.trainer.lightning_module.parameters()
        gradients = {parameter: parameter.grad for parameter in parameters if parameter.grad is not None}
        if not self._has_own and not float(self._total) and not scales_gradients(self.trainer):
            # Not where a GradScaler is: it wants something to look at.
            for parameter in gradients:
                parameter.grad = None
            return
        each = self.trainer.accumulate_grad_batches
        if each > 1:  # with one, the shares are right as they are
            factor = each * float(_not_zero(first) / _not_zero(self._total))
            torch._foreach_mul_([*gradients.values()], factor)

    @property
    def state(self) -> dict[str, float] | None:
        """What goes into a checkpoint, the same on all ranks; None between windows."""
        return None if self._first is None else {"first": float(self._first), "total": float(self._total)}

    def _mean_of_ranks(self, tokens: int) -> Count:
        if self.trainer.world_size == 1:
            return tokens
        device = self.trainer.strategy.root_device
        dtype = torch.float32 if device.type == "mps" else torch.float64
        total = self.trainer.strategy.reduce(torch.tensor(tokens, dtype=dtype, device=device), reduce_op="sum")
        assert isinstance(total, torch.Tensor)
        return total / self.trainer.world_size


def _not_zero(count: Count) -> Count:
    return torch.where(count > 0, count, 1) if isinstance(count, torch.Tensor) else count or 1
