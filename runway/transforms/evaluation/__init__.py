"""Evaluation pipelines over recorders: metrics, merging, showing."""
