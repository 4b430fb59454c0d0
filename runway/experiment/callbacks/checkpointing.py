"""The callbacks that every training has: checkpoints and early stopping."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from runway.errors import ConfigError, did_you_mean
from runway.executors.lightning_internals import has_validated, validation_batches
from runway.experiment.folders.checkpoints import INDEX_FILE, LAST
from runway.experiment.folders.run_folder import write_json
from runway.experiment.trainer import accepted_arguments, check_arguments
from runway.log import info

CHECKPOINT_PLACE = "train.model_checkpoint_callback_paras"
STOPPING_PLACE = "train.early_stopping_callback_paras"
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
        self._place_of_last: tuple[int, bool] | None = None  # step, and whether its epoch was over
        self._index: dict[str, Any] | None = None

    @property
    def state_key(self) -> str:
        """One key whatever is monitored: a version has one of these."""
        return "RunCheckpoint"

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Find out now whether there will be something to choose by."""
        super().on_train_start(trainer, pl_module)
        if self.monitor and self.save_top_k and not self.monitor_is_default:
            _check_validation(trainer, self.monitor, f"{CHECKPOINT_PLACE}.monitor")

    def on_train_batch_end(self, trainer: lightning.Trainer, *args: Any) -> None:
        """Save where ``every_n_train_steps`` or ``train_time_interval`` say so."""
        super().on_train_batch_end(trainer, *args)
        self._write_index(trainer)

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
        if self._place_of_last is None or self._place_of_last[0] != trainer.global_step:
            self.save_last_now(trainer)

    def save_last_now(
        self, trainer: lightning.Trainer, *, epoch_is_over: bool = False, whatever_the_config: bool = False
    ) -> None:
        """Write ``last.ckpt`` unless it is there for this place, or the config said ``save_last: false``."""
        if whatever_the_config:
            self.save_last = True
        if self.save_last is True and self._place_of_last != (trainer.global_step, epoch_is_over):
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))
            self._place_of_last = (trainer.global_step, epoch_is_over)
        self._write_index(trainer)

    def _save_last_checkpoint(self, trainer: lightning.Trainer, monitor_candidates: dict) -> None:
        if self.save_last is True:
            self.last_model_path = str(Path(str(self.dirpath)) / LAST)  # overwrite it, also after a resume
            self._place_of_last = (trainer.global_step, False)
        super()._save_last_checkpoint(trainer, monitor_candidates)

    def _check_monitor(self, trainer: lightning.Trainer) -> None:
        if not self.monitor or not self.save_top_k or self.monitor in trainer.callback_metrics or not _was_due(trainer):
            return
        if not self.monitor_is_default:
            self.save_last_now(trainer, whatever_the_config=True)  # what was trained must not be lost
            raise _unknown_metric(self.monitor, trainer.callback_metrics, f"{CHECKPOINT_PLACE}.monitor")
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

    def _write_index(self, trainer: lightning.Trainer) -> None:
        if not trainer.is_global_zero:
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
            write_json(Path(str(self.dirpath)) / INDEX_FILE, index)


class FirstStep(lightning.Callback):
    """Calls a function once the training has made its first optimiser step.

    Args:
        function: what to call; it may be called again.
    """

    def __init__(self, function: Callable[[], None]) -> None:
        self.function: Callable[[], None] | None = function

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Call it, where this is the first step."""
        if self.function is not None and trainer.global_step:
            self.function()
            self.function = None


class RunEarlyStopping(EarlyStopping):
    """Lightning's EarlyStopping, with a friendly word about a metric that is not logged."""

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Find out now whether there will be something to stop by."""
        super().on_train_start(trainer, pl_module)
        if self.strict:
            _check_validation(trainer, self.monitor, f"{STOPPING_PLACE}.monitor")

    def _run_early_stopping_check(self, trainer: lightning.Trainer) -> None:
        if self.monitor in trainer.callback_metrics:
            super()._run_early_stopping_check(trainer)
        elif self.strict and _was_due(trainer):
            if isinstance(trainer.checkpoint_callback, RunCheckpoint):
                trainer.checkpoint_callback.save_last_now(trainer, whatever_the_config=True)
            raise _unknown_metric(self.monitor, trainer.callback_metrics, f"{STOPPING_PLACE}.monitor")


def _was_due(trainer: lightning.Trainer) -> bool:
    """Whether a validation has been: ``max_steps``, or a resume, can end an epoch without one."""
    return has_validated(trainer) or not validation_batches(trainer)


def _check_validation(trainer: lightning.Trainer, monitor: str, where: str) -> None:
    """Raise before the first step, where a metric of the validation is watched and there will be no validation."""
    if monitor.startswith("val") and not validation_batches(trainer):
        raise ConfigError(
            f"the metric {monitor!r} will never be logged, because there is nothing to validate on",
            where=where,
            hint="give the data a validation split (`dataset.split` in a config of runway/translation.libsonnet), or "
            "set `monitor` to null (and early stopping's, if there is one)",
        )


def _unknown_metric(name: str, logged: Mapping[str, Any], where: str) -> ConfigError:
    hint = did_you_mean(name, logged)
    if not hint.startswith("did you mean"):  # 'acc' for 'accuracy' is too short for difflib
        parts = [known for known in sorted(logged) if _contains(known, name) or _contains(name, known)]
        if parts:
            hint = "did you mean " + " or ".join(map(repr, parts[:3])) + "?"
        elif logged:
            hint = f"logged are: {', '.join(sorted(logged))}"
        else:
            hint = "nothing is logged: a step does so with `self.log(name, value)`"
    return ConfigError(f"the metric {name!r} is not logged", where=where, hint=hint)


def _contains(whole: str, part: str) -> bool:
    return part.lower() in whole.lower()


def checkpoint_callback(train_config: Mapping[str, Any], saved_models: Path) -> RunCheckpoint:
    """The checkpoint callback that ``train.model_checkpoint_callback_paras`` asks for.

    Default: the best by ``val_loss`` and the last.

    Raises:
        ConfigError: an argument that ModelCheckpoint does not have, or that it refuses.
    """
    given = dict(train_config.get("model_checkpoint_callback_paras") or {})
    check_arguments(given, accepted_arguments(ModelCheckpoint), CHECKPOINT_PLACE)
    if "dirpath" in given:
        raise ConfigError(
            "`dirpath` is not for the config: checkpoints stand in the run's own folder",
            where=f"{CHECKPOINT_PLACE}.dirpath",
            hint="set meta.EXPERIMENT_FOLDER",
        )
    if given.get("filename") is not None and not _stays_inside(str(given["filename"])):
        raise ConfigError(
            f"`filename` must stay in the folder of the checkpoints, but is {given['filename']!r} instead",
            where=f"{CHECKPOINT_PLACE}.filename",
        )
    if given.get("train_time_interval") is not None:
        given["train_time_interval"] = _interval(given["train_time_interval"])
    is_default = "monitor" not in given and given.get("save_top_k", 1) != 0
    arguments = {"save_last": True, **({"monitor": "val_loss"} if is_default else {}), **given}
    try:
        return RunCheckpoint(saved_models, monitor_is_default=is_default, **arguments)
    except (TypeError, ValueError) as error:  # Lightning's MisconfigurationException is neither on every version
        raise ConfigError(str(error), where=CHECKPOINT_PLACE) from error
    except Exception as error:
        if type(error).__name__ != "MisconfigurationException":
            raise
        raise ConfigError(" ".join(str(error).split()), where=CHECKPOINT_PLACE) from error


def _stays_inside(filename: str) -> bool:
    return bool(filename) and not Path(filename).is_absolute() and ".." not in Path(filename).parts


def _interval(value: Any) -> timedelta:
    if isinstance(value, Mapping):  # {minutes: 30}
        try:
            return timedelta(**value)
        except TypeError as error:
            raise ConfigError(str(error), where=f"{CHECKPOINT_PLACE}.train_time_interval") from error
    if isinstance(value, int | float) and not isinstance(value, bool):
        return timedelta(seconds=value)
    raise ConfigError(
        f"`train_time_interval` must be seconds or {{minutes: …}}, but is {value!r} instead",
        where=f"{CHECKPOINT_PLACE}.train_time_interval",
    )


def early_stopping_callback(
    train_config: Mapping[str, Any], checkpoint: ModelCheckpoint | None
) -> EarlyStopping | None:
    """The early stopping that the config asks for, or None.

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
        return None
    check_arguments(given, accepted_arguments(EarlyStopping), STOPPING_PLACE)
    if "monitor" in given and given["monitor"] is None:  # nothing to watch, as for the checkpoints
        return None
    watched = checkpoint.monitor if checkpoint and checkpoint.monitor else "val_loss"
    arguments: dict[str, Any] = {"monitor": watched}
    if checkpoint and given.get("monitor", watched) == checkpoint.monitor:
        arguments["mode"] = checkpoint.mode
    if patience is not None and patience >= 0:
        arguments["patience"] = patience
    try:
        return RunEarlyStopping(**(arguments | given))
    except Exception as error:
        if not isinstance(error, TypeError | ValueError) and type(error).__name__ != "MisconfigurationException":
            raise
        raise ConfigError(" ".join(str(error).split()), where=STOPPING_PLACE) from error
