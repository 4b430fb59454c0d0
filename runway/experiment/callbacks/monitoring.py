"""What a training monitors: when a checkpoint is saved and which is the best, and when no more is to be gained."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from runway.errors import ConfigError, did_you_mean
from runway.executors.lightning_internals import has_validated, validation_batches
from runway.experiment.folders.file_names import CHECKPOINT_INDEX, LAST_CHECKPOINT
from runway.experiment.folders.run_folder import write_json
from runway.experiment.trainer import refusals
from runway.log import info
from runway.ranks import rank

if TYPE_CHECKING:
    import lightning

SETTING = "train.model_checkpoint_callback_paras"
STOPPING_SETTING = "train.early_stopping_callback_paras"
_PATHS = ("best_model_path", "kth_best_model_path", "last_model_path")


class RunCheckpoint(ModelCheckpoint):
    """Lightning's ModelCheckpoint, in a run folder.

    More than Lightning's: ``last.ckpt`` is the last state even where the monitored metric did not improve;
    ``checkpoints.json`` says which is best; paths are kept relative, so that a moved folder works; and where
    nobody chose a metric and ``val_loss`` is not logged, the best is the last.

    Args:
        dirpath: the run's ``saved_models``.
        monitor_is_default: nobody chose ``monitor``.
        **arguments: ModelCheckpoint's.
    """

    def __init__(self, dirpath: Path, *, monitor_is_default: bool = False, **arguments: Any) -> None:
        super().__init__(dirpath=str(dirpath), **arguments)
        self.monitor_is_default = monitor_is_default
        self._last_saved_at: tuple[int, bool] | None = None  # step, and whether its epoch was over
        self._index: dict[str, Any] | None = None

    @property
    def state_key(self) -> str:
        """One key whatever is monitored: a version has one of these."""
        return "RunCheckpoint"

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Find out now whether there will be something to choose by."""
        super().on_train_start(trainer, pl_module)
        if self.monitor and self.save_top_k and not self.monitor_is_default:
            check_validation(trainer, self.monitor, f"{SETTING}.monitor")

    def on_train_batch_end(self, trainer: lightning.Trainer, *args: Any) -> None:
        """Save where ``every_n_train_steps`` or ``train_time_interval`` say so."""
        super().on_train_batch_end(trainer, *args)
        self._write_index()

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Save after a validation inside an epoch; after one at its end, the end of the epoch saves."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        if not self._should_save_on_train_epoch_end(trainer):
            self._check_monitor(trainer)
        super().on_validation_end(trainer, pl_module)
        if not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            self.save_last_now(trainer)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Save at the end of an epoch."""
        if self._should_save_on_train_epoch_end(trainer):
            self._check_monitor(trainer)
        super().on_train_epoch_end(trainer, pl_module)
        self.save_last_now(trainer, epoch_is_over=True)

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Whatever was the reason to stop, ``last.ckpt`` is where training stopped."""
        super().on_train_end(trainer, pl_module)
        if self._last_saved_at is None or self._last_saved_at[0] != trainer.global_step:
            self.save_last_now(trainer)

    def save_last_now(
        self, trainer: lightning.Trainer, *, epoch_is_over: bool = False, whatever_the_config: bool = False
    ) -> None:
        """Write ``last.ckpt`` unless it is there for this place, or the config said ``save_last: false``."""
        if whatever_the_config:
            self.save_last = True
        if self.save_last is True and self._last_saved_at != (trainer.global_step, epoch_is_over):
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))
            self._last_saved_at = (trainer.global_step, epoch_is_over)
        self._write_index()

    def _save_last_checkpoint(self, trainer: lightning.Trainer, monitor_candidates: dict) -> None:
        if self.save_last is True:
            self.last_model_path = str(Path(str(self.dirpath)) / LAST_CHECKPOINT)  # overwrite it, also after a resume
            self._last_saved_at = (trainer.global_step, False)
        super()._save_last_checkpoint(trainer, monitor_candidates)

    def _check_monitor(self, trainer: lightning.Trainer) -> None:
        if not self.monitor or not self.save_top_k or not unlogged(trainer, self.monitor):
            return
        if not self.monitor_is_default:
            self.save_last_now(trainer, whatever_the_config=True)  # what was trained must not be lost
            raise unknown_metric(self.monitor, trainer.callback_metrics, f"{SETTING}.monitor")
        info(f"{self.monitor!r} is not logged and no other metric is monitored: the best checkpoint is the last")
        self.monitor, self.save_top_k = None, 0

    def _relative(self, path: str) -> str:
        folder = Path(str(self.dirpath))
        return Path(path).relative_to(folder).as_posix() if path and Path(path).is_relative_to(folder) else path

    def state_dict(self) -> dict[str, Any]:
        """As ModelCheckpoint's, with paths relative to the folder of the checkpoints."""
        state = super().state_dict() | {"dirpath": ""}
        state |= {key: self._relative(state[key]) for key in _PATHS}
        state["best_k_models"] = {self._relative(path): score for path, score in self.best_k_models.items()}
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the state over; the folder may have moved since."""
        folder = Path(str(self.dirpath))

        def absolute(path: str) -> str:
            return str(folder / path) if path else ""

        state = state_dict | {"dirpath": self.dirpath} | {key: absolute(state_dict[key]) for key in _PATHS}
        state["best_k_models"] = {absolute(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict(state)

    def _write_index(self) -> None:
        if rank() != 0:
            return
        score = self.best_model_score
        index = {
            "best_model_path": self._relative(self.best_model_path or self.last_model_path),
            "last_model_path": self._relative(self.last_model_path),
            "monitor": self.monitor,
            "mode": self.mode,
            "best_model_score": None if score is None else float(score),
        }
        if index != self._index and (index["best_model_path"] or self._index):
            self._index = index
            write_json(Path(str(self.dirpath)) / CHECKPOINT_INDEX, index)


def checkpoint_callback(train_config: Mapping[str, Any], saved_models: Path) -> RunCheckpoint:
    """The checkpoint callback that ``train.model_checkpoint_callback_paras`` asks for.

    Default: the best by ``val_loss`` and the last.

    Raises:
        ConfigError: an argument that ModelCheckpoint does not have, or that it refuses.
    """
    given = dict(train_config.get("model_checkpoint_callback_paras") or {})
    if "dirpath" in given:
        message = "`dirpath` is not for the config: checkpoints stand in the run's own folder"
        raise ConfigError(message, where=f"{SETTING}.dirpath", hint="set meta.EXPERIMENT_FOLDER")
    filename = Path(str(given.get("filename", "the default")))
    if not filename.parts or filename.is_absolute() or ".." in filename.parts:
        message = f"`filename` must stay in the folder of the checkpoints, but is {given['filename']!r} instead"
        raise ConfigError(message, where=f"{SETTING}.filename")
    interval = given.get("train_time_interval")
    if interval is not None:
        try:
            if isinstance(interval, bool):  # which timedelta takes for a number
                raise TypeError("true and false are no times")
            seconds = interval if isinstance(interval, Mapping) else {"seconds": interval}
            given["train_time_interval"] = timedelta(**seconds)
        except TypeError as error:
            message = f"`train_time_interval` must be seconds or {{minutes: …}}, but is {interval!r} instead"
            raise ConfigError(message, where=f"{SETTING}.train_time_interval") from error
    is_default = "monitor" not in given and given.get("save_top_k", 1) != 0
    arguments = {"save_last": True, **({"monitor": "val_loss"} if is_default else {}), **given}
    with refusals(SETTING):
        return RunCheckpoint(saved_models, monitor_is_default=is_default, **arguments)


class RunEarlyStopping(EarlyStopping):
    """Lightning's EarlyStopping, with a friendly word about a metric that is not logged."""

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Find out now whether there will be something to stop by."""
        super().on_train_start(trainer, pl_module)
        if self.strict:
            check_validation(trainer, self.monitor, f"{STOPPING_SETTING}.monitor")

    def _run_early_stopping_check(self, trainer: lightning.Trainer) -> None:
        if self.monitor in trainer.callback_metrics:
            super()._run_early_stopping_check(trainer)
        elif self.strict and unlogged(trainer, self.monitor):
            if isinstance(trainer.checkpoint_callback, RunCheckpoint):
                trainer.checkpoint_callback.save_last_now(trainer, whatever_the_config=True)
            raise unknown_metric(self.monitor, trainer.callback_metrics, f"{STOPPING_SETTING}.monitor")


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
    watched = checkpoint.monitor or "val_loss"
    arguments: dict[str, Any] = {"monitor": watched}
    if given.get("monitor", watched) == checkpoint.monitor:
        arguments["mode"] = checkpoint.mode
    if patience is not None and patience >= 0:
        arguments["patience"] = patience
    with refusals(STOPPING_SETTING):
        return [RunEarlyStopping(**(arguments | given))]


def check_validation(trainer: lightning.Trainer, monitor: str, where: str) -> None:
    """Raise before the first step, where a metric of the validation is watched and there will be no validation.

    Raises:
        ConfigError: it is.
    """
    if monitor.startswith("val") and not validation_batches(trainer):
        raise ConfigError(
            f"the metric {monitor!r} will never be logged, because there is nothing to validate on",
            where=where,
            hint="give the data a validation split (`dataset.split` in a config of runway/translation.libsonnet), or "
            "set `monitor` to null (and early stopping's, if there is one)",
        )


def unlogged(trainer: lightning.Trainer, monitor: str) -> bool:
    """Whether nothing logs a metric, though it was due: ``max_steps``, or a resume, can end an epoch unvalidated."""
    was_due = has_validated(trainer) or not validation_batches(trainer)
    return was_due and monitor not in trainer.callback_metrics


def unknown_metric(name: str, logged: Mapping[str, Any], where: str) -> ConfigError:
    """The error about a metric that is not logged, with those that are."""
    hint = did_you_mean(name, logged)
    if not hint.startswith("did you mean"):  # 'acc' for 'accuracy' is too short for difflib
        given = name.lower()
        parts = [known for known in sorted(logged) if given in known.lower() or known.lower() in given]
        if parts:
            hint = "did you mean " + " or ".join(map(repr, parts[:3])) + "?"
        elif logged:
            hint = f"logged are: {', '.join(sorted(logged))}"
        else:
            hint = "nothing is logged: a step does so with `self.log(name, value)`"
    return ConfigError(f"the metric {name!r} is not logged", where=where, hint=hint)
