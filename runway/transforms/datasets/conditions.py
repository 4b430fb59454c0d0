"""Which rows of a dataset stay, and how many were dropped for which reason: counted, logged and kept with the node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runway.log import info
from runway.transforms.datasets.arrow_writer import codes_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from datasets import Dataset

    from runway.transforms.base import BaseTransform


class RowFilter:
    """Masks over the rows of one dataset, one after the other; a row counts for the first that drops it.

    Args:
        dataset: the rows.
        where: the place that an error names.
    """

    def __init__(self, dataset: Dataset, where: str) -> None:
        import numpy as np

        self.dataset = dataset
        self.where = where
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
        codes = np.stack([codes_of(self.dataset, name, self.where) for name in columns])[:, rows]
        first = np.zeros(len(self.keep), dtype=bool)
        first[rows[np.unique(codes, axis=1, return_index=True)[1]]] = True
        self.apply(first, f"duplicates of {', '.join(columns)}")

    def rows(self) -> Dataset:
        """The rows that are left."""
        import numpy as np

        return self.dataset.select(np.flatnonzero(self.keep)) if self.dropped else self.dataset

    @property
    def counts(self) -> dict[str, Any]:
        """What to note: ``{rows, kept, dropped: {reason: rows}}``."""
        return {"rows": len(self.keep), "kept": int(self.keep.sum()), "dropped": dict(self.dropped)}


def tell_dropped(transform: BaseTransform, counts: Mapping[str, Mapping[str, Any]], name: str = "filtered") -> None:
    """Log and note what was dropped.

    Args:
        transform: whose note it is.
        counts: {split: what ``RowFilter.counts`` gives}; the split is empty for data without splits.
        name: of the note.
    """
    for split, found in counts.items():
        if found["dropped"]:
            reasons = "; ".join(f"{number} {reason}" for reason, number in found["dropped"].items())
            place = f"{transform.name}: {split}".rstrip(" :")
            info(f"{place} {found['rows']} → {found['kept']} rows; dropped: {reasons}")
    transform.note(name, {split or "rows": found for split, found in counts.items()})
