"""__Title__."""

from __future__ import annotations

from typing import Any

from runway import transform


@transform
def __name__(data: Any, column: str = "text") -> Any:
    """Say in one line what comes out.

    A function is a transform: `data` is what the input node gives, the other arguments are its `setup_kwargs`. Import
    heavy libraries inside. For what a class has more (`self.track_file`), see docs/transforms.md of runway.

    Args:
        data: the splits, or a Dataset.
        column: the column to work on.
    """
    return data.map(lambda row: {column: row[column].strip()})
