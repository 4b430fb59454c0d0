"""``from runway.data_module.data_transforms import …``, as first written; ``from runway import …`` is the same."""

from __future__ import annotations

from runway.registry import register_transform_functor
from runway.transforms.base import BaseTransform, HFDatasetTransform, RowWiseTransform

__all__ = ["BaseTransform", "HFDatasetTransform", "RowWiseTransform", "register_transform_functor"]
