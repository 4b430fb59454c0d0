"""The names of classes, as a config or a dataset gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runway.errors import ConfigError, DataError

if TYPE_CHECKING:
    import torch


def class_names(named: Any, number: int | None, where: str) -> dict[int, str]:
    """``{0: name, 1: name, …}``.

    Args:
        named: ``{id: name}`` or a list of names.
        number: how many there must be, where that is said too.
        where: the config's section, for errors.

    Raises:
        ConfigError: the ids are not 0, 1, 2, …
    """
    pairs = named.items() if isinstance(named, Mapping) else enumerate(named)
    try:
        id2label = {int(i): str(name) for i, name in pairs}  # jsonnet's keys are text
    except ValueError as error:
        message = f"the keys of `id2label` must be whole numbers, but are {list(named)} instead"
        raise ConfigError(message, where="id2label") from error
    if sorted(id2label) != list(range(len(id2label))) or (number is not None and number != len(id2label)):
        raise ConfigError(
            f"`id2label` must name the classes 0 to {(number or len(id2label)) - 1}, but names {sorted(id2label)}",
            where=where,
            hint="`num_labels` may be left out: it follows from `id2label`",
        )
    return id2label


def names_in_features(features: Mapping[str, Any], *columns: str) -> list[str] | None:
    """The names of a dataset's ClassLabel, of the first of the columns that is there; None where it is none."""
    found = next((features[name] for name in columns if features.get(name) is not None), None)
    names = getattr(found, "names", None)
    return list(names) if names else None


def check_labels(labels: torch.Tensor, num_labels: int, where: str, owner: str) -> None:
    """Raise a DataError where a label is none of the classes: on a GPU that ends in a device assert.

    Args:
        labels: those of a batch, on the CPU.
        num_labels: how many classes there are.
        where: the split and the node.
        owner: the config's section that says how many.
    """
    if labels.is_floating_point():
        raise DataError(f"the labels must be whole numbers, but are {labels.dtype} instead", where=where)
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= num_labels:
        bad = low if low < 0 else high
        message = f"the label {bad} is none of the model's {num_labels} labels (0 to {num_labels - 1})"
        hint = f"give {owner} all the classes (`num_labels: {high + 1}` or `id2label`)"
        if bad < 0:
            hint = "negative labels mark rows without a label: filter them out, or use a split that has labels"
        raise DataError(message, where=where, hint=hint)
