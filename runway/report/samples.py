"""The rows that a recorder holds, as a report takes them: columns as arrays, and a stated choice of whole rows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from runway.recorder import EvalRecorder

WORST, DRAWN = 1000, 1000
"""Rows of a page: the worst, and others drawn from the rest with a fixed seed."""
MOST_PIXELS = 96
"""Of a picture's longer side in a page."""
PICTURE = "data:image/png;base64,"
MOST_TEXT = 20_000
"""Characters of a value in a page."""
MOST_BYTES = 5_000_000
"""Of the rows in a page."""

# What a row is judged by, where a recorder has it: the column, and whether the highest value is the worst.
_SCORES = (("sentence_bleu", False), ("loss", True), ("error", True), ("probability", False))
_PAIRS = (("predicted_class_id", "ground_truth_class_id"), ("prediction", "label"), ("predictions", "references"))
_NAMES = {"predicted_class_id": "predicted_class_label", "ground_truth_class_id": "ground_truth_class_label"}


class Classes(NamedTuple):
    """What was predicted, and what is true, as numbers of classes.

    Attributes:
        predicted: ``[rows]``.
        true: ``[rows]``.
        names: of the classes.
        values: what the recorder calls them.
    """

    predicted: np.ndarray
    true: np.ndarray
    names: list[str]
    values: list[Any]

    @property
    def right(self) -> np.ndarray:
        """Whether each row is."""
        return self.predicted == self.true

    def matrix(self) -> np.ndarray:
        """Counts, ``[true, predicted]``."""
        size = len(self.names)
        return np.bincount(self.true * size + self.predicted, minlength=size * size).reshape(size, size)


class Chosen(NamedTuple):
    """Rows for a page.

    Attributes:
        rows: their numbers, in the order in which they are shown.
        told: which rows they are, in words.
    """

    rows: list[int]
    told: str


class Samples:
    """A recorder's rows.

    Args:
        folder: the recorder's.
        config: the run's, which may name the columns that are compared.
    """

    def __init__(self, folder: Path, config: Any = None) -> None:
        self.recorder = load_recorder(folder)
        self.config = config or {}
        self.more_classes: list[Any] = []
        """Classes that another run has, beside which this one is put."""

    def __len__(self) -> int:
        return len(self.recorder)

    def __contains__(self, name: str) -> bool:
        return name in self.recorder

    def array(self, name: str) -> np.ndarray:
        """A column of numbers, as floats with NaN where there is none; of text as objects."""
        values = self.recorder.get_sample_logs_column(name, "numpy")
        if values.dtype.kind in "biuf":
            return values.astype(float) if values.dtype.kind == "f" else values
        present = [value for value in values if value is not None]
        if present and all(isinstance(value, int | float) for value in present):
            return np.asarray([np.nan if value is None else float(value) for value in values])
        return values

    @cached_property
    def score(self) -> tuple[str, bool] | None:
        """The column by which the worst rows are found, and whether the highest value is the worst."""
        for name, highest in _SCORES:
            if name in self and self.array(name).dtype.kind in "if":
                return name, highest
        return None

    @cached_property
    def classes(self) -> Classes | None:
        """What was predicted and what is true, where the recorder has whole numbers or text for both."""
        pair = next((pair for pair in [*_asked_pairs(self.config), *_PAIRS] if all(one in self for one in pair)), None)
        if pair is None:
            return None
        predicted, true = (self.array(name) for name in pair)
        if any(one.dtype.kind not in "iubO" or _is_mixed(one) for one in (predicted, true)):
            return None
        more = np.asarray(self.more_classes, dtype=predicted.dtype)
        values, at = np.unique(np.concatenate([predicted, true, more]), return_inverse=True)
        if len(values) > 1000:
            return None
        known: dict[Any, str] = {}
        for ids, name in zip((predicted, true), map(_NAMES.get, pair), strict=True):
            if name is not None and name in self:
                first = np.unique(ids, return_index=True)
                known |= dict(
                    zip(first[0].tolist(), (str(self.recorder[int(row)][name]) for row in first[1]), strict=True)
                )
        at = at.reshape(-1)
        names = [known.get(value, str(value)) for value in values.tolist()]
        if len(set(names)) < len(names):
            names = [f"{name} ({value})" for name, value in zip(names, values.tolist(), strict=True)]
        count = len(predicted)
        return Classes(at[:count], at[count : 2 * count], names, values.tolist())

    def choose(self, worst: int = WORST, drawn: int = DRAWN) -> Chosen:
        """The worst rows, then some of the others."""
        count = len(self)
        score = self.score
        if score is None:
            rows = np.arange(count)
            if count > worst + drawn:
                rows = np.sort(np.random.default_rng(0).choice(count, worst + drawn, replace=False))
                return Chosen(rows.tolist(), f"{len(rows):,} of {count:,} rows, drawn at random (seed 0)")
            return Chosen(rows.tolist(), f"all {count:,} rows, in the order of the data")
        name, highest = score
        values = self.array(name)
        keys = np.nan_to_num(-values if highest else values.astype(float), nan=np.inf)
        order = f"the {'highest' if highest else 'lowest'} {name}"
        if count <= worst + drawn:
            return Chosen(np.argsort(keys, kind="stable").tolist(), f"all {count:,} rows, {order} first")
        first = np.argpartition(keys, worst)[:worst]
        first = first[np.argsort(keys[first], kind="stable")]
        is_other = np.ones(count, dtype=bool)
        is_other[first] = False
        rest = np.flatnonzero(is_other)
        others = np.random.default_rng(0).choice(rest, min(drawn, len(rest)), replace=False)
        others = others[np.argsort(keys[others], kind="stable")]
        told = f"{worst + len(others):,} of {count:,} rows: the {worst:,} with {order}, then {len(others):,} others "
        return Chosen([*first.tolist(), *others.tolist()], told + "drawn at random (seed 0)")

    def rows(self, chosen: Sequence[int], columns: Sequence[str] | None = None) -> tuple[list[str], list[list[Any]]]:
        """Whole rows with their numbers.

        Returns:
            The names of the columns, ``row`` first; the rows. Where they are too many bytes, the last are left out.
        """
        named = {of for of, label in _NAMES.items() if label in self}  # a class by its name says it
        names = [name for name in (columns or self.recorder.column_names) if name in self and name not in named]
        taken = self.recorder.select_rows(chosen)
        values = [[_shown(value) for value in taken.get_sample_logs_column(name)] for name in names]
        rows: list[list[Any]] = []
        size = 0
        for row in zip(chosen, *values, strict=True):
            size += sum(len(value.encode("utf-8", "replace")) if isinstance(value, str) else 8 for value in row)
            if size > MOST_BYTES and rows:
                break
            rows.append(list(row))
        return ["row", *names], rows


def load_recorder(folder: Path) -> EvalRecorder:
    """The recorder of a folder, whatever prefix and format it was saved with."""
    from runway.recorder import EvalRecorder
    from runway.recorder.save_and_load import saved_in

    saved = saved_in(folder)
    prefix, file_format = "eval_recorder", "parquet"
    if saved and f"{prefix} ({file_format})" not in saved:
        prefix, _, file_format = saved[0].rpartition(" (")
        file_format = file_format.removesuffix(")")
    return EvalRecorder.load_from_disk(folder.name, folder.parent, prefix, file_format)


def _asked_pairs(config: Any) -> list[tuple[str, str]]:
    """The columns that the config's evaluation compares."""
    found: list[tuple[str, str]] = []
    todo: list[Any] = [config.get("eval") if isinstance(config, dict) else None]
    while todo:
        one = todo.pop(0)
        if isinstance(one, dict):
            pair = (one.get("pred_field"), one.get("ref_field"))
            if all(isinstance(name, str) for name in pair):
                found.append(pair)  # type: ignore[arg-type]
            todo += one.values()
        elif isinstance(one, list):
            todo += one
    return found


def _is_mixed(values: np.ndarray) -> bool:
    """Whether there is something else than text."""
    return values.dtype.kind == "O" and not all(isinstance(value, str) for value in values)


def _picture(value: Any) -> str:
    """A picture as an address that holds it; of a large one a small copy."""
    import base64
    import io

    small = value.convert(value.mode if value.mode in ("L", "RGB", "RGBA") else "RGB")
    small.thumbnail((MOST_PIXELS, MOST_PIXELS))
    buffer = io.BytesIO()
    small.save(buffer, format="PNG")
    return PICTURE + base64.b64encode(buffer.getvalue()).decode()


def _shown(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        text = value
    elif hasattr(value, "size") and hasattr(value, "mode"):
        return _picture(value)
    else:
        import json

        text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}… [{len(text):,} characters]"
