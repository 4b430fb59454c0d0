"""Losses by name: the functions of ``torch.nn.functional``, and the classes of ``torch.nn``."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)
from torch import nn

from runway.errors import must_be_known, told_as_config_error

if TYPE_CHECKING:
    from runway.executors.multi_task.tasks import Named


def known_losses() -> dict[str, Any]:
    """Every loss over outputs and targets that a config can name: ``mse_loss``, ``CrossEntropyLoss``, …"""
    functions = {name: function for name, function in vars(F).items() if name[0] != "_" and callable(function)}
    classes: dict[str, Any] = {name: cls for name, cls in vars(nn).items() if name.endswith("Loss")}
    found = {name: function for name, function in functions.items() if _compares(function, first=0)}
    return found | {name: cls for name, cls in classes.items() if _compares(cls.forward, first=1)}


def _compares(function: Callable, first: int) -> bool:
    """Whether it takes outputs and targets, and no third tensor."""
    try:
        parameters = list(inspect.signature(function).parameters.values())[first:]
    except (TypeError, ValueError):
        return False
    required = [parameter.name for parameter in parameters if parameter.default is parameter.empty]
    has_reduction = first == 1 or any(parameter.name == "reduction" for parameter in parameters)
    return has_reduction and len(required) == 2 and required[1] == "target"


class TaskLoss(nn.Module):
    """A loss that a config names.

    Args:
        named: the name and further arguments; lists become tensors (``weight`` of classes).
        where: its place in the config.

    Raises:
        ConfigError: there is no such loss, or it does not take the arguments.
    """

    def __init__(self, named: Named, where: str) -> None:
        super().__init__()
        self.named, self.where = named, where
        losses = known_losses()
        must_be_known([named.name], losses, "there is no loss", where=where, listing=12)
        self._loss = losses[named.name]
        self._arguments = dict(named.kwargs)
        accepted = [name for name in inspect.signature(self._loss).parameters if name not in ("input", "target")]
        must_be_known(self._arguments, accepted, f"the loss {named.name} has no argument", where=where, listing=20)
        self._reduction = self._arguments.pop("reduction", "mean")
        tensors = {name: value for name, value in self._arguments.items() if isinstance(value, list)}
        with told_as_config_error("a list must hold numbers", TypeError, ValueError, where=where):
            for name, value in tensors.items():
                self.register_buffer(f"argument_{name}", torch.tensor(value, dtype=torch.float32), persistent=False)

    def forward(self, outputs: torch.Tensor, target: torch.Tensor, *, by_row: bool = False) -> torch.Tensor:
        """The loss of a batch, as its ``reduction`` says; or of each row, ``[B]``.

        Raises:
            ConfigError: it does not go with the outputs and targets.
        """
        buffers = {name.removeprefix("argument_"): value for name, value in self.named_buffers()}
        arguments = {**self._arguments, **buffers, "reduction": "none" if by_row else self._reduction}
        what = f"the loss {self.named.name} does not go with outputs {tuple(outputs.shape)} {outputs.dtype} and "
        what += f"labels {tuple(target.shape)} {target.dtype}"
        kinds = (TypeError, ValueError, RuntimeError, IndexError, UserWarning)
        with told_as_config_error(what, *kinds, where=self.where), warnings.catch_warnings():
            warnings.filterwarnings("error", message="Using a target size")  # torch would broadcast one over the other
            if isinstance(self._loss, type):
                loss = self._loss(**arguments).to(outputs.device)(outputs, target)
            else:
                loss = self._loss(outputs, target, **arguments)
        return loss.flatten(1).mean(1) if by_row and loss.ndim > 1 else loss
