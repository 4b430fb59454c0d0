"""Recall, as an ``evaluate.Metric`` that needs no download."""

from __future__ import annotations

from runway.metrics import _base


class Recall(_base.LabelScore):
    """The share of the positive samples that are predicted so: TP / (TP + FN)."""

    score = "recall"
    counted = "no sample is positive"
