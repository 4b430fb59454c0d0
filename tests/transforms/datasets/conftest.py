"""Rows to split, select and filter."""

from __future__ import annotations

import pytest
from datasets import Dataset


@pytest.fixture
def rows() -> Dataset:
    """100 rows sorted by label; ten neighbours are of one film."""
    return Dataset.from_dict(
        {"n": list(range(100)), "film": [f"f{n // 10}" for n in range(100)], "label": [n // 50 for n in range(100)]}
    )
