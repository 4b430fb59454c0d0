"""``--take-new``: a training goes on with the optimiser and the schedule of its new config, not of its checkpoint."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import lightning
from torch.optim.lr_scheduler import ReduceLROnPlateau

from runway.errors import ConfigError
from runway.executors.base_executor import SHARDED
from runway.log import info, warning

if TYPE_CHECKING:
    from torch.optim import Optimizer

_FLAG = "--take-new"
_PLATEAU_COUNTERS = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")


class TakeNewOptimizer(lightning.Callback):
    """Keeps from the checkpoint what the optimisers have gathered (Adam's moments); the rest is the config's.

    The learning rate is where the new schedule would be, had it been there from the first step on.

    Args:
        keeps_state: false where the optimiser is another one, which could not use it.
    """

    def __init__(self, *, keeps_state: bool = True) -> None:
        self.keeps_state = keeps_state
        self._optimizers: list[dict[str, Any]] = []
        self._schedulers: list[dict[str, Any]] = []
        self._steps, self._epochs = 0, 0

    def on_load_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take the states out before Lightning restores them."""
        if type(trainer.strategy).__name__ in SHARDED:
            raise ConfigError(f"{_FLAG} is not for a sharded strategy", where=_FLAG, hint="start a new version")
        self._optimizers, checkpoint["optimizer_states"] = checkpoint["optimizer_states"], []
        self._schedulers, checkpoint["lr_schedulers"] = checkpoint["lr_schedulers"], []
        self._steps = int(checkpoint["global_step"])
        self._epochs = int(checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Put the states in, and bring the schedules to where the training stands."""
        before = [group["lr"] for state in self._optimizers for group in state["param_groups"]]
        for index, optimizer in enumerate(trainer.optimizers):
            if index < len(self._optimizers):
                self._restore(optimizer, self._optimizers[index])
        for index, config in enumerate(trainer.lr_scheduler_configs):
            old = self._schedulers[index] if index < len(self._schedulers) else {}
            self._advance(config, old)
        now = [group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups]
        info(f"{_FLAG}: going on with lr {_shown(now)} (it was {_shown(before)})")
        self._optimizers, self._schedulers = [], []

    def _restore(self, optimizer: Optimizer, old: dict[str, Any]) -> None:
        own = optimizer.state_dict()
        sizes = [[len(group["params"]) for group in state["param_groups"]] for state in (own, old)]
        if self.keeps_state and sizes[0] == sizes[1]:
            optimizer.load_state_dict({"state": old["state"], "param_groups": own["param_groups"]})
        else:
            warning(f"{_FLAG}: the optimiser starts without what it had gathered (moments): it is another one now")

    def _advance(self, config: Any, old: dict[str, Any]) -> None:
        scheduler = config.scheduler
        if isinstance(scheduler, ReduceLROnPlateau):  # what it watched is not there to be replayed
            scheduler.load_state_dict({key: old[key] for key in _PLATEAU_COUNTERS if key in old})
            return
        passed = (self._steps if config.interval == "step" else self._epochs) // config.frequency
        counted = int(old.get("last_epoch", passed))  # at the end of an epoch it is one short, and Lightning's own
        passed = counted if abs(counted - passed) <= 1 else passed
        count = passed - scheduler.last_epoch
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a step before the optimiser's
            try:
                for _ in range(count):
                    scheduler.step()
            except ValueError as error:
                message = f"the new schedule ends before step {count}: {error}"
                raise ConfigError(message, where="train.optimizer_config.scheduler_params") from error


def _shown(rates: list[float]) -> str:
    return ", ".join(f"{rate:.6g}" for rate in dict.fromkeys(rates))
