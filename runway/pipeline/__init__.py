"""The DAG engine: graph, fingerprint, store, plan, runners, and DataPipeline over them."""

from __future__ import annotations

from runway.pipeline.pipeline import DataPipeline

__all__ = ["DataPipeline"]
