"""Pipelines of a few nodes, in this process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runway import DataPipeline


def node(cls: type, input_node: Any = None, cache: bool = True, **kwargs: Any) -> dict[str, Any]:
    return {
        "transform_name": f"{cls.__module__}:{cls.__qualname__}",
        "input_node": input_node,
        "setup_kwargs": kwargs,
        "cache": cache,
    }


def pipeline(path: Path, nodes: Mapping[str, Any]) -> DataPipeline:
    return DataPipeline({"transforms": nodes}, project=path, cache_dir=path / "cache")
