"""When a checkpoint is saved, and which is the best."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch.callbacks import ModelCheckpoint

from runway.errors import ConfigError
from runway.experiment.callbacks.monitor import check_validation, unknown_metric, validation_was_due
from runway.experiment.folders.file_names import CHECKPOINT_INDEX, LAST_CHECKPOINT
from runway.experiment.folders.run_folder import write_json
from runway.experiment.trainer import refusals
from runway.log import info
from runway.ranks import rank

if TYPE_CHECKING:
    import lightning

SETTING = "train.model_checkpoint_callback_paras"
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
        if (
            not self.monitor
            or not self.save_top_k
            or self.monitor in trainer.callback_metrics
            or not validation_was_due(trainer)
        ):
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
        raise ConfigError(
            "`dirpath` is not for the config: checkpoints stand in the run's own folder",
            where=f"{SETTING}.dirpath",
            hint="set meta.EXPERIMENT_FOLDER",
        )
    filename = Path(str(given.get("filename", "the default")))
    if not filename.parts or filename.is_absolute() or ".." in filename.parts:
        raise ConfigError(
            f"`filename` must stay in the folder of the checkpoints, but is {given['filename']!r} instead",
            where=f"{SETTING}.filename",
        )
    if given.get("train_time_interval") is not None:
        given["train_time_interval"] = _interval(given["train_time_interval"])
    is_default = "monitor" not in given and given.get("save_top_k", 1) != 0
    arguments = {"save_last": True, **({"monitor": "val_loss"} if is_default else {}), **given}
    with refusals(SETTING):
        return RunCheckpoint(saved_models, monitor_is_default=is_default, **arguments)


def _interval(value: Any) -> timedelta:
    """Of a number of seconds, or of timedelta's arguments, such as ``{minutes: 30}``."""
    try:
        return timedelta(**value) if isinstance(value, Mapping) else timedelta(seconds=value)
    except TypeError as error:
        raise ConfigError(
            f"`train_time_interval` must be seconds or {{minutes: …}}, but is {value!r} instead",
            where=f"{SETTING}.train_time_interval",
        ) from error
