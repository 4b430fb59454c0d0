"""The data: points of two classes."""

from __future__ import annotations

from typing import Any

from runway import transform


@transform
def make_points(rows: int = 400, noise: float = 0.3) -> Any:
    """Make points on two half moons.

    Args:
        rows: how many, for training; half as many each for validation and test.
        noise: how far they lie from their moons.
    """
    import numpy as np
    from datasets import ClassLabel, Dataset, DatasetDict

    def split(count: int) -> Dataset:
        labels = np.arange(count) % 2
        angles = np.pi * np.random.rand(count)  # each node is seeded from its own key
        points = np.stack([np.cos(angles) + labels, np.sin(angles) * (1 - 2 * labels) + 0.5 * labels], axis=1)
        points += noise * np.random.randn(count, 2)
        made = Dataset.from_dict({"x": points.astype("float32").tolist(), "label": labels.tolist()})
        return made.cast_column("label", ClassLabel(names=["upper", "lower"]))

    return DatasetDict({"train": split(rows), "validation": split(rows // 2), "test": split(rows // 2)})
