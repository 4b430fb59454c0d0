"""The node that stands for what a test gives."""

from __future__ import annotations

from typing import Any

from runway.transforms.base import BaseTransform


class Given(BaseTransform):
    """Gives what it is given."""

    def _call(self, data: Any) -> Any:
        return data
