"""The transforms, on a few rows; and the config's wiring."""

from __future__ import annotations

from data_ops.texts import tidy

from runway.testing import check_config, run_transform


def test_tags_and_spaces_go() -> None:
    assert tidy("Not<br /><br />a  fine\nfilm ") == "Not a fine film"


def test_the_transform_over_rows() -> None:
    data = run_transform("remove_markup", [{"text": "A <b>fine</b> film", "label": 1}])
    assert data[0] == {"text": "A fine film", "label": 1}


def test_the_config_is_whole() -> None:
    nodes = check_config("configs/exp_config.jsonnet")
    assert nodes["process:TokenizeDataset"].inputs == ("process:RemoveMarkup",)
