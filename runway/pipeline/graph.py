"""The DAG as the config wires it: nodes, edges, and everything that can be checked before anything runs."""

from __future__ import annotations

import graphlib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from runway import registry
from runway.config.check import check_pipeline
from runway.config.config import Config
from runway.config.reads import lookup
from runway.config.schema import EVAL
from runway.config.signatures import Accepted, accepted_settings, wrong_values
from runway.errors import ConfigError, RunwayError, did_you_mean, raise_collected
from runway.pipeline.runners import choose
from runway.pipeline.wiring import MAIN, NamedInputs, check_wiring
from runway.transforms.base import BaseTransform


class Spec(NamedTuple):
    """What opens a pipeline in another process: plain data.

    Attributes:
        project: the project's folder.
        section: the pipeline's section of the config.
        where: what the section is called in errors.
        config: the experiment's config.
        store: the store's folder or URL.
        allow_pickle: whether pickled entries may be loaded; None: as the store likes.
        use_dummy_data: the run's flag.
    """

    project: Path
    section: Mapping[str, Any]
    where: str
    config: Any
    store: str
    allow_pickle: bool | None
    use_dummy_data: bool


class Node(NamedTuple):
    """One node as configured."""

    name: str
    inputs: tuple[str, ...]
    takes_list: bool
    """``input_node`` is a list: ``_call`` gets a list of outputs."""
    transform_name: str
    setup_kwargs: Mapping[str, Any]
    cache: bool | None
    """None: not said; then an output is kept unless it comes from data that was passed in."""
    regenerate: bool
    inspect: bool
    resources: Mapping[str, Any]
    input_names: tuple[str, ...] = ()
    """The arguments that the last of ``inputs`` are for: the keys of the config's ``inputs``."""

    def arranged(self, values: list[Any]) -> Any:
        """What the transform is called with, of the values of ``inputs``: one, a list, or arguments by name."""
        if self.input_names:
            before = len(values) - len(self.input_names)
            named = dict(zip(self.input_names, values[before:], strict=True))
            main = values[:before] if self.takes_list else values[0] if before else None
            return NamedInputs({MAIN: main, **named} if before else named)
        return values if self.takes_list else values[0] if values else None

    @property
    def arguments(self) -> dict[str, Any]:
        """The settings that count: those without an underscore in front."""
        return {key: value for key, value in self.setup_kwargs.items() if not key.startswith("_")}


class Graph:
    """The nodes of one pipeline in dependency order, with the class of each.

    Args:
        config: the pipeline's section.
        where: what to call it in errors.
        errors: collect what is wrong here instead of raising; the schema has been held against the config then.

    Raises:
        ConfigError: something is wrong; all there is, collected.
    """

    def __init__(
        self, config: Mapping[str, Any], *, where: str = "data_pipeline", errors: list[RunwayError] | None = None
    ) -> None:
        found: list[RunwayError] = [*check_pipeline(config, where)] if errors is None else errors
        self.where = where
        self.nodes: dict[str, Node] = {}
        self.classes: dict[str, type] = {}
        self._accepted: dict[type, Accepted] = {}
        transforms: Any = config.get("transforms")
        regenerate_all = bool(config.get("regenerate", False))
        inspect_all = bool(config.get("do_inspect", False))
        for name, fields in transforms.items() if isinstance(transforms, Mapping) else ():
            if isinstance(fields, Mapping) and isinstance(fields.get("transform_name"), str):
                self.nodes[name] = _read_node(name, fields, regenerate_all, inspect_all)
        for node in self.nodes.values():
            field = "inputs" if node.input_names else "input_node"
            found += _unknown(node.inputs, transforms, f"{self.where_of(node.name)}.{field}")
        self.order = self._sort(found)
        for node in self.nodes.values():
            self._check_transform(node, found)
        self.out_ops = self._read_out_ops(config, found)
        if errors is None:
            raise_collected(found, where=where)

    def where_of(self, name: str) -> str:
        """Where a node stands in the config."""
        return f"{self.where}.transforms.{name}"

    def _sort(self, errors: list[RunwayError]) -> list[str]:
        """The names in dependency order, and as they stand in the config where that leaves it open."""
        sorter: graphlib.TopologicalSorter[str] = graphlib.TopologicalSorter(dict.fromkeys(self.nodes, ()))
        for node in self.nodes.values():
            sorter.add(node.name, *(name for name in node.inputs if name in self.nodes))
        try:
            return list(sorter.static_order())
        except graphlib.CycleError as error:
            cycle = error.args[1][1:]  # from the node whose output closes it
            message = "the nodes form a cycle: " + " -> ".join([*cycle, cycle[0]])
            hint = "change the `input_node` of one of them"
            errors.append(ConfigError(message, where=f"{self.where}.transforms", hint=hint))
            return list(self.nodes)

    def _check_transform(self, node: Node, errors: list[RunwayError]) -> None:
        try:
            cls = registry.transforms.get(node.transform_name)
        except ConfigError as error:
            error.where = error.where or f"{self.where_of(node.name)}.transform_name"
            errors.append(error)
            return
        if not issubclass(cls, BaseTransform):
            message = f"{cls.__module__}.{cls.__qualname__} is not a transform"
            hint = "derive it from runway.BaseTransform"
            errors.append(ConfigError(message, where=f"{self.where_of(node.name)}.transform_name", hint=hint))
            return
        self.classes[node.name] = cls
        accepted = self._accepted.get(cls) or self._accepted.setdefault(cls, accepted_settings(cls))
        where = f"{self.where_of(node.name)}.setup_kwargs"
        if not accepted.takes_any:
            for key in node.setup_kwargs:
                if key not in accepted.names:
                    message = f"{node.transform_name} has no setting {key!r}"
                    errors.append(ConfigError(message, where=where, hint=did_you_mean(key, accepted.names)))
        wiring = check_wiring(node, cls)
        errors += [ConfigError(said, where=self.where_of(node.name), hint=hint) for said, hint in wiring.mistakes]
        needed = (key for key in accepted.required if key not in node.setup_kwargs and key not in wiring.given)
        messages = [f"{node.transform_name} needs the setting {key!r}" for key in needed]
        for message in (*messages, *wrong_values(node.setup_kwargs, accepted)):
            errors.append(ConfigError(message, where=where, hint=f"runway show {node.transform_name}"))

    def _read_out_ops(self, config: Mapping[str, Any], errors: list[RunwayError]) -> list[str]:
        named = config.get("out_ops")
        if named is None:
            return [name for name in self.nodes if name.startswith("output:")]
        names = _names(named)
        errors += _unknown(names, self.nodes, f"{self.where}.out_ops")
        return names

    def check_names(self, names: Iterable[str], where: str) -> list[str]:
        """The names as a list.

        Raises:
            ConfigError: one of them is not a node.
        """
        names = list(names)
        raise_collected(_unknown(names, self.nodes, where))
        return names

    def descendants(self, names: Iterable[str]) -> list[str]:
        """The nodes and everything below them, in dependency order."""
        found = set(names)
        for name in self.order:
            if found.intersection(self.nodes[name].inputs):
                found.add(name)
        return [name for name in self.order if name in found]

    def ancestors(self, targets: Iterable[str]) -> list[str]:
        """The targets and everything above them, in dependency order."""
        needed = set(targets)
        waiting = list(needed)
        while waiting:
            for name in self.nodes[waiting.pop()].inputs:
                if name not in needed:
                    needed.add(name)
                    waiting.append(name)
        return [name for name in self.order if name in needed]


def _unknown(names: Iterable[str], known: Collection[str], where: str) -> list[RunwayError]:
    """An error for each of the names that no node has."""
    return [
        ConfigError(f"there is no node {name!r}", where=where, hint=did_you_mean(name, known))
        for name in names
        if name not in known
    ]


def _names(given: Any) -> list[str]:
    """The names in a field that takes one or a list; what is of another type has been told already."""
    if isinstance(given, str):
        return [given]
    return [name for name in given if isinstance(name, str)] if isinstance(given, list | tuple) else []


def inputs_of(fields: Mapping[str, Any]) -> list[str]:
    """The nodes that a node of a config takes from, by ``input_node`` and ``inputs``."""
    return [*_names(fields.get("input_node")), *(fields.get("inputs") or {}).values()]


def _read_node(name: str, fields: Mapping[str, Any], regenerate_all: bool, inspect_all: bool) -> Node:
    given = fields.get("input_node")
    named = fields.get("inputs")
    named = (
        {key: above for key, above in sorted(named.items()) if isinstance(above, str)}
        if isinstance(named, Mapping)
        else {}
    )
    kwargs = fields.get("setup_kwargs") or {}
    return Node(
        name=name,
        inputs=(*_names(given), *named.values()),
        takes_list=not isinstance(given, str) and bool(given),
        transform_name=fields["transform_name"],
        setup_kwargs=kwargs if isinstance(kwargs, Config) else Config(kwargs if isinstance(kwargs, Mapping) else {}),
        cache=fields.get("cache"),
        regenerate=bool(fields.get("regenerate", False)) or regenerate_all,
        inspect=bool(inspect_all if fields.get("inspect") is None else fields["inspect"]),
        resources=fields.get("resources") or {},
        input_names=tuple(named),
    )


def check_pipelines(
    config: Mapping[str, Any], evaluations: Iterable[str] = tuple(EVAL)
) -> tuple[dict[str, Graph], list[RunwayError]]:
    """The graphs of an experiment's pipelines by where they stand in the config, and all that is wrong with them.

    The user's transforms must have been imported; ``load_config`` has checked the form.

    Args:
        config: the config.
        evaluations: which pipelines of ``eval`` are looked at: those that will run.
    """
    errors: list[RunwayError] = []
    sections = {"data_pipeline": config.get("data_pipeline")}
    sections |= {f"eval.{name}": lookup(config, ("eval", name)) for name in evaluations}
    graphs = {
        where: Graph(section, where=where, errors=errors)
        for where, section in sections.items()
        if isinstance(section, Mapping)
    }
    try:
        choose((config.get("meta") or {}).get("runner"))
    except ConfigError as error:
        errors.append(error)
    node, data = lookup(config, ("executor", "init_kwargs", "use_data_node")), graphs.get("data_pipeline")
    if isinstance(node, str) and data is not None:
        errors += _unknown([node], data.nodes, "executor.init_kwargs.use_data_node")
    return graphs, errors
