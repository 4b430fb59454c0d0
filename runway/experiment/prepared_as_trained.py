"""How raw rows are prepared for a trained run: by the run's own nodes, from the first that takes rows as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from runway.errors import ConfigError
from runway.pipeline.graph import inputs_of
from runway.registry import READY_MADE, level_of, transforms

# What makes data, or chooses among its rows or columns of labels: rows that are given do not go through it.
_CHOOSES = {
    "LoadHFDataset",
    "LoadParallelText",
    "SplitHFDataset",
    "SplitHFDatasetByRule",
    "SplitHFDatasetToTrainTestValidation",
    "SelectRows",
    "SelectColumns",
    "FilterRows",
    "EncodeLabels",
    "SelectPairs",
    "FilterPairs",
}


class Preparation(NamedTuple):
    """Which of a run's nodes prepare rows.

    Attributes:
        through: the first of them; None: rows must be such as the data node gives.
        nodes: all of them, in order.
        left_out: the user's own nodes above, which rows do not go through.
        label_column: what the batches' labels come from.
    """

    through: str | None
    nodes: tuple[str, ...]
    left_out: tuple[str, ...]
    label_column: str | None


def preparation(config: Mapping[str, Any], data_node: str | None, through: str | None = None) -> Preparation:
    """Which nodes of a run's pipeline prepare rows for its executor.

    Args:
        config: the run's.
        data_node: the node that feeds its executor.
        through: the first node, where that is said.

    Raises:
        ConfigError: there is no such node on the way to the data node.
    """
    nodes: Mapping[str, Any] = (config.get("data_pipeline") or {}).get("transforms") or {}
    way: list[str] = []
    name = data_node
    while name is not None and name in nodes and name not in way:
        way.append(name)
        name = next(iter(inputs_of(nodes[name])), None)
    if through is not None and through not in way:
        message = f"the node {through!r} is not on the way to {data_node!r}, which is: {' <- '.join(way)}"
        raise ConfigError(message, where="--through")
    if through is None:
        stops = (place for place, node in enumerate(way) if nodes[node]["transform_name"] in _CHOOSES)
        used = way[: next(stops, len(way))]
    else:
        used = way[: way.index(through) + 1]
    if used and not inputs_of(nodes[used[-1]]):  # it makes the data itself
        used.pop()
    own = [node for node in reversed(way[len(used) :]) if inputs_of(nodes[node]) and _is_users(nodes[node])]
    loaders = [nodes[node].get("setup_kwargs") or {} for node in used if "Dataloaders" in nodes[node]["transform_name"]]
    label = next((settings.get("label_column", "label") for settings in loaders), None)
    return Preparation(used[-1] if used else None, tuple(reversed(used)), tuple(own), label)


def _is_users(node: Mapping[str, Any]) -> bool:
    try:
        return level_of(transforms.get(node["transform_name"])) != READY_MADE
    except ConfigError:
        return True
