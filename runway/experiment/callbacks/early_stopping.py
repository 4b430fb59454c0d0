"""When a training stops early: the metric that it watches gets no better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lightning.pytorch.callbacks import EarlyStopping

from runway.executors.lightning_internals import validation_names
from runway.experiment.callbacks.monitored_metric import best_mode, check_monitored, unknown_metric, unlogged
from runway.experiment.callbacks.monitoring import RunCheckpoint
from runway.experiment.trainer import refusals

if TYPE_CHECKING:
    import lightning

SETTING = "train.early_stopping_callback_paras"


class RunEarlyStopping(EarlyStopping):
    """Lightning's EarlyStopping, with a friendly word about a metric that is not logged."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._seen_in_sanity_check: set[str] = set()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the state over; ``patience`` is the config's."""
        super().load_state_dict(state_dict | {"patience": self.patience, "stopped_epoch": 0})

    def on_sanity_check_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Remember which metrics there are."""
        self._seen_in_sanity_check = validation_names(trainer)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Find out now whether there will be something to stop by."""
        super().on_train_start(trainer, pl_module)
        if self.strict:
            check_monitored(trainer, self.monitor, f"{SETTING}.monitor", self._seen_in_sanity_check)

    def _run_early_stopping_check(self, trainer: lightning.Trainer) -> None:
        if self.monitor in trainer.callback_metrics:
            super()._run_early_stopping_check(trainer)
        elif self.strict and unlogged(trainer, self.monitor):
            if isinstance(trainer.checkpoint_callback, RunCheckpoint):
                trainer.checkpoint_callback.save_last_now(trainer, whatever_the_config=True)
            raise unknown_metric(self.monitor, trainer.callback_metrics, f"{SETTING}.monitor")


def early_stopping_callbacks(train_config: Mapping[str, Any], checkpoint: RunCheckpoint) -> list[EarlyStopping]:
    """The early stopping that the config asks for: one callback, or none.

    It watches what the checkpoint callback watches, where ``monitor`` is not given.

    Args:
        train_config: the config's ``train`` section: ``early_stopping_callback_paras``, ``early_stop_patience``.
        checkpoint: the run's checkpoint callback.

    Raises:
        ConfigError: an argument that EarlyStopping does not have, or that it refuses.
    """
    given = dict(train_config.get("early_stopping_callback_paras") or {})
    patience = train_config.get("early_stop_patience")
    if not given and (not patience or patience < 0):
        return []
    if "monitor" in given and given["monitor"] is None:  # nothing to watch, as for the checkpoints
        return []
    watched = given.get("monitor", checkpoint.monitor or "val_loss")
    arguments: dict[str, Any] = {"monitor": watched}
    if watched == checkpoint.monitor and "mode" not in given:
        arguments["mode"] = checkpoint.mode
    elif isinstance(watched, str):
        arguments["mode"] = best_mode(watched, given.get("mode"), SETTING)
    if patience is not None and patience >= 0:
        arguments["patience"] = patience
    with refusals(SETTING):
        return [RunEarlyStopping(**(arguments | given))]
