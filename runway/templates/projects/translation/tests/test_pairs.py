"""The transforms, on a few rows; and the config's wiring."""

from __future__ import annotations

from runway.testing import check_config, run_transform


def test_pairs_are_turned_around() -> None:
    (row,) = run_transform("swap_languages", [{"source": "ein Film", "target": "a film"}])
    assert row == {"source": "a film", "target": "ein Film"}


def test_the_config_is_whole() -> None:
    assert "process:TrainTokenizer" in check_config("configs/exp_config.jsonnet")
