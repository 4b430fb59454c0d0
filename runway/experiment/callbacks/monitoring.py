"""The checkpoints of a training: when one is saved, what its score is, and which is the best."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.combined_loader import CombinedLoader
from lightning.pytorch.utilities.model_helpers import is_overridden

from runway.disk import replacing
from runway.errors import ConfigError, must_be
from runway.executors.base_executor import SHARDED, BaseExecutor
from runway.executors.lightning_internals import (
    changed_checkpoints,
    dump_checkpoint,
    epoch_names,
    validates_next,
    validation_names,
)
from runway.experiment.callbacks.monitored_metric import best_mode, check_monitored, unknown_metric, unlogged
from runway.experiment.folders.file_names import CHECKPOINT_INDEX, CONFIG, LAST_CHECKPOINT
from runway.experiment.folders.run_folder import LONGEST_NAME, write_json
from runway.experiment.readable import Readable, write_and_read_back
from runway.experiment.trainer import refusals
from runway.log import info, warning
from runway.ranks import rank

if TYPE_CHECKING:
    import lightning

SETTING = "train.model_checkpoint_callback_paras"
CONFIG_KEY = "config_file"
_IS_DUE_KEY = "is_due_at_validation"
_VALIDATION_KEY = "runway_last_validation"  # whose scores may be of earlier weights by now
_PATHS = ("best_model_path", "kth_best_model_path", "last_model_path")


class RunCheckpoint(ModelCheckpoint):
    """Lightning's ModelCheckpoint, in a run folder.

    More than Lightning's:

    - ``last.ckpt`` is the last state even where the monitored metric did not improve, and is written before a
      validation, too: what is evaluated there may raise.
    - A checkpoint is scored by the weights that it holds: one that is due between two validations is written as
      ``last.ckpt``, and competes to be the best after the next validation.
    - Scores belong to a metric and a mode; those of another one end when a training goes on.
    - The first one is written and read back before the first step, and none holds what cannot be read.
    - ``checkpoints.json`` says which is best; paths are kept relative, so that a moved folder works; and where
      nobody chose a metric and ``val_loss`` is not logged, the best is the last.

    Args:
        dirpath: the run's ``saved_models``.
        monitor_is_default: nobody chose ``monitor``.
        mode_is_inferred: the metric's name says which value is the best.
        config_file: the name of the file that holds the config of this training.
        after_save: called when a checkpoint has been written.
        **arguments: ModelCheckpoint's.
    """

    def __init__(
        self,
        dirpath: Path,
        *,
        monitor_is_default: bool = False,
        mode_is_inferred: bool = False,
        config_file: str = CONFIG,
        after_save: Callable[[], None] | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(dirpath=str(dirpath), **arguments)
        self.after_save = after_save
        self.monitor_is_default = monitor_is_default
        self.mode_is_inferred = mode_is_inferred
        self.config_file = config_file
        self._last_saved_at: tuple[int, bool] | None = None  # step, and whether its epoch was over
        self._index: dict[str, Any] | None = None
        self._readable = Readable()
        self._seen_in_sanity_check: set[str] = set()
        self._validated_at: int | None = None  # the step of the last validation
        self._names_of_validation: set[str] = set()
        self._epoch_is_over = False

    @property
    def state_key(self) -> str:
        """One key whatever is monitored: a version has one of these."""
        return "RunCheckpoint"

    # Before the first step

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """With several validation loaders, have a batch of each tried: only then it is known how metrics are named."""
        super().on_fit_start(trainer, pl_module)
        if self.monitor and not trainer.num_sanity_val_steps and isinstance(pl_module, BaseExecutor):
            loaders = pl_module.val_dataloader()
            if isinstance(loaders, CombinedLoader) and len(loaders.flattened) > 1:
                trainer.num_sanity_val_steps = 1

    def on_sanity_check_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Remember which metrics there are."""
        self._seen_in_sanity_check = validation_names(trainer)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Find out now whether there will be something to choose by, and whether what is saved can be read."""
        super().on_train_start(trainer, pl_module)
        if self.monitor and self.save_top_k:
            seen, chosen = self._seen_in_sanity_check, not self.monitor_is_default
            check_monitored(trainer, self.monitor, f"{SETTING}.monitor", seen, chosen=chosen)
            if self.mode_is_inferred and self.mode == "max":  # which is not Lightning's default
                info(f"the best checkpoint is the one with the highest {self.monitor!r} (mode: 'max')")
        if not _is_sharded(trainer):
            self._try_out(trainer)

    def _try_out(self, trainer: lightning.Trainer) -> None:
        try:
            content = dump_checkpoint(trainer, weights_only=self.save_weights_only)
        except Exception as error:  # a hook that needs what only a step makes
            hint = "if it does so again after the first steps, nothing will be saved"
            warning(f"on_save_checkpoint cannot be tried before the first step: {error!r}; {hint}")
            return
        self._readable.check(content)
        if trainer.is_global_zero:
            write_and_read_back(content, Path(str(self.dirpath)))

    # While it trains

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *args: Any) -> None:
        """Save where ``every_n_train_steps`` or ``train_time_interval`` say so."""
        waiting, self._defer_save_until_validation = self._defer_save_until_validation, False
        super().on_train_batch_end(trainer, pl_module, *args)
        is_due_but_unscored = self._defer_save_until_validation
        self._defer_save_until_validation |= waiting
        if is_due_but_unscored and not self._users_code_is_next(trainer):
            self.save_last_now(trainer)
        self._write_index()

    def _users_code_is_next(self, trainer: lightning.Trainer) -> bool:
        """Whether a validation, or the executor's own end of an epoch, follows the batch just done."""
        ends = trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        return validates_next(trainer) or (ends and is_overridden("on_train_epoch_end", trainer.lightning_module))

    def save_ahead(self, trainer: lightning.Trainer) -> None:
        """Write ``last.ckpt`` before what may raise; it is no checkpoint of this step, which is not over."""
        if self.save_last is True and self._users_code_is_next(trainer):
            saved = self._last_global_step_saved
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))
            self._last_global_step_saved, self._last_saved_at = saved, None
            self._write_index()

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Save after a validation inside an epoch; after one at its end, the end of the epoch saves."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        self._validated_at = trainer.global_step
        self._names_of_validation = validation_names(trainer)
        if not self._should_save_on_train_epoch_end(trainer):
            self._check_monitor(trainer)
        super().on_validation_end(trainer, pl_module)
        if not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            self.save_last_now(trainer)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Save at the end of an epoch."""
        self._epoch_is_over = True
        try:
            if self._should_save_on_train_epoch_end(trainer):
                self._check_monitor(trainer)
                super().on_train_epoch_end(trainer, pl_module)
                self._save_deferred(trainer)
            self.save_last_now(trainer, epoch_is_over=True)
        finally:
            self._epoch_is_over = False

    def _save_deferred(self, trainer: lightning.Trainer) -> None:
        """What ``on_validation_end`` of Lightning's does only where it saves."""
        candidates = self._monitor_candidates(trainer)
        if self._defer_save_until_validation and self.monitor in candidates:
            self._defer_save_until_validation = False
            self._save_topk_checkpoint(trainer, candidates)

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Whatever was the reason to stop, ``last.ckpt`` is where training stopped."""
        super().on_train_end(trainer, pl_module)
        if self._last_saved_at is None or self._last_saved_at[0] != trainer.global_step:
            self.save_last_now(trainer)

    def _monitor_candidates(self, trainer: lightning.Trainer) -> dict[str, torch.Tensor]:
        """The metrics of the weights as they are: one of earlier weights is no score, and NaN in a file's name."""
        candidates = super()._monitor_candidates(trainer)
        outdated = set() if self._validated_at == trainer.global_step else set(self._names_of_validation)
        if not self._epoch_is_over:
            outdated |= epoch_names(trainer) - self._names_of_validation
        for name in outdated & candidates.keys():
            candidates[name] = torch.tensor(math.nan)
        if self.monitor in outdated:
            candidates.pop(self.monitor, None)
        return candidates

    def _save_topk_checkpoint(self, trainer: lightning.Trainer, monitor_candidates: dict[str, torch.Tensor]) -> None:
        if self.monitor and self.monitor not in monitor_candidates and self.monitor in trainer.callback_metrics:
            self._defer_save_until_validation = True  # there is only a score of earlier weights
            return
        score = monitor_candidates.get(self.monitor) if self.monitor else None
        if score is not None and not score.isfinite().all():  # Lightning takes -inf for the best, with `min`
            if self.save_top_k != -1:
                warning(f"{self.monitor} is {float(score)} at step {trainer.global_step}: it cannot be the best")
                return
            worst = math.inf if self.mode == "min" else -math.inf
            monitor_candidates = {**monitor_candidates, str(self.monitor): torch.full_like(score, worst)}
        super()._save_topk_checkpoint(trainer, monitor_candidates)

    def _save_checkpoint(self, trainer: lightning.Trainer, filepath: str) -> None:
        if _is_sharded(trainer):
            self._save_shards(trainer, filepath)
        else:
            with changed_checkpoints(trainer, self._readable.keep_readable):
                super()._save_checkpoint(trainer, filepath)
        if self.after_save is not None:
            self.after_save()

    def _save_shards(self, trainer: lightning.Trainer, filepath: str) -> None:
        """Have all processes write into a folder beside, which takes the checkpoint's place when all are done."""
        with replacing(filepath) if trainer.is_global_zero else nullcontext() as beside:
            super()._save_checkpoint(trainer, trainer.strategy.broadcast(str(beside)))
            trainer.strategy.barrier()
        self._last_checkpoint_saved = filepath

    def save_last_now(
        self, trainer: lightning.Trainer, *, epoch_is_over: bool = False, whatever_the_config: bool = False
    ) -> None:
        """Write ``last.ckpt`` unless it is there for this place, or the config said ``save_last: false``."""
        if whatever_the_config:
            self.save_last, self._last_saved_at = True, None  # inside a step, more may be done than was saved of it
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
        state = super().state_dict() | {"dirpath": "", "mode": self.mode, CONFIG_KEY: self.config_file}
        state |= {key: self._relative(state[key]) for key in _PATHS}
        state[_IS_DUE_KEY] = self._defer_save_until_validation
        state[_VALIDATION_KEY] = {"step": self._validated_at, "names": sorted(self._names_of_validation)}
        state["best_k_models"] = {self._relative(path): score for path, score in self.best_k_models.items()}
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the state over; the folder may have moved since. Scores of another metric or mode are not taken."""
        folder = Path(str(self.dirpath))

        def absolute(path: str) -> str:
            return str(folder / path) if path else ""

        self._defer_save_until_validation = state_dict.get(_IS_DUE_KEY, False)
        validation = state_dict.get(_VALIDATION_KEY) or {"step": None, "names": []}
        self._validated_at, self._names_of_validation = validation["step"], set(validation["names"])
        scored_by = (state_dict["monitor"], state_dict.get("mode", self.mode))
        if scored_by != (self.monitor, self.mode):
            self.last_model_path = absolute(state_dict["last_model_path"])
            if state_dict["best_model_path"] and scored_by[0] and self.monitor:
                was, now = (f"{monitor!r} (mode: {mode})" for monitor, mode in (scored_by, (self.monitor, self.mode)))
                what = f"the best by {was} so far, {state_dict['best_model_path']}, stays but no longer counts"
                warning(f"--resume: {what}: from here on the best is the best by {now}")
            return
        state = state_dict | {"dirpath": self.dirpath} | {key: absolute(state_dict[key]) for key in _PATHS}
        scores = {absolute(path): score for path, score in state_dict["best_k_models"].items()}
        if 0 < self.save_top_k < len(scores):  # it was larger before
            ranked = sorted(scores, key=lambda path: float(scores[path]), reverse=self.mode == "max")
            scores = {path: scores[path] for path in ranked[: self.save_top_k]}
            state |= {"kth_best_model_path": ranked[self.save_top_k - 1]}
            state |= {"kth_value": scores[state["kth_best_model_path"]]}
        state["best_k_models"] = scores
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


def _is_sharded(trainer: lightning.Trainer) -> bool:
    """Whether a checkpoint is written by a strategy in its own form, and to look into it gathers all weights."""
    return type(trainer.strategy).__name__ in SHARDED


def checkpoint_callback(
    train_config: Mapping[str, Any],
    saved_models: Path,
    *,
    config_file: str = CONFIG,
    after_save: Callable[[], None] | None = None,
) -> RunCheckpoint:
    """The checkpoint callback that ``train.model_checkpoint_callback_paras`` asks for.

    Default: the best by ``val_loss`` and the last.

    Args:
        train_config: the config's ``train`` section.
        saved_models: the folder of the checkpoints.
        config_file: the name of the file that holds the config of this training.
        after_save: called when a checkpoint has been written.

    Raises:
        ConfigError: an argument that ModelCheckpoint does not have, or that it refuses; or it is not known which of
            the metric's values is the best.
    """
    given = dict(train_config.get("model_checkpoint_callback_paras") or {})
    if "dirpath" in given:
        message = "`dirpath` is not for the config: checkpoints stand in the run's own folder"
        raise ConfigError(message, where=f"{SETTING}.dirpath", hint="set meta.EXPERIMENT_FOLDER")
    filename = Path(str(given.get("filename", "the default")))
    must_be(
        all(len(part.encode(errors="replace")) <= LONGEST_NAME for part in filename.parts),
        "filename",
        f"a name of at most {LONGEST_NAME} bytes",
        str(filename),
        where=f"{SETTING}.filename",
    )
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
    is_inferred = isinstance(arguments.get("monitor"), str) and given.get("mode") is None
    if isinstance(arguments.get("monitor"), str):
        arguments["mode"] = best_mode(arguments["monitor"], given.get("mode"), SETTING)
    own: dict[str, Any] = {"monitor_is_default": is_default, "mode_is_inferred": is_inferred}
    with refusals(SETTING):
        return RunCheckpoint(saved_models, **own, config_file=config_file, after_save=after_save, **arguments)
