"""What a test writes can be read by everything that reads JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from runway.experiment.folders.run_folder import as_json, write_json
from runway.registry import register_transform_functor
from runway.transforms.base import BaseTransform
from tests.experiment.tiny import tiny

if TYPE_CHECKING:
    import pytest


@register_transform_functor
class OddNumbers(BaseTransform):
    """Statistics that JSON does not have."""

    def _call(self, data: Any) -> Any:
        data.log_stats_dict({"kappa": float("nan"), "ppl": float("inf"), "rows": 3})
        return data


def refused(name: str) -> None:
    """What RFC 8259 says of NaN and Infinity."""
    raise ValueError(name)


def test_what_is_no_number_is_null_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluation = {"eval": {"pipeline_config": {"transforms": {"output:Odd": {"transform_name": "OddNumbers"}}}}}
    tiny(tmp_path, sections=evaluation).train()
    result = tiny(tmp_path, sections=evaluation).test()
    written = json.loads((result.path / "metrics.json").read_text(), parse_constant=refused)
    assert (written["kappa"], written["ppl"], written["rows"]) == (None, None, 3)
    assert "null in metrics.json, which has no such numbers: kappa (nan), ppl (inf)" in capsys.readouterr().err
    assert "kappa (nan)" in (result.path / "run.log").read_text()


def test_every_json_of_a_run_is_json(tmp_path: Path) -> None:
    value = {"a": [float("nan"), np.float32("inf"), np.array([1.0, np.nan])], "b": (1, -float("inf"))}
    write_json(tmp_path / "x.json", value)
    expected = {"a": [None, None, [1.0, None]], "b": [1, None]}
    assert json.loads((tmp_path / "x.json").read_text(), parse_constant=refused) == expected == as_json(value)


def test_an_evaluation_begins_with_what_the_test_has_measured(tmp_path: Path) -> None:
    tiny(tmp_path).train()
    odd = {"eval": {"pipeline_config": {"transforms": {"output:Odd": {"transform_name": "OddNumbers"}}}}}
    tested = tiny(tmp_path, sections=odd).test()
    assert {"rows", "test_loss"} <= set(tested.metrics)
    again = tiny(tmp_path, sections={"eval": {}}).eval()
    assert set(again.metrics) == {"test_loss"}
    assert json.loads((again.path / "metrics.json").read_text()) == again.metrics


def test_a_training_writes_where_its_time_has_gone(tmp_path: Path) -> None:
    result = tiny(tmp_path).train()
    found = json.loads((result.path / "timings.json").read_text())
    assert found["steps"] > 0
    assert all(found[name] > 0 for name in ("data_seconds", "step_seconds", "validation_seconds", "peak_memory"))
