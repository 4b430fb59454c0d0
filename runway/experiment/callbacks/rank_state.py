"""What a rank has of its own in a training: a checkpoint's weights are rank 0's, and hold none of this.

Random numbers, half an accumulated step's gradients, what was logged in the epoch so far, and buffers: each rank's
batches leave traces of their own in the statistics of a batch norm.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.parallel import DistributedDataParallel

from runway.executors import lightning_internals as internals
from runway.executors.base_executor import SHARDED
from runway.log import warning

if TYPE_CHECKING:
    import lightning

    from runway.experiment.callbacks.replay import ReplayLoader


def gather_rank_states(
    trainer: lightning.Trainer, loader: ReplayLoader, random_state: dict[str, Any], *, has_gradients: bool
) -> list[dict[str, Any]]:
    """Every rank's state, for each rank; all of them must call it.

    Args:
        trainer: whose training it is.
        loader: the training's data.
        random_state: what the loader's was when it is to go on.
        has_gradients: whether gradients wait for those of the next batch.
    """
    own: dict[str, Any] = {
        "now": random_state,
        "epoch_began": loader.epoch_began,
        "sums": _on_cpu(internals.epoch_sums(trainer)),
        "gradients": _gradients(trainer) if has_gradients else None,
    }
    if trainer.world_size == 1:
        return [own]
    own |= {"buffers": _own_buffers(trainer), "shares_buffers": None}
    if isinstance(trainer.strategy.model, DistributedDataParallel):  # not inside an accumulated step
        own["shares_buffers"] = trainer.strategy.model.require_forward_param_sync
    ranks: list[Any] = [None] * trainer.world_size
    torch.distributed.all_gather_object(ranks, own)
    return ranks


def share_buffers(trainer: lightning.Trainer) -> None:
    """Before a validation, give every rank rank 0's buffers, where DDP does so, too; all of them must call it.

    DDP itself leaves it out in the midst of an accumulated step. What is validated must be what is saved.
    """
    model = trainer.strategy.model
    if isinstance(model, DistributedDataParallel) and model.broadcast_buffers and model.modules_buffers:
        model._sync_buffers()


def restore_buffers(trainer: lightning.Trainer, own: dict[str, Any]) -> None:
    """Put back a rank's buffers, in the place of rank 0's."""
    buffers = own.get("buffers") or {}
    for name, buffer in trainer.lightning_module.named_buffers():
        if name in buffers:
            buffer.copy_(buffers[name])
    if isinstance(trainer.strategy.model, DistributedDataParallel) and own.get("shares_buffers") is not None:
        trainer.strategy.model.require_forward_param_sync = own["shares_buffers"]


def restore_inside_epoch(trainer: lightning.Trainer, own: dict[str, Any]) -> None:
    """Put back a rank's gradients and sums."""
    gradients = own["gradients"] or {}
    for name, parameter in trainer.lightning_module.named_parameters():
        if name in gradients:
            parameter.grad = gradients[name].to(device=parameter.device, dtype=parameter.dtype, copy=True)
    internals.restore_epoch_sums(trainer, own["sums"])


def _own_buffers(trainer: lightning.Trainer) -> dict[str, torch.Tensor]:
    """Those that are not as rank 0's."""
    buffers = {name: buffer.detach().cpu() for name, buffer in trainer.lightning_module.named_buffers()}
    digests = {name: _digest(buffer) for name, buffer in buffers.items()}
    first = trainer.strategy.broadcast(digests)
    return {name: buffer.clone() for name, buffer in buffers.items() if digests[name] != first.get(name)}


def _digest(buffer: torch.Tensor) -> bytes:
    values = buffer.contiguous().reshape(-1).view(torch.uint8).numpy()
    return blake2b(values.tobytes(), digest_size=16).digest()


def _gradients(trainer: lightning.Trainer) -> dict[str, torch.Tensor] | None:
    if type(trainer.strategy).__name__ in SHARDED:
        warning("half an accumulated step is saved without its gradients: this strategy keeps them in parts", once=True)
        return None
    named = trainer.lightning_module.named_parameters()
    return {name: parameter.grad.detach().cpu() for name, parameter in named if parameter.grad is not None}


def _on_cpu(sums: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Copies: the sums go on while every rank's part waits for the end of a validation."""

    def kept(value: Any) -> Any:
        return value.detach().cpu().clone() if isinstance(value, torch.Tensor) else value

    return [{name: kept(value) for name, value in one.items()} for one in sums]
