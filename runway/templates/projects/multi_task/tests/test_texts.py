"""The transforms, on a few rows; and the config's wiring."""

from __future__ import annotations

from runway.testing import check_config, run_transform


def test_the_transform_over_rows() -> None:
    (row,) = run_transform("remove_markup", [{"text": "A <b>fine</b> film"}])
    assert row == {"text": "A fine film"}


def test_the_config_is_whole() -> None:
    nodes = check_config("configs/exp_config.jsonnet")
    assert {"output:reviews", "output:snippets"} <= nodes.keys()
