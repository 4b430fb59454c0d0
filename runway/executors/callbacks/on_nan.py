"""What a training does where its loss or its gradients are no numbers: stop, leave the step out, or go on.

The look is taken between the backward pass and the optimiser, when the gradients are those of all ranks. So weights and
the optimiser's state are as before the step, and all ranks decide alike.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning
import torch

from runway.errors import ConfigError, RunwayError
from runway.executors.callbacks.saved_batch import row_indexes, save_batch, shown_rows
from runway.executors.precision import scales_gradients
from runway.log import shown, warning

STOP, SKIP, WARN = "stop", "skip", "warn"
MOST_IN_A_ROW = 10
"""Steps that are left out one after the other before the training is taken to be lost."""
LAG = 2
"""Steps that a GPU is ahead of the look at their verdict, so that it never waits for one."""
SETTING = "train.on_nan"


class NonFiniteLossError(RunwayError):
    """The training's loss or gradients became NaN or infinite.

    Attributes:
        step: the first optimiser step where they were: so many came before it.
        batch_file: the saved batch; None where another process has it, or it could not be written.
    """

    title = "Training stopped"
    exit_code = 1
    step = -1
    batch_file: Path | None = None


@dataclass
class _Batch:
    """One batch, and where in the training it was."""

    batch: Any
    batch_idx: int
    epoch: int
    step: int
    loss: torch.Tensor
    losses: Mapping[str, torch.Tensor]
    drawn: list[int] | None

    @property
    def where(self) -> str:
        return f"epoch {self.epoch}, batch {self.batch_idx}, optimiser step {self.step}"


@dataclass
class _Verdicts:
    """Numbers on their way from the device, and what they are about; on a CPU they are there at once."""

    waiting: deque[tuple[torch.Tensor, Any, _Batch]] = field(default_factory=deque)

    def put(self, numbers: torch.Tensor, about: _Batch) -> None:
        event = None
        if numbers.device.type != "cpu":  # copied in the order of the work given: to look later stops nothing
            on_host = torch.empty(numbers.shape, dtype=numbers.dtype, pin_memory=True)
            on_host.copy_(numbers, non_blocking=True)
            event = torch.Event(numbers.device)
            event.record()
            numbers = on_host
        self.waiting.append((numbers, event, about))

    def arrived(self, *, wait: bool = False) -> Iterator[tuple[list[float], _Batch]]:
        """Those of earlier steps; all of them, where it may wait."""
        while self.waiting and (wait or self.waiting[0][1] is None or len(self.waiting) > LAG):
            numbers, event, about = self.waiting.popleft()
            if event is not None:
                event.synchronize()
            yield numbers.tolist(), about


class OnNaN(lightning.Callback):
    """Looks at each optimiser step's losses and gradients before it is made; saves the first bad batch for inspection.

    A GPU is not made to wait: its verdict is read two steps later, and before a checkpoint is written. A fused
    optimiser leaves the step out by itself; for another, ``skip`` waits for the verdict of each step. In fp16, where
    gradients overflow until the loss's scale fits, only losses are looked at.

    Args:
        then: ``stop`` raises NonFiniteLossError; ``skip`` leaves the step out (with all batches that were accumulated
            for it, on all ranks) and raises after ``MOST_IN_A_ROW``; ``warn`` goes on.
    """

    def __init__(self, then: str = STOP) -> None:
        self.then = then
        self.count = 0
        """Steps whose loss or gradients were no numbers."""
        self.in_a_row = 0
        self._begin()

    def _begin(self) -> None:
        self._at: tuple[Any, int] = (None, -1)
        self._bad: torch.Tensor | None = None  # 1 where a loss since the last step was bad
        self._last: _Batch | None = None
        self._batches, self._steps = _Verdicts(), _Verdicts()
        self._suspects: dict[int, _Batch] = {}  # the first bad batch of a step

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Begin, unless steps cannot be left out here.

        Raises:
            ConfigError: ``skip`` with manual optimisation, or with a strategy that shards the optimiser.
        """
        from runway.executors.base_executor import SHARDED

        self._begin()
        self._is_sharded = type(trainer.strategy).__name__ in SHARDED
        why = None
        if not pl_module.automatic_optimization:
            why = f"{type(pl_module).__name__} optimises manually, so only it knows what belongs to a step"
        elif self._is_sharded:
            why = f"the strategy {type(trainer.strategy).__name__} keeps the gradients to itself"
        if why and self.then == SKIP:
            raise ConfigError(f"no step can be left out: {why}", where=SETTING, hint=f"set {SETTING} to stop or warn")

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Know the batch."""
        self._at = (batch, batch_idx)

    def on_before_backward(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, loss: torch.Tensor
    ) -> None:
        """Look at the loss of one batch."""
        loss = loss.detach()
        bad = (~loss.isfinite()).any().float()
        self._bad = bad if self._bad is None else torch.maximum(self._bad, bad)
        losses = {name: part.detach() for name, part in (getattr(pl_module, "step_losses", None) or {}).items()}
        drawn = getattr(getattr(pl_module, "_runway_recording", None), "drawn", None)
        place = (trainer.current_epoch, trainer.global_step)
        self._last = _Batch(*self._at, *place, loss * trainer.accumulate_grad_batches, losses, drawn)
        self._batches.put(bad, self._last)
        self._note_suspects()

    def _note_suspects(self, *, wait: bool = False) -> None:
        for bad, about in self._batches.arrived(wait=wait):
            if bad:
                self._suspects.setdefault(about.step, about)

    def on_before_optimizer_step(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Look at all that belongs to the step, over all ranks, and decide."""
        if self._bad is None or self._last is None:
            return  # no loss: nothing was given back
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        is_scaled = scales_gradients(trainer)
        bad_gradient = torch.zeros_like(self._bad)
        if gradients and not is_scaled and not self._is_sharded:
            norm = torch.nn.utils.get_total_norm(gradients, foreach=None)
            bad_gradient = (~norm.isfinite()).float().to(self._bad.device)
        flags = torch.stack([self._bad * (trainer.global_rank + 1), bad_gradient])  # 0, or whose loss; the gradients
        flags = torch.as_tensor(trainer.strategy.reduce(flags, reduce_op="max"))
        on_device = flags.device.type != "cpu"
        is_fused = all(group.get("fused") for group in optimizer.param_groups)
        if on_device and is_fused and not is_scaled and self.then != WARN:
            optimizer.found_inf = flags.amax().clamp(max=1.0)  # type: ignore[attr-defined]  # as a GradScaler gives it
        self._steps.put(flags, self._last)
        self._bad = self._last = None
        wait = self.then == SKIP and (is_scaled or not is_fused)
        is_bad = self._judge(trainer, pl_module, wait=wait)
        if is_bad and self.then == SKIP and (wait or not on_device):
            for parameter in parameters:
                if is_fused and is_scaled:  # the scaler has not looked at them yet
                    parameter.grad = None if parameter.grad is None else torch.full_like(parameter.grad, math.inf)
                else:
                    parameter.grad = None  # an optimiser leaves such a parameter, and its state, alone

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """No checkpoint of weights whose verdict is not known: a bad one must not take a good one's place."""
        self._judge(trainer, pl_module, wait=True)

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Tell how many steps there were."""
        self._judge(trainer, pl_module, wait=True)
        if self.count and trainer.is_global_zero:
            what = "were left out" if self.then == SKIP else "had a loss or gradients that are no numbers"
            warning(f"{SETTING}={self.then}: {self.count} of {trainer.global_step} optimiser steps {what}")

    def state_dict(self) -> dict[str, Any]:
        """The counts, for a resume."""
        return {} if self.then == STOP else {"count": self.count, "in_a_row": self.in_a_row}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the counts over."""
        self.count, self.in_a_row = state_dict.get("count", 0), state_dict.get("in_a_row", 0)

    def _judge(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *, wait: bool) -> bool:
        """Act on the verdicts that are there; gives whether the latest of them was bad."""
        is_bad = False
        for (of_rank, bad_gradient), about in self._steps.arrived(wait=wait):
            is_bad = bool(of_rank or bad_gradient)
            if not is_bad:
                self.in_a_row = 0
                continue
            self._note_suspects(wait=True)
            self.count, self.in_a_row = self.count + 1, self.in_a_row + 1
            is_lost = self.then == SKIP and self.in_a_row >= MOST_IN_A_ROW
            suspect = self._suspects.pop(about.step, about if not of_rank else None)
            if self.then == STOP or is_lost:
                raise self._error(trainer, pl_module, suspect, about, int(of_rank) - 1, is_lost)
            if self.count == 1:
                error = self._error(trainer, pl_module, suspect, about, int(of_rank) - 1, is_lost)
                done = "the step is left out" if self.then == SKIP else "the training goes on with it"
                warning(f"{error.message}; {done} ({SETTING}={self.then}), and so are later ones ({error.where})")
        return is_bad

    def _error(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        suspect: _Batch | None,
        about: _Batch,
        of_rank: int,
        is_lost: bool,
    ) -> NonFiniteLossError:
        """What to say, with the batch saved; ``suspect`` is None on the ranks whose batch was good."""
        found = suspect or about
        folder, several = Path(trainer.default_root_dir), trainer.world_size > 1
        written = None
        if suspect is None:
            file = folder / _file_name(found.step, of_rank)
            what = f"the training loss of rank {of_rank} is no finite number; the batch is saved in {shown(file)}"
        else:
            numbers = {name: float(value.float().mean()) for name, value in found.losses.items()}
            loss = float(found.loss.float().mean())
            what = f"the training loss is {loss}"
            if of_rank < 0:
                what = f"the gradients are not finite, though the training loss is a number ({loss:.4g})"
            bad = [f"{name} {value}" for name, value in numbers.items() if not math.isfinite(value)]
            what += f" ({', '.join(bad)})" if bad else ""
            rows = row_indexes(found.batch) or ({} if found.drawn is None else {"index": found.drawn})
            facts: dict[str, Any] = {
                "epoch": found.epoch,
                "batch_idx": found.batch_idx,
                "step": found.step,
                "loss": loss,
            }
            facts |= {"losses": numbers, "rows": rows, "data": getattr(pl_module, "use_data_node", None)}
            file = folder / _file_name(found.step, trainer.global_rank if several else None)
            written, told = save_batch(found.batch, file, facts)
            what += f"{shown_rows(rows)}; {told}"
        if several:
            trainer.strategy.barrier()  # the first rank that ends ends the others, who may be writing
        if is_lost:
            what = f"{self.in_a_row} optimiser steps in a row were left out: {what}"
        look = f"look at it: python -c \"import torch; print(torch.load('{shown(file)}', weights_only=True))\"; "
        error = NonFiniteLossError(
            what,
            where=found.where,
            hint=(look if written or suspect is None else "")
            + "lower `train.optimizer_config.optimizer_params.lr`, add warm-up, set "
            "`train.trainer_paras.gradient_clip_val=1.0`, or train with `train.trainer_paras.precision=32-true`; "
            f"`{SETTING}=skip` leaves such steps out, and `warn` goes on regardless",
        )
        error.step, error.batch_file = found.step, written
        return error


def _file_name(step: int, rank: int | None) -> str:
    return f"nan_batch-step{step}" + ("" if rank is None else f"-rank{rank}") + ".pt"
