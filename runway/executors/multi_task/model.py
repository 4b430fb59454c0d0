"""The model of several tasks: one encoder for all, or one each, and a head for each task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from runway.config.config import Config
from runway.config.per_task import SHARED, is_per_task
from runway.config.signatures import accepted_settings, wrong_values
from runway.errors import ConfigError, did_you_mean, must_be_known, raise_collected, told_as_config_error
from runway.executors.multi_task.encoders import FeatureEncoder, TextEncoder, feature_encoder, features_of
from runway.executors.multi_task.heads import TaskHead, unknown_settings
from runway.executors.multi_task.losses import TaskLoss
from runway.executors.multi_task.tasks import Named, Task, read_tasks
from runway.executors.pretrained import loading_a_model, resolve_source
from runway.registry import encoders, heads

if TYPE_CHECKING:
    from runway.executors.multi_task.task_data import TaskData

SECTION = "model_config"
OF_TEXTS = ("from_pretrained_kwargs", "from_config_kwargs", "sha256", "allow_random", "pooling")
OF_FEATURES = ("encoder", "encoder_kwargs")


class TaskModel(nn.Module):
    """Encoders and heads.

    Args:
        encoders: by task, or one under ``shared``.
        heads: by task.
        inputs: the names of each task's inputs.
    """

    def __init__(
        self, encoders: Mapping[str, nn.Module], heads: Mapping[str, TaskHead], inputs: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.heads = nn.ModuleDict(heads)
        self.inputs = dict(inputs)

    def encoder_of(self, task: str) -> Any:
        """The encoder that a task trains."""
        return self.encoders[SHARED if SHARED in self.encoders else task]

    def forward(self, task: str, batch: Mapping[str, Any]) -> torch.Tensor:
        """The outputs of the task's head."""
        head: Any = self.heads[task]
        return head(self.encoder_of(task)(batch, self.inputs[task]))


def build_model(
    tasks: Mapping[str, Task],
    data: Mapping[str, TaskData],
    model_config: Config,
    folders: Mapping[str, Path],
    make_room: Any,
) -> TaskModel:
    """The model that a config describes.

    Args:
        tasks: their settings.
        data: their data.
        model_config: one section, whose source is resolved, for one encoder, or (``shared: false``) one each; or a
            section for each task.
        folders: where the assets of models that are given per task are, as ``resolve_source`` takes them.
        make_room: gives a model of texts embeddings for further tokens.

    Raises:
        ConfigError: the sections name no model, or several; a key or a setting is unknown.
    """

    def encoder(name: str, section: Any, where: str) -> TextEncoder | FeatureEncoder:
        return _encoder(section, where, data[name], tasks[name], make_room)

    if is_per_task(model_config, tasks):
        must_be_known(model_config, tasks, "there is no task", where=SECTION)
        missing = [name for name in tasks if not model_config.get(name)]
        if missing:
            message = f"`{SECTION}` gives each task a model of its own, but none to {', '.join(map(repr, missing))}"
            raise ConfigError(message, where=f"{SECTION}.{missing[0]}")
        resolved = {name: resolve_source(Config(model_config[name]), **folders) for name in tasks}
        found = {name: encoder(name, resolved[name], f"{SECTION}.{name}") for name in tasks}
    elif model_config.get(SHARED, True):
        found = {SHARED: encoder(next(iter(tasks)), model_config, SECTION)}
        _check_shared_inputs(found[SHARED], tasks, data)
    else:
        found = {name: encoder(name, model_config, SECTION) for name in tasks}
    widths = {name: found[SHARED if SHARED in found else name].width for name in tasks}
    made = {name: _head(task, data[name], int(widths[name])) for name, task in tasks.items()}
    return TaskModel(found, made, {name: task.inputs for name, task in tasks.items()})


def named_classes(config: Mapping[str, Any]) -> list[type]:
    """The classes of heads and encoders that a config names, each once."""
    tasks, model_config = read_tasks(config), config.get(SECTION) or {}
    sections = model_config.values() if is_per_task(model_config, tasks) else [model_config]
    chosen = [section["encoder"] for section in sections if isinstance(section, Mapping) and section.get("encoder")]
    found = [_named_class(heads, task.head.name, f"{task.where}.head") for task in tasks.values()]
    found += [_named_class(encoders, name, f"{SECTION}.encoder") for name in chosen]
    return list(dict.fromkeys(found))


def _encoder(section: Config, where: str, data: TaskData, task: Task, make_room: Any) -> TextEncoder | FeatureEncoder:
    must_be_known(section, (*OF_TEXTS, *OF_FEATURES, SHARED), "unknown key", where=where, listing=12)
    ways = [name for name in ("from_pretrained_kwargs", "from_config_kwargs", "encoder") if section.get(name)]
    if len(ways) != 1:
        given = " and ".join(f"`{name}`" for name in ways) or "none"
        hint = (
            "`from_pretrained_kwargs` or `from_config_kwargs` for texts; `encoder` ('mlp', or your module) for numbers"
        )
        raise ConfigError(f"`{where}` must name one model, but names {given}", where=where, hint=hint)
    others = [name for name in (OF_TEXTS if ways == ["encoder"] else OF_FEATURES) if section.get(name)]
    if others:
        raise ConfigError(f"`{others[0]}` does not go with `{ways[0]}`", where=where, hint="leave one of them out")
    if ways == ["encoder"]:
        cls = _named_class(encoders, section["encoder"], f"{where}.encoder")
        return feature_encoder(cls, section.get("encoder_kwargs") or {}, data.example(), task.inputs, where)
    with loading_a_model(section):
        found = TextEncoder(section, where)
    make_room(found.net)
    return found


def _head(task: Task, data: TaskData, width: int) -> TaskHead:
    where = f"{task.where}.head"
    cls: Any = _named_class(heads, task.head.name, where)
    if not issubclass(cls, TaskHead):
        hint = "derive it from runway.executors.multi_task.heads.TaskHead"
        raise ConfigError(f"the head {cls.__name__!r} must be a TaskHead, but is not", where=where, hint=hint)
    accepted = accepted_settings(cls, "__init__")
    known = [name for name in accepted.names if name not in ("width", "data", "criterion")]
    raise_collected([*unknown_settings(cls, task.head.kwargs, known, where)])
    raise_collected([ConfigError(message, where=where) for message in wrong_values(task.head.kwargs, accepted)])
    loss = task.loss or (Named(cls.default_loss) if cls.default_loss else None)
    criterion = None if loss is None else TaskLoss(loss, f"{task.where}.loss")
    with told_as_config_error(f"the head {cls.__name__} cannot be made", TypeError, where=where):
        return cls(width=width, data=data, criterion=criterion, **task.head.kwargs)


def _named_class(registry: Any, name: str, where: str) -> type:
    try:
        return registry.get(name)
    except ConfigError as error:
        error.where = error.where or where
        error.hint = error.hint or did_you_mean(name, registry.names())
        raise


def _check_shared_inputs(encoder: nn.Module, tasks: Mapping[str, Task], data: Mapping[str, TaskData]) -> None:
    """One encoder of numbers takes as many from each task: tell it before the first batch."""
    if not isinstance(encoder, FeatureEncoder):
        return
    examples = {name: data[name].example() for name in tasks}
    widths = {
        name: features_of(example, tasks[name].inputs).shape[1]
        for name, example in examples.items()
        if example and not encoder.takes_names_of(example)
    }
    if len(set(widths.values())) > 1:
        told = ", ".join(f"{name} {width}" for name, width in widths.items())
        message = f"the tasks share an encoder, but their inputs are of different widths: {told}"
        hint = f"`{SECTION}.{SHARED}: false` gives each a model of its own; or choose `inputs` of the tasks"
        raise ConfigError(message, where=SECTION, hint=hint)
