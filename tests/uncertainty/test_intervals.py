"""Intervals hold the truth about as often as they say, and know rows that are alike."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.intervals import CASES, held
from runway.uncertainty.any_metric import resampled
from runway.uncertainty.comparisons import difference, holm, mcnemar
from runway.uncertainty.intervals import Sums, interval, wilson
from runway.uncertainty.sums import mean, ratio, share


def test_a_rate_has_wilsons_interval_also_at_its_ends():
    assert wilson(0, 0) is None
    found = wilson(10, 10)
    assert found is not None
    assert (found.high, found.n, found.method) == (1.0, 10, "wilson")
    assert found.low == pytest.approx(0.7225, abs=1e-4)


@pytest.mark.parametrize("case", ["accuracy", "difference, paired"])
def test_the_truth_is_held_as_often_as_said(case):
    sets = 60
    assert 0.88 * sets <= held(CASES[case], sets) <= sets  # benchmarks/intervals.py tells it to the per cent


@pytest.mark.parametrize(("rows", "method"), [(200, "bootstrap (BCa)"), (3000, "bootstrap"), (30_000, "jackknife")])
def test_a_mean_has_the_interval_of_its_standard_error(rows, method):
    values = np.random.default_rng(0).normal(2.0, 1.0, rows)
    found = mean(values).interval()
    assert found is not None
    assert found.method == method
    width = 1.96 * values.std(ddof=1) / np.sqrt(rows)
    assert (found.low, found.high) == pytest.approx((values.mean() - width, values.mean() + width), abs=width / 6)
    assert mean(values).interval() == found  # the same seed


def test_groups_are_drawn_where_rows_of_one_are_alike():
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 20)
    right = (random.random(30) < 0.7)[groups]
    rows, over_groups = share(right).interval(), share(right).interval(groups=groups)
    assert rows is not None
    assert over_groups is not None
    assert (over_groups.n, over_groups.method) == (30, "cluster bootstrap (BCa)")
    assert over_groups.high - over_groups.low > 3 * (rows.high - rows.low)
    assert share(right).interval(groups=np.zeros(len(right))) is None  # one group has no spread


def test_a_metric_that_no_row_changes_and_one_that_is_undefined():
    same = interval(Sums(np.ones((50, 2))), ratio)
    assert same is not None
    assert (same.low, same.high) == (1.0, 1.0)
    assert interval(Sums(np.zeros((50, 2))), ratio) is None
    assert interval(Sums(np.ones((1, 2))), ratio) is None


def test_part_of_the_rows_is_what_these_rows_alone_would_be():
    right = np.random.default_rng(0).random(100) < 0.5
    rows = np.arange(30, 60)
    assert share(right).of_rows(rows).interval() == share(right[rows]).interval()
    values = np.arange(100.0)
    assert mean(values).of_rows(rows).reached() == values[rows].mean()


def test_paired_differences_see_less_than_separate_intervals_would():
    random = np.random.default_rng(0)
    first = random.random(400) < 0.8
    second = first | (random.random(400) < 0.15)
    found = difference(share(first).sums, share(second).sums, ratio)
    assert found.value == pytest.approx(second.mean() - first.mean())
    assert not found.is_tied
    assert mcnemar(first, second) < 0.001
    assert difference(share(first).sums, share(first).sums, ratio).is_tied
    with pytest.raises(ValueError, match="do not pair"):
        difference(share(first).sums, share(second[:10]).sums, ratio)


def test_holm():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def test_any_function_of_rows_is_resampled_within_its_time():
    values = np.random.default_rng(0).normal(size=200)

    def median(rows):
        return {"median": float(np.median(values[rows]))}

    found, why = resampled(median, ["median"], 200)
    assert not why
    assert found["median"].low < np.median(values) < found["median"].high
    assert found["median"].method == "bootstrap"
    groups = np.arange(200) // 10
    assert resampled(median, ["median"], 200, groups=groups)[0]["median"].n == 20
    none, why = resampled(median, ["median"], 200, seconds=0.0)
    assert none == {}
    assert "would take more than 0 s" in why
    assert resampled(lambda rows: {}, ["median"], 200)[1] == "on most resamples it is undefined (median)"
