"""What a long run grows by: a short one in the normal suite, the long ones on demand."""

from __future__ import annotations

import pytest

from tests.faults.long_runs import growth, validations


def _is_flat(figures):
    grown = growth(figures)
    assert grown["rss_mb"] < 0.1  # per validation
    assert grown["open_files"] == grown["threads"] == 0
    assert grown["files"] < 0.1
    assert grown["recorders"] <= 3  # each validation keeps its recorder


def test_some_validations(tmp_path):
    _is_flat(validations(tmp_path, 30))


@pytest.mark.slow
@pytest.mark.long
def test_500_validations(tmp_path):
    _is_flat(validations(tmp_path, 500))
