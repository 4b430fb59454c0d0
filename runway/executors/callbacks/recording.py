"""The life of an executor's recorders: fresh before the first hook of a validation or test, finished after the last.

Lightning calls callbacks before the executor's own hooks, in which a user may log rows and statistics until the last
line. So what must come after them is put behind the executor's hooks while a Trainer runs: an executor that overrides
one of them loses nothing, whether it calls ``super()`` or not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import lightning
import torch
from lightning.fabric.utilities.data import sized_len
from lightning.pytorch.utilities.combined_loader import CombinedLoader

from runway.errors import DataError, RunwayError
from runway.executors.data_attributes import as_list
from runway.executors.drawn_rows import NotedLoader, drawn_rows
from runway.executors.eval_pipeline import check_eval_pipeline, scalar_stats
from runway.executors.failures import failed_at
from runway.executors.lightning_internals import combined_mode, logged_in_hook
from runway.executors.recorded_columns import add_columns, check_columns
from runway.executors.row_order import RowOrder
from runway.log import warning

if TYPE_CHECKING:
    from runway.executors.base_executor import BaseExecutor
    from runway.recorder import EvalRecorder

_MODES: dict[str, Any] = {"train": "max_size_cycle", "val": "sequential", "test": "sequential"}


class Recording(lightning.Callback):
    """Keeps the recorders of one executor, which adds it to each Trainer that runs it."""

    def __init__(self) -> None:
        self.order = RowOrder()
        self.is_finished = False
        """Whether the validation at hand is evaluated and saved."""
        self._batch: Any = None
        self._drawn: list[int] | None = None
        self._placed: dict[str, Any] = {}
        self.failed_at: dict[str, str] = {}
        """Where an error was raised, with the batch at hand."""

    # Standing behind the executor's hooks

    def setup(self, trainer: lightning.Trainer, pl_module: BaseExecutor, stage: str) -> None:  # type: ignore[override]
        """Put what comes after the executor's hooks behind them."""
        self._step_aside(pl_module)
        for role in _MODES:
            hook = f"{role}_dataloader"
            self._placed[hook] = partial(_noting, getattr(pl_module, hook), role, trainer, pl_module)
        behind: dict[str, Callable[..., None]] = {
            "on_validation_batch_end": partial(self._batch_is_over, trainer, pl_module),
            "on_test_batch_end": partial(self._batch_is_over, trainer, pl_module),
            "on_validation_epoch_end": partial(self.finish_validation, trainer, pl_module),
            "on_test_epoch_end": partial(self.finish_test, trainer, pl_module),
            "on_validation_end": partial(self._save_what_came_late, trainer, pl_module),
        }
        self._placed |= {name: partial(_then, getattr(pl_module, name), after) for name, after in behind.items()}
        vars(pl_module).update(self._placed)

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Step aside."""
        self._step_aside(pl_module)

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        """Remember where it was, and step aside: there will be no teardown."""
        self.failed_at = failed_at(trainer, self._batch, self._drawn)
        self._step_aside(pl_module)

    def _step_aside(self, pl_module: lightning.LightningModule) -> None:
        own = vars(pl_module)
        for name, placed in self._placed.items():
            if own.get(name) is placed:
                del own[name]
        self._placed = {}
        self._batch = self._drawn = None

    # A training

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: BaseExecutor) -> None:  # type: ignore[override]
        """Check the validation's pipeline now: after the first epoch is late for a misspelt name."""
        pipeline, where = pl_module._runway_validation_pipeline()
        if pipeline:
            config, project = pl_module.global_config, pl_module.project_dir
            check_eval_pipeline(pipeline, global_config=config, project=project, where=where)

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: BaseExecutor) -> None:  # type: ignore[override]
        """Raise where there was nothing to train on, which Lightning takes for a training.

        Raises:
            DataError: the training data gives no batch.
        """
        if trainer.num_training_batches == 0:
            raise DataError(
                "the training data gives no batch, so nothing is trained",
                where=str(pl_module.use_data_node),
                hint="it has no rows, or fewer than a batch and `drop_last`",
            )

    def on_before_optimizer_step(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Log the learning rate that this step uses."""
        lr = optimizer.param_groups[0].get("lr")
        every = getattr(trainer, "log_every_n_steps", 0)
        if lr is not None and every and (pl_module.global_step + 1) % every == 0:
            pl_module.log("lr", float(lr))

    # A validation or a test

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: BaseExecutor) -> None:  # type: ignore[override]
        """Take a fresh recorder: each validation has its own."""
        self.order, self.is_finished = RowOrder("validation"), False
        pl_module.valid_eval_recorder = pl_module._runway_new_recorder(f"validation-step{pl_module.global_step}")
        check_columns(as_list(trainer.val_dataloaders), pl_module.record_columns or ())

    def on_test_start(self, trainer: lightning.Trainer, pl_module: BaseExecutor) -> None:  # type: ignore[override]
        """Take a fresh recorder."""
        self.order, self.is_finished = RowOrder("test"), False
        pl_module.test_eval_recorder = pl_module._runway_new_recorder("test-evaluation")
        check_columns(as_list(trainer.test_dataloaders), pl_module.record_columns or ())

    def finish_validation(self, trainer: lightning.Trainer, pl_module: BaseExecutor) -> None:
        """Evaluate what was recorded, log the numbers, save one recorder; a sanity check leaves nothing."""
        if trainer.sanity_checking or self.is_finished:
            return
        self.is_finished = True
        self._add_columns(as_list(trainer.val_dataloaders), pl_module, pl_module.valid_eval_recorder)
        recorder = pl_module.valid_eval_recorder = self.order.apply(pl_module.valid_eval_recorder)

        def evaluate() -> dict[str, float]:
            numbers = pl_module.recorded_metrics("val", recorder)
            pl_module.valid_eval_recorder = pl_module._runway_evaluate(recorder)
            return numbers | scalar_stats(pl_module.valid_eval_recorder)

        self._log(trainer, pl_module, _on_rank_0(trainer, evaluate))

    def finish_test(self, trainer: lightning.Trainer, pl_module: BaseExecutor) -> None:
        """Put the recorder into the dataset's order; the experiment evaluates and saves it."""
        if self.is_finished:
            return
        self.is_finished = True
        self._add_columns(as_list(trainer.test_dataloaders), pl_module, pl_module.test_eval_recorder)
        recorder = pl_module.test_eval_recorder = self.order.apply(pl_module.test_eval_recorder)
        self._log(trainer, pl_module, _on_rank_0(trainer, partial(pl_module.recorded_metrics, "test", recorder)))

    def _add_columns(self, loaders: list[Any], pl_module: BaseExecutor, recorder: EvalRecorder) -> None:
        """Put the columns of the dataset that are asked for beside what was recorded."""
        wanted = pl_module.record_columns
        names = pl_module.usual_columns if wanted is None else wanted
        add_columns(recorder, self.order.parts, loaders, names)
        for part in self.order.parts.values():
            part.fetched = None  # other ranks need not have it

    def _log(self, trainer: lightning.Trainer, pl_module: BaseExecutor, numbers: Mapping[str, float]) -> None:
        own = logged_in_hook(trainer, "on_test_epoch_end" if trainer.testing else "on_validation_epoch_end")
        for name, value in numbers.items():
            if name not in own:  # the executor has logged its own number under that name
                pl_module.log(name, value, prog_bar=True, rank_zero_only=False)

    def _save_what_came_late(self, trainer: lightning.Trainer, pl_module: BaseExecutor) -> None:
        """Save again, where ``on_validation_end`` has logged something."""
        recorder = pl_module.valid_eval_recorder
        if trainer.is_global_zero and not trainer.sanity_checking and (len(recorder) or recorder.get_stats_logs()):
            recorder.save_changes()

    # A batch

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Know the rows of the batch."""
        self._batch_begins(as_list(trainer.train_dataloader), batch, batch_idx, None)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Forget them."""
        self._batch = self._drawn = None

    def on_validation_batch_start(  # type: ignore[override]
        self,
        trainer: lightning.Trainer,
        pl_module: BaseExecutor,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int | None = None,
    ) -> None:
        """Know the rows of the batch."""
        self._batch_begins(as_list(trainer.val_dataloaders), batch, batch_idx, dataloader_idx)
        self.order.begin(len(pl_module.valid_eval_recorder))

    def on_test_batch_start(  # type: ignore[override]
        self,
        trainer: lightning.Trainer,
        pl_module: BaseExecutor,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int | None = None,
    ) -> None:
        """Know the rows of the batch."""
        self._batch_begins(as_list(trainer.test_dataloaders), batch, batch_idx, dataloader_idx)
        self.order.begin(len(pl_module.test_eval_recorder))

    def _batch_begins(self, loaders: Sequence[Any], batch: Any, batch_idx: int, loader_idx: int | None) -> None:
        self._batch = batch
        loader = _loader_at(loaders, loader_idx)
        self._drawn = None if loader is None else drawn_rows(loader, batch_idx)

    def _batch_is_over(
        self,
        trainer: lightning.Trainer,
        pl_module: BaseExecutor,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int | None = None,
    ) -> None:
        """Remember which rows of the dataset the step has recorded."""
        loaders = as_list(trainer.test_dataloaders if trainer.testing else trainer.val_dataloaders)
        recorder = pl_module.test_eval_recorder if trainer.testing else pl_module.valid_eval_recorder
        loader = _loader_at(loaders, dataloader_idx)
        self.order.add(batch, len(recorder), dataloader_idx or 0, loader, self._drawn)
        self._batch = self._drawn = None

    @property
    def drawn(self) -> list[int] | None:
        """The rows of its dataset that the batch at hand was made of; None where it is not known."""
        return self._drawn

    def batch_size(self, name: str) -> int | None:
        """The rows of the batch at hand, by which Lightning weighs a logged value in an epoch's mean.

        Lightning takes the first size that it finds in the batch, which may be a padded length. The loader knows
        better, as long as the batch has something of that size.

        Args:
            name: what is logged, for a warning.

        Returns:
            None where it is not known; Lightning then finds a size, and warns if there are several.
        """
        if self._drawn is None:
            return None
        sizes = set(_sizes(self._batch))
        if not sizes or len(self._drawn) in sizes:
            return len(self._drawn)
        warning(
            f"{name!r} is logged without `batch_size`, and no tensor of its batches has as many entries as the loader "
            "has put rows into them: its mean over the epoch may weigh batches wrongly. Give `self.log` the number of "
            "values that the mean is over as `batch_size`",
            once=True,
        )
        return None


def with_recording(configure_callbacks: Callable[[], Any], recording: Recording) -> list[lightning.Callback]:
    """What an executor's ``configure_callbacks`` gives, and the recording."""
    given = configure_callbacks() or []
    return [recording, *(given if isinstance(given, Sequence) else [given])]


def _on_rank_0(trainer: lightning.Trainer, work: Callable[[], dict[str, float]]) -> dict[str, float]:
    """What the first rank has computed, for all; where it fails they all do, for they would wait for it."""
    result: dict[str, float] | str = {}
    error = None
    if trainer.is_global_zero:
        try:
            result = work()
        except Exception as raised:
            error, result = raised, f"{type(raised).__name__}: {raised}"
    if trainer.world_size > 1:
        result = trainer.strategy.broadcast(result, src=0)
    if error is not None:
        raise error
    if isinstance(result, str):
        raise RunwayError(f"the evaluation on the first process has failed: {result}")
    return result


def _then(hook: Callable[..., Any], after: Callable[..., None], *args: Any, **kwargs: Any) -> Any:
    """An executor's hook, and what comes after it."""
    result = hook(*args, **kwargs)
    after(*args, **kwargs)
    return result


def _noting(dataloader: Callable[[], Any], role: str, trainer: lightning.Trainer, pl_module: BaseExecutor) -> Any:
    """What an executor's ``*_dataloader`` gives, noting the rows that are drawn; a word about loaders without any."""
    loaders = dataloader()
    named = {"val": "validation", "train": "training"}.get(role, role)
    if isinstance(loaders, NotedLoader):
        loaders.name = f"the {named} data of {pl_module.use_data_node!r}"
    if loaders is None or (isinstance(loaders, CombinedLoader) and type(loaders) is not CombinedLoader):
        return loaders  # one that notes already, or does something of its own
    is_combined = isinstance(loaders, CombinedLoader)
    given, mode = (loaders.iterables, combined_mode(loaders)) if is_combined else (loaders, _MODES[role])
    noted = NotedLoader(given, mode)
    noted.name = f"the {named} data of {pl_module.use_data_node!r}"
    empty = [number for number, loader in enumerate(noted.flattened) if sized_len(loader) == 0]
    if not empty or role == "train":  # of training see on_fit_end
        return noted
    if role == "test" and len(empty) == len(noted.flattened) and trainer.world_size == 1:
        raise DataError("the test data has no rows, so there is nothing to test", where=str(pl_module.use_data_node))
    which = "" if len(noted.flattened) == 1 else f" (loader {', '.join(map(str, empty))})"
    then = "nothing is validated, and no metric of it can be monitored" if role == "val" else "nothing of it is tested"
    warning(f"the {named} data of {pl_module.use_data_node!r}{which} has no rows: {then}", once=True)
    return noted


def _loader_at(loaders: Sequence[Any], loader_idx: int | None) -> Any:
    """The loader that a batch is of; None where it is made of several loaders' batches."""
    if loader_idx is None:
        return loaders[0] if len(loaders) == 1 else None
    return loaders[loader_idx] if loader_idx < len(loaders) else None


def _sizes(batch: Any) -> Iterator[int]:
    """The first sizes of the tensors in a batch, those without dimensions left out."""
    if isinstance(batch, torch.Tensor):
        if batch.ndim:
            yield batch.size(0)
    elif isinstance(batch, Mapping):
        for value in batch.values():
            yield from _sizes(value)
    elif isinstance(batch, list | tuple):
        for value in batch:
            yield from _sizes(value)
    elif dataclasses.is_dataclass(batch):
        for item in dataclasses.fields(batch):
            yield from _sizes(getattr(batch, item.name))
