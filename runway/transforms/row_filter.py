"""Which rows of a dataset stay, and how many were dropped for which reason: counted, logged and kept with the node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runway.log import info
from runway.transforms.arrow_tables import codes_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from datasets import Dataset

    from runway.transforms.base import BaseTransform


class RowFilter:
    """Masks over the rows of one dataset, one after the other; a row counts for the first that drops it."""

    def __init__(self, dataset: Dataset) -> None:
        import numpy as np

        self.dataset = dataset
        self.keep = np.ones(len(dataset), dtype=bool)
        self.dropped: dict[str, int] = {}

    def apply(self, mask: np.ndarray, reason: str) -> None:
        """Keep the rows where ``mask``, bool ``[rows]``, is true; ``reason`` says why the others go."""
        lost = int((self.keep & ~mask).sum())
        if lost:
            self.dropped[reason] = self.dropped.get(reason, 0) + lost
        self.keep &= mask

    def apply_first_of(self, columns: Sequence[str]) -> None:
        """Of the rows that are left and have the same values in ``columns``, keep the first."""
        import numpy as np

        rows = np.flatnonzero(self.keep)
        if not len(rows):
            return
        codes = np.stack([codes_of(self.dataset, name) for name in columns])[:, rows]
        first = np.zeros(len(self.keep), dtype=bool)
        first[rows[np.unique(codes, axis=1, return_index=True)[1]]] = True
        self.apply(first, f"duplicates of {', '.join(columns)}")

    def rows(self) -> Dataset:
        """The rows that are left."""
        import numpy as np

        return self.dataset.select(np.flatnonzero(self.keep)) if self.dropped else self.dataset

    @property
    def counts(self) -> dict[str, Any]:
        """What to tell: ``{rows, kept, dropped: {reason: rows}}``."""
        return {"rows": len(self.keep), "kept": int(self.keep.sum()), "dropped": dict(self.dropped)}


def tell_dropped(transform: BaseTransform, filters: Mapping[str, RowFilter]) -> None:
    """Log what was dropped, and record it under ``filtered`` among the transform's notes.

    Args:
        transform: whose rows they are.
        filters: {split: its filter}; the split is empty for data without splits.
    """
    for split, found in filters.items():
        if found.dropped:
            reasons = "; ".join(f"{number} {reason}" for reason, number in found.dropped.items())
            owner = f"{transform.name}: {split}".rstrip(" :")
            info(f"{owner} {len(found.keep)} → {found.counts['kept']} rows; dropped: {reasons}")
    transform.note("filtered", {split or "rows": found.counts for split, found in filters.items()})
