"""F1, as an ``evaluate.Metric`` that needs no download."""

from __future__ import annotations

from runway.metrics import _base


class F1(_base.LabelScore):
    """The harmonic mean of precision and recall."""

    score = "f1"
    counted = "no sample is positive or predicted so"
