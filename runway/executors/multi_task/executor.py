"""MultiTaskExecutor: several tasks, each with its data, head, loss and metrics, trained together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from runway.config.per_task import SHARED
from runway.errors import ConfigError, DataError
from runway.executors.base_executor import SPLITS, BaseExecutor
from runway.executors.lightning_internals import attached_trainer, may_leave_parameters_unused
from runway.executors.multi_task.mixing import TaskBatches, TaskSampler, mixed_loader
from runway.executors.multi_task.model import build_model, named_classes
from runway.executors.multi_task.scores import LOSS, TASK, Scores
from runway.executors.multi_task.task_data import TaskData, task_data
from runway.executors.multi_task.tasks import data_nodes, part_names, read_tasks
from runway.executors.optimizers import check_optimizer_config
from runway.log import info, warning
from runway.registry import register_executor

if TYPE_CHECKING:
    import lightning
    from torch.utils.data import DataLoader

    from runway.config.config import Config
    from runway.executors.multi_task.heads import TaskHead
    from runway.recorder import EvalRecorder


@register_executor
class MultiTaskExecutor(BaseExecutor):
    """Train the tasks that the config names under ``tasks``, with one encoder for all or a model each.

    A training batch is ``{task: [batch, …]}``: of one task (``train.mixing.batches: 'alternating'``) or of several
    (``'mixed'``). A step goes back once, over the sum of its tasks' losses, each times its weight (``combine_losses``).
    Each row of a validation or a test is recorded with its ``task``, its ``loss`` and its head's columns. Logged:
    ``train_loss`` and, of each epoch, ``train_TASK_loss``; of a validation ``val_loss`` (the weighted sum),
    ``val_TASK_loss``, ``val_TASK_METRIC``, and over the tasks ``val_mean_loss``, ``val_mean_METRIC``; the same of a
    test with ``test``.

    Args:
        *args: BaseExecutor's.
        **kwargs: BaseExecutor's; ``use_data_node`` is none of them, as each task names its own ``data_node``.
    """

    takes_tasks = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("use_data_node"):
            hint = "write `tasks: { NAME: { data_node: … } }`"
            raise ConfigError(
                "each task names its own data node", where="executor.init_kwargs.use_data_node", hint=hint
            )
        super().__init__(*args, **kwargs)
        self.use_data_node = ", ".join(self.data_nodes(self.global_config))  # as messages name the data
        if self.mode == "train":
            check_optimizer_config(self.train_config.get("optimizer_config"), self.part_names(self.global_config))
        if self.train_config.get("use_lora"):  # peft freezes what it is not told to keep, and heads start at random
            for parameter in self.model.heads.parameters():
                parameter.requires_grad_(True)

    def _init_model(self, model_config: Config) -> None:
        """Read the tasks, look at their data, and make encoders and heads for them."""
        self.tasks = read_tasks(self.global_config)
        self._runway_data: dict[str, TaskData] = {}
        data = {name: self.data_of(name) for name in self.tasks}
        self.model = build_model(
            self.tasks, data, model_config, self._runway_asset_folders(), self.make_room_for_tokens
        )
        project = self.project_dir
        self.scores = Scores(self.tasks, self.heads, global_config=self.global_config, project=project)
        self.scores.check()
        self._runway_evaluated: dict[str, list[str]] = {}
        self._runway_mixed: DataLoader | None = None

    @property
    def heads(self) -> Mapping[str, TaskHead]:
        """The tasks' heads."""
        return cast("Mapping[str, TaskHead]", self.model.heads)

    # Data

    @classmethod
    def data_nodes(cls, config: Mapping[str, Any]) -> list[str]:
        """The nodes of all tasks."""
        return data_nodes(config)

    @classmethod
    def named_classes(cls, config: Mapping[str, Any]) -> list[type]:
        """The heads and encoders, and what every executor names."""
        return [*super().named_classes(config), *named_classes(config)]

    def prepare_data(self) -> None:
        """Run what must run for the tasks' nodes; Lightning calls this in one process per machine."""
        if self.dp is not None:
            self.dp.prepare(self.data_nodes(self.global_config), run_uncached=False)

    def data_of(self, name: str) -> TaskData:
        """The loaders of a task, made once."""
        if name not in self._runway_data:
            task = self.tasks[name]
            if self.dp is None:
                raise ConfigError("the config has no data pipeline", where="data_pipeline")
            data = self.dp.get_data([task.data_node], explode=True)
            self._runway_data[name] = task_data(task, data, global_config=self.global_config, project=self.project_dir)
        return self._runway_data[name]

    def setup(self, stage: str) -> None:
        """A step need not have a batch of every task, and then leaves parameters unused."""
        super().setup(stage)
        if stage == "fit" and len(self.tasks) > 1:
            may_leave_parameters_unused(self.trainer)

    def train_dataloader(self) -> Any:
        """One loader, whose batches are of the tasks in turn as ``train.mixing`` says."""
        loader = self._runway_train_loader()
        sampler = cast("TaskSampler", loader.sampler)
        sizes = {name: len(batches) for name, batches in sampler.tasks.items()}
        told = [
            f"{name} {count} ({count / sizes[name]:.3g} of its {sizes[name]})"
            for name, count in sampler.counts().items()
        ]
        info(f"an epoch is {len(sampler)} steps; batches of each task: {', '.join(told)}")
        return loader

    def _runway_train_loader(self) -> DataLoader:
        if self._runway_mixed is not None:
            return self._runway_mixed
        batches = {}
        seed = int((self.global_config.get("meta") or {}).get("seed") or 0)
        for place, (name, task) in enumerate(self.tasks.items()):
            loaders = self.data_of(name).loaders["train"]
            if not loaders:
                message = f"the task {name!r} has no training data: its node gives no 'train' split or loader"
                raise DataError(message, where=f"{task.where} ({task.data_node})")
            batches[name] = TaskBatches(loaders[0], seed + place, f"{task.where} ({task.data_node})")
        mixing = self.train_config.get("mixing") or {}
        sampler = TaskSampler(batches, seed=seed, **mixing)
        self._runway_mixed = mixed_loader(sampler, self.train_config.get("dataloader_workers") or 0)
        return self._runway_mixed

    def val_dataloader(self) -> Any:
        """The tasks' validation loaders, one after the other."""
        return self._runway_evaluation_loaders("val")

    def test_dataloader(self) -> Any:
        """The tasks' test loaders, one after the other."""
        loaders = self._runway_evaluation_loaders("test")
        if not loaders:
            raise DataError(
                "no task has test data: their nodes give no 'test' split or loader", where=self.use_data_node
            )
        return loaders

    def dataloaders(self) -> Mapping[str, Any]:
        """The tasks' loaders: a training's is the one of all tasks."""
        return {
            "train_dataloaders": [self._runway_train_loader()],
            "val_dataloaders": self._runway_evaluation_loaders("val"),
            "test_dataloaders": self._runway_evaluation_loaders("test"),
        }

    def _runway_evaluation_loaders(self, role: str) -> list[Any]:
        found = [(name, loader) for name in self.tasks for loader in self.data_of(name).loaders[role]]
        found = [(name, loader) for name, loader in found if not _is_empty(loader)]
        self._runway_evaluated[role] = [name for name, _ in found]
        for name, task in self.tasks.items():
            if found and name not in self._runway_evaluated[role]:
                what = {"val": "validation"}.get(role, role)
                warning(
                    f"the task {name!r} has no {what} rows ({task.data_node}): it is in no {what} metric", once=True
                )
        return [loader for _, loader in found]

    # One batch

    def forward(self, batch: Mapping[str, Any], task: str | None = None) -> torch.Tensor:
        """The outputs of a task's head; the task may be left out where there is one."""
        if task is None and len(self.tasks) > 1:
            raise ValueError(f"which task? One of {', '.join(self.tasks)}")
        return self.model(task or next(iter(self.tasks)), batch)

    def training_step(self, batch: Mapping[str, list[Any]], batch_idx: int) -> torch.Tensor:
        """The weighted sum of the losses of the tasks in the batch."""
        losses, rows = {}, {}
        for name, parts in batch.items():
            sizes = [len(part["labels"]) if "labels" in part else _rows_of(part) for part in parts]
            rows[name] = sum(sizes)
            weighted = [
                self.heads[name].loss(self(part, name), part) * (size / rows[name])
                for part, size in zip(parts, sizes, strict=True)
            ]
            losses[name] = torch.stack(weighted).sum()
            # Of the epoch only: in a step without the task Lightning would log its value of an earlier step again.
            self.log(f"train_{name}_loss", losses[name], on_step=False, on_epoch=True, batch_size=rows[name])
        self.step_losses = losses
        total = self.combine_losses(losses)
        number = sum(rows.values())
        self.log("train_loss", total, prog_bar=True, on_step=True, on_epoch=True, batch_size=number)
        return total

    def combine_losses(self, losses: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """One loss out of those of the tasks in a step: their sum, each times its weight. Override it for another."""
        return torch.stack([self.tasks[name].weight * loss for name, loss in losses.items()]).sum()

    def validation_step(self, batch: Mapping[str, Any], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Predict, and record every row with its task and its loss."""
        self._runway_evaluate_batch(batch, self._runway_evaluated["val"][dataloader_idx], self.valid_eval_recorder)

    def test_step(self, batch: Mapping[str, Any], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Predict, and record every row with its task and its loss."""
        self._runway_evaluate_batch(batch, self._runway_evaluated["test"][dataloader_idx], self.test_eval_recorder)

    def _runway_evaluate_batch(self, batch: Mapping[str, Any], name: str, recorder: EvalRecorder) -> None:
        outputs = self(batch, name)
        losses = self.heads[name].loss(outputs, batch, by_row=True).tolist()
        columns = self.heads[name].columns(outputs, batch)
        recorder.log_sample_dict_batch({TASK: [name] * len(losses), **columns, LOSS: losses})

    def recorded_metrics(self, prefix: str, recorder: EvalRecorder) -> dict[str, float]:
        """Losses and metrics of each task over its own rows, and their means over the tasks."""
        return self.scores.of(recorder, prefix)

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Check the batch while it is still on the CPU: on a GPU a bad label ends in a device assert."""
        trainer = attached_trainer(self)
        stage = getattr(trainer.state.stage, "value", "") if trainer else ""
        split = SPLITS.get(stage, "")
        parts: list[tuple[str, Any]] = []
        if split == "train":
            parts = [(name, part) for name, of_task in batch.items() for part in of_task]
        elif split:
            parts = [(self._runway_evaluated["test" if split == "test" else "val"][dataloader_idx], batch)]
        for name, part in parts:
            where = f"the {split} split of the task {name!r} ({self.tasks[name].data_node})"
            if "labels" not in part:
                hint = f"name their column: `{self.tasks[name].where}.label_column`"
                raise DataError(
                    f"the batches have no 'labels' (they have: {', '.join(map(str, part))})", where=where, hint=hint
                )
            self.heads[name].check(part, where)
            self.model.encoder_of(name).check(part, where)
        return batch

    # Optimisation

    @classmethod
    def part_names(cls, config: Mapping[str, Any]) -> list[str]:
        """``shared``, where the tasks share an encoder, and the tasks."""
        return part_names(config)

    def parameter_parts(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """The shared encoder's parameters, and each task's own."""
        parts = {name: [*self.heads[name].parameters()] for name in self.tasks}
        if SHARED in self.model.encoders:
            return {SHARED: [*self.model.encoders[SHARED].parameters()], **parts}
        return {name: [*self.model.encoders[name].parameters(), *own] for name, own in parts.items()}

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Log the learning rate of each part, where they differ."""
        rates = {group["name"]: float(group["lr"]) for group in optimizer.param_groups if "name" in group}
        trainer: lightning.Trainer = self.trainer
        every = getattr(trainer, "log_every_n_steps", 0)
        if len(set(rates.values())) > 1 and every and (self.global_step + 1) % every == 0:
            self.log_dict({f"lr_{name}": rate for name, rate in rates.items()})


def _is_empty(loader: Any) -> bool:
    try:
        return len(loader) == 0
    except TypeError:  # a stream does not know
        return False


def _rows_of(batch: Mapping[str, Any]) -> int:
    return next((len(value) for value in batch.values() if isinstance(value, torch.Tensor) and value.ndim), 1)
