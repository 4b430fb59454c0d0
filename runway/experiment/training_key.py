"""The key of a training, as a node has one: code, settings, seed and the content of the data; what differs, in words.

Of the config all counts but what is known not to matter: an executor may read any of it, at any step, in any process,
and the key must be known before the training begins, as a sweep names its trials by it. Of the data its content counts,
not its settings; of files (weights to start from, a folder with a pretrained model) what they hold, not where they are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.assets import assets_cache, fetch, is_asset
from runway.config.overrides import format_path
from runway.config.reads import ABSENT, lookup
from runway.config.rendering import differences
from runway.config.schema import CONFIG
from runway.errors import ExperimentError
from runway.executors.base_executor import BaseExecutor
from runway.executors.precision import best_precision
from runway.experiment.checkpoint_content import weights_digest
from runway.experiment.folders.find_checkpoint import weights_file
from runway.experiment.folders.run_folder import as_json
from runway.experiment.trainer import build_trainer, quiet_lightning
from runway.masking import for_keys
from runway.pipeline.graph import Graph
from runway.pipeline.keys.code import by_owner, code_of, code_of_executor
from runway.pipeline.keys.fingerprint import combine, digest
from runway.pipeline.keys.loaded import source_of_module
from runway.pipeline.keys.origin import package_versions
from runway.pipeline.keys.tracked import path_digest

if TYPE_CHECKING:
    from runway.experiment.context import ExperimentContext
    from runway.pipeline import DataPipeline

ENCODING = "1"
"""Part of every key: raise it when keys are made differently, and no old training is taken for a new one."""

Place = tuple[str | int, ...]

_COUNTS = ("tokenizer_config", "model_config", "tasks", "train")
"""The sections of runway's own that count as they stand; the user's own count too."""
_SAME_RESULT = {
    *("enable_progress_bar", "enable_model_summary", "log_every_n_steps", "profiler"),
    *("accelerator", "devices", "num_nodes"),  # how many ranks there are counts
}
"""The arguments of the Trainer that do not count: what is shown, and where it runs."""
_LOGGED_BY_STEPS = {"train_loss", "val_loss"}
"""What the ready-made executors log themselves: it needs no evaluation pipeline."""
_MONITORS: tuple[Place, ...] = (
    ("model_checkpoint_callback_paras", "monitor"),
    ("early_stopping_callback_paras", "monitor"),
    ("optimizer_config", "scheduler_params", "monitor"),
)
VALIDATIONS = ("valid_eval_pipeline_config", "pipeline_config")
"""The pipelines that may evaluate a validation; the first that is there does."""
_NODE, _ALL_OUTPUTS = "executor.init_kwargs.use_data_node", "data_pipeline"
_MODELS: tuple[Place, ...] = (
    ("model_config", "from_pretrained_kwargs", "pretrained_model_name_or_path"),
    ("tokenizer_config", "version_name"),
)
_WEIGHTS: Place = ("train", "load_model_path")
_CONTENT = "(by its content)"
SHOWN = 60


class TrainingKey:
    """What one training's key is made of; plain data, so that it stands in the provenance and can be compared there.

    Args:
        executor: the executor's name in the config; for people.
        code: {qualified name: digest} of everything that the executor's code reaches; of runway's all in one.
        members: {class of the project: {method: digest}}; for people.
        settings: what counts of the config.
        contents: {place in the settings: [what stands there, digest of what that is]}: nodes, files, folders.
        ranks: how many processes share the training.
        use_dummy_data: whether the data is a few rows only.
        versions: {package: version} of the packages whose versions count (``meta.cache_versions``).
        packages: the top-level names of the third-party packages that the code mentions; no part of the key.
        resumed: of a training that went on under other settings: what it was before, see ``after``.
    """

    def __init__(
        self,
        *,
        executor: str,
        code: Mapping[str, str],
        members: Mapping[str, Mapping[str, str]],
        settings: Mapping[str, Any],
        contents: Mapping[str, list[str]],
        ranks: int,
        use_dummy_data: bool,
        versions: Mapping[str, str],
        packages: Iterable[str] = (),
        resumed: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        self.executor = executor
        self.code = dict(code)
        self.members = {name: dict(found) for name, found in members.items()}
        self.settings = settings
        self.contents = dict(contents)
        self.ranks = ranks
        self.use_dummy_data = use_dummy_data
        self.versions = dict(versions)
        self.packages = list(packages)
        self.resumed = [dict(part) for part in resumed]

    def key(self) -> str:
        """The key.

        Raises:
            Unfingerprintable: a setting has no stable fingerprint.
        """
        contents = {place: content for place, (_, content) in self.contents.items()}
        settings = digest(_without(self.settings, contents), "the config")
        parts = (digest(self.code), settings, digest(contents), digest([self.ranks, self.use_dummy_data]))
        key = combine("training", ENCODING, *parts, digest(self.versions))
        before = [(part["key"], part["step"]) for part in self.resumed]
        return combine("resumed", key, digest(before)) if before else key

    def plain(self) -> dict[str, Any]:
        """The key and its parts as JSON can hold them."""
        return {"key": self.key(), **as_json(vars(self))}

    def differences(self, older: Mapping[str, Any]) -> list[str]:
        """What differs from an older training, one line each.

        Args:
            older: what ``plain`` gave then.
        """
        return list(_differences(older, as_json(vars(self))))

    def after(self, older: Mapping[str, Any], step: int, take_new: Iterable[str] = ()) -> TrainingKey:
        """The key of a training that goes on from another: the same, unless something differs now.

        Under other settings than those that it began with, it is another training than one that had them from its
        first step on.

        Args:
            older: what ``plain`` gave for the training that it goes on from.
            step: after which step it goes on.
            take_new: the settings that were taken anew.
        """
        earlier = list(older["resumed"])
        changes = TrainingKey(**{**vars(self), "resumed": earlier}).differences(older)
        if changes:
            earlier += [{"key": older["key"], "step": step, "changes": changes, "take_new": list(take_new)}]
        return TrainingKey(**{**vars(self), "resumed": earlier})


def training_key(
    context: ExperimentContext, pipeline: DataPipeline | None = None, *, is_partial: bool = False
) -> TrainingKey:
    """The key of the training that an experiment would make, once the data is prepared; nothing is trained or written.

    Args:
        context: the experiment.
        pipeline: its data pipeline, where it is open already.
        is_partial: what the data is may be unknown, as it has yet to run: its content is None then.

    Raises:
        ConfigError: the config is wrong.
        ExperimentError: the data is not prepared, or what it is cannot be told.
    """
    config = context.config
    settings = _settings(context)
    parts, packages = _executor_parts(context)
    for transform in _validation_transforms(settings.get("eval") or {}):
        found = code_of(transform)
        parts |= found.parts
        packages |= found.packages
    code = by_owner(parts)
    cls = context.executor_class()
    named = sorted(packages & set(context.meta.get("cache_versions") or ()))
    pipeline = context.pipeline() if pipeline is None else pipeline
    with quiet_lightning():
        trainer = build_trainer((config.get("train") or {}).get("trainer_paras") or {}, "train.trainer_paras")
    return TrainingKey(
        executor=(config.get("executor") or {})["ExecutorClass"],
        code=code,
        members=_members(cls, code),
        settings=settings,
        contents={**_data(context, settings, pipeline, is_partial=is_partial), **_files(context, settings)},
        ranks=trainer.world_size,
        use_dummy_data=context.use_dummy_data,
        versions=package_versions(named) if named else {},
        packages=sorted(packages),
    )


def executor_code(context: ExperimentContext) -> dict[str, Any]:
    """The part of a key that is the executor's code, as a test keeps it: ``code`` and ``members``; and ``packages``."""
    parts, packages = _executor_parts(context)
    code = by_owner(parts)
    return {"code": code, "members": _members(context.executor_class(), code), "packages": sorted(packages)}


# --- what counts


def _executor_parts(context: ExperimentContext) -> tuple[dict[str, str], set[str]]:
    """The code of the executor and of the classes that it names, and the packages that this mentions."""
    cls = context.executor_class()
    executor = code_of_executor(cls)
    parts, packages = dict(executor.parts), set(executor.packages)
    for named_class in getattr(cls, "named_classes", BaseExecutor.named_classes)(context.config):
        found = code_of_executor(named_class)
        parts |= found.parts
        packages |= found.packages
    return parts, packages


def _settings(context: ExperimentContext) -> dict[str, Any]:
    """What counts of the config: the sections that the executor is made of, the seed, and the user's own."""
    config = context.config.to_dict()
    counted = {name: value for name, value in config.items() if name in _COUNTS or name not in CONFIG}
    counted["executor"] = {"init_kwargs": context.init_kwargs}
    counted["meta"] = {"seed": context.seed}
    train = counted.get("train") or {}
    paras = {name: value for name, value in (train.get("trainer_paras") or {}).items() if name not in _SAME_RESULT}
    if paras.get("precision") == "auto":  # what this machine makes of it
        paras["precision"] = best_precision(str((train.get("trainer_paras") or {}).get("accelerator", "auto")))
    counted["train"] = {**train, "trainer_paras": paras}
    monitored = {lookup(train, place) for place in _MONITORS} - {ABSENT, None, *_LOGGED_BY_STEPS}
    if monitored:  # it may be computed by the validation's evaluation, and decides which checkpoint is the best
        section = config.get("eval") or {}
        name = next((name for name in VALIDATIONS if section.get(name)), None)
        counted["eval"] = {name: section[name]} if name else {}
    return for_keys(counted)


def _validation_transforms(section: Mapping[str, Any]) -> list[type]:
    found = [Graph(pipeline, where=f"eval.{name}") for name, pipeline in section.items()]
    return [cls for graph in found for cls in dict.fromkeys(graph.classes.values())]


def _members(cls: type, code: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The methods of the project's classes above an executor, so that a change can be named."""
    import sys

    found = {}
    for base in cls.__mro__:
        name = f"{base.__module__}.{base.__qualname__}"
        module = sys.modules.get(base.__module__)
        source = source_of_module(module) if name in code and module is not None else None
        if source is not None:
            found[name] = source.members(base.__qualname__)
    return found


def _data(
    context: ExperimentContext, settings: Mapping[str, Any], pipeline: DataPipeline, *, is_partial: bool
) -> dict[str, list[Any]]:
    """The content of each node that the executor's settings, or tasks, name; of all outputs, where none feeds it."""
    sections = ("executor", "tasks")
    nodes = {format_path(place): value for name in sections for place, value in _texts(settings.get(name), (name,))}
    named = {place: name for place, name in nodes.items() if name in pipeline.graph.nodes}
    if not named.get(_NODE) and not settings.get("tasks"):
        named |= {f"{_ALL_OUTPUTS} {name}": name for name in pipeline.graph.out_ops}
    contents = pipeline.contents(dict.fromkeys(named.values()))
    unknown = [name for name, content in contents.items() if content is None]
    if unknown and not is_partial:
        raise ExperimentError(
            f"what a training would learn from is not known: {', '.join(unknown)} has yet to run, or what its code or "
            "its data is cannot be told",
            where="data_pipeline",
            hint="prepare the data first; where that does not help, `regenerate` or what the node's code holds is why",
        )
    return {place: [name, contents[name]] for place, name in named.items()}


def _files(context: ExperimentContext, settings: Mapping[str, Any]) -> dict[str, list[str]]:
    """The content of files and folders that the settings name: weights, a pretrained model, what has a ``/`` in it."""
    project, found = context.project, {}
    weights = lookup(settings, _WEIGHTS)
    if isinstance(weights, str) and weights:
        file = weights_file(weights, project, format_path(_WEIGHTS))
        found[format_path(_WEIGHTS)] = [weights, weights_digest(file)]
    for section in ("executor", "model_config", "tokenizer_config", "tasks"):
        for place, text in _texts(settings.get(section), (section,)):
            path: Path | None = None
            if is_asset(text) and place in _MODELS:
                pinned = (settings[section] or {}).get("sha256")
                path = None if pinned else fetch(text, None, assets_cache(context.config, project), project)
            elif not is_asset(text) and place != _WEIGHTS:
                path = _named_path(text, project, may_be_folder="/" in text or place in _MODELS)
            if path is not None:
                found[format_path(place)] = [text, path_digest(path)]
    return found


def _named_path(text: str, project: Path, *, may_be_folder: bool) -> Path | None:
    """The file or folder that a text names; None where it names none, or the project itself or a folder above it.

    A text may be anything, such as a long prompt, or ``/`` to split at: what the system refuses is no path.
    """
    path = os.path.join(project, os.path.expanduser(text))
    is_folder = may_be_folder and os.path.isdir(path) and not project.resolve().is_relative_to(os.path.realpath(path))
    return Path(path) if is_folder or os.path.isfile(path) else None


def _texts(value: Any, place: Place) -> Iterator[tuple[Place, str]]:
    """Every text in a value, with its place."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _texts(part, (*place, key))
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from _texts(part, (*place, index))


def _without(value: Any, contents: Iterable[str], place: Place = ()) -> Any:
    """The settings without what counts by its content."""
    if isinstance(value, Mapping):
        return {key: _without(part, contents, (*place, key)) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without(part, contents, (*place, index)) for index, part in enumerate(value)]
    return _CONTENT if isinstance(value, str) and format_path(place) in contents else value


# --- what differs


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    if old["executor"] != new["executor"]:
        yield f"executor.ExecutorClass {old['executor']} → {new['executor']}"
    settings = (_without(part["settings"], part["contents"]) for part in (old, new))
    for path, before, now in differences(*settings):
        yield _setting_differs(format_path(path), before, now)
    for place in sorted({*old["contents"], *new["contents"]}):
        before, now = old["contents"].get(place), new["contents"].get(place)
        if before is None or now is None:
            name = (before or now)[0]
            yield f"data: {name} is {'used now' if before is None else 'no longer used'}"
        elif before[1] != now[1]:
            names = before[0] if before[0] == now[0] else f"{before[0]} → {now[0]}"
            is_data = place.startswith((_ALL_OUTPUTS, "executor.", "tasks."))
            yield f"data: the content of {names}" if is_data else f"{place}: the content of {names}"
    if old["ranks"] != new["ranks"]:
        yield f"ranks {old['ranks']} → {new['ranks']}"
    if old["use_dummy_data"] != new["use_dummy_data"]:
        yield "with use_dummy_data" if new["use_dummy_data"] else "without use_dummy_data"
    yield from _code_differs(old, new)
    for package in sorted({*old["versions"], *new["versions"]}):
        before, now = old["versions"].get(package), new["versions"].get(package)
        if before != now:
            yield f"version of {package} {before} → {now}"
    if old["resumed"] != new["resumed"]:
        steps = [part["step"] for part in old["resumed"] or new["resumed"]]
        told = f"resumed under other settings after step {', '.join(map(str, steps))}"
        yield f"it was {told}" if old["resumed"] else told


def _setting_differs(name: str, before: Any, now: Any) -> str:
    if before is ABSENT:
        return f"{name} added: {_short(now)}"
    return f"{name} removed" if now is ABSENT else f"{name} {_short(before)} → {_short(now)}"


def _code_differs(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    before, now = old["code"], new["code"]
    for name in sorted(name for name in before if name in now and before[name] != now[name]):
        if name == "runway":
            yield "code: runway's own executors changed"
            continue
        members = [part["members"].get(name) or {} for part in (old, new)]
        changed = [key for key in sorted({*members[0], *members[1]}) if members[0].get(key) != members[1].get(key)]
        short = name.rpartition(".")[2]
        yield from (f"code: {short}.{key} {_verb(members, key)}" for key in changed)
        if not changed:
            yield f"code: {name} changed"
    yield from (f"code: {name} is used now" for name in sorted(now) if name not in before)
    yield from (f"code: {name} is no longer used" for name in sorted(before) if name not in now)


def _verb(members: list[Mapping[str, str]], key: str) -> str:
    return "changed" if all(key in part for part in members) else "is gone" if key in members[0] else "is new"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
