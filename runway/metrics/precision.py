"""Precision, as an ``evaluate.Metric`` that needs no download."""

from __future__ import annotations

from runway.metrics import _base


class Precision(_base.LabelScore):
    """The share of the samples predicted as positive that are: TP / (TP + FP)."""

    score = "precision"
    counted = "no sample is predicted as positive"
