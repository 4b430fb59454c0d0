"""The config's ``tasks``, read: what each is, with every setting that is given once or per task in its place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from runway.config.per_task import RESERVED, SHARED, for_each, is_per_task, tasks_of
from runway.errors import ConfigError, did_you_mean, must_be, must_be_known

BATCH_SIZE = 32
SECTION = "tasks"


@dataclass(frozen=True)
class Named:
    """Something that a config names, with arguments: a head, a loss."""

    name: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """One task.

    Attributes:
        name: its key in the config's ``tasks``.
        data_node: the node that gives its splits or its dataloaders.
        inputs: the columns that the encoder gets; None leaves it to the encoder.
        label_column: the column of what is to be predicted.
        head: which head, and its settings.
        loss: which loss, and its arguments; None is the head's own.
        metrics: as ``ComputeMetrics`` takes them; None are the head's own.
        weight: of its loss in the sum.
        batch_sizes: rows of a batch, by role.
    """

    name: str
    data_node: str
    inputs: tuple[str, ...] | None = None
    label_column: str = "label"
    head: Named = field(default_factory=lambda: Named("classification"))
    loss: Named | None = None
    metrics: list[Any] | None = None
    weight: float = 1.0
    batch_sizes: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(("train", "val", "test"), BATCH_SIZE))

    @property
    def where(self) -> str:
        """Its place in the config, for errors."""
        return f"{SECTION}.{self.name}"


def read_tasks(config: Mapping[str, Any]) -> dict[str, Task]:
    """Every task of a config.

    Raises:
        ConfigError: there is none, one has no data node or a name that it may not have, or a setting is given twice.
    """
    names = tasks_of(config)
    if not names:
        hint = f"{SECTION}: {{ reviews: {{ data_node: 'output:Reviews' }}, … }}"
        raise ConfigError("MultiTaskExecutor has no task: the config names none", where=SECTION, hint=hint)
    for name in names:
        _check_name(name)
    train, test = config.get("train") or {}, config.get("test") or {}
    losses = for_each(train.get("loss"), names, where="train.loss")
    weights = for_each(train.get("weight"), names, where="train.weight")
    sizes = for_each(train.get("batch_size"), names, BATCH_SIZE, where="train.batch_size")
    test_sizes = for_each(test.get("batch_size"), names, where="test.batch_size")
    found = {}
    for name in names:
        section, where = config[SECTION][name] or {}, f"{SECTION}.{name}"
        if not section.get("data_node"):
            hint = "name the node that gives its splits or its dataloaders: `data_node: 'output:…'`"
            raise ConfigError(f"the task {name!r} has no data node", where=where, hint=hint)
        loss = _once(section.get("loss"), losses[name], name, "loss")
        weight = _once(section.get("weight"), weights[name], name, "weight")
        inputs, metrics = section.get("inputs"), section.get("metrics")
        found[name] = Task(
            name=name,
            data_node=section["data_node"],
            inputs=None if inputs is None else ((inputs,) if isinstance(inputs, str) else tuple(inputs)),
            label_column=section.get("label_column") or "label",
            head=_named(section.get("head") or "classification", f"{where}.head", any_key=True),
            loss=None if loss is None else _named(loss, f"{where}.loss", others=names),
            metrics=None if metrics is None else [metrics] if isinstance(metrics, str) else list(metrics),
            weight=1.0 if weight is None else float(weight),
            batch_sizes={"train": sizes[name], **dict.fromkeys(("val", "test"), test_sizes[name] or sizes[name])},
        )
    if not any(task.weight for task in found.values()):
        hint = "a task of weight 0 is scored, and not trained: give one at least another"
        raise ConfigError("every task has the weight 0: nothing would be trained", where=SECTION, hint=hint)
    return found


def data_nodes(config: Mapping[str, Any]) -> list[str]:
    """The nodes of all tasks, each once.

    Raises:
        ConfigError: a task names none, or one that the pipeline does not have.
    """
    nodes = (config.get("data_pipeline") or {}).get("transforms") or {}
    for task in read_tasks(config).values():
        where = f"{task.where}.data_node"
        must_be_known([task.data_node], nodes, "the data pipeline has no node", where=where, listing=12)
    return list(dict.fromkeys(task.data_node for task in read_tasks(config).values()))


def shares_encoder(config: Mapping[str, Any]) -> bool:
    """Whether all tasks train one encoder: ``model_config`` is given once, and does not say ``shared: false``."""
    model_config = config.get("model_config") or {}
    return not is_per_task(model_config, tasks_of(config)) and bool(model_config.get(SHARED, True))


def part_names(config: Mapping[str, Any]) -> list[str]:
    """The parts of the model that may have optimiser settings of their own."""
    return [*([SHARED] if shares_encoder(config) else []), *tasks_of(config)]


def _check_name(name: str) -> None:
    where = f"{SECTION}.{name}"
    hint = "metrics and parts of the model are called by it: letters, digits and underscores, such as `task_1`"
    fits = re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) is not None
    must_be(fits, "the name of a task", "a word", name, where=where, hint=hint)
    if name in RESERVED or hasattr(nn.ModuleDict, name):
        raise ConfigError(f"a task cannot be called {name!r}: that name means something else", where=where, hint=hint)


def _once(own: Any, shared: Any, name: str, setting: str) -> Any:
    if own is not None and shared is not None:
        message = f"the {setting} of the task {name!r} is given twice: in `train.{setting}` and in `{SECTION}.{name}`"
        raise ConfigError(message, where=f"{SECTION}.{name}.{setting}", hint="leave one of them out")
    return shared if own is None else own


def _named(given: Any, where: str, *, any_key: bool = False, others: list[str] | None = None) -> Named:
    """``name``, or ``{name: …, kwargs: {…}}``; with ``any_key`` the arguments stand beside the name."""
    if isinstance(given, str):
        return Named(given)
    if not any_key:
        must_be_known(given, ("name", "kwargs", *(others or ())), "unknown key", where=where)
    if not isinstance(given.get("name"), str):
        hint = did_you_mean("name", [key for key in given if key != "kwargs"], listing=0) or None
        raise ConfigError("`name` is missing", where=where, hint=hint)
    kwargs = {key: value for key, value in given.items() if key != "name"} if any_key else given.get("kwargs") or {}
    return Named(given["name"], kwargs)
