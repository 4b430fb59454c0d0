"""What notebooks show."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets import Dataset

from runway import DataPipeline, EvalRecorder, register_transform_functor
from runway.experiment.context import Result
from runway.notebook import html_table
from runway.transforms.base import BaseTransform


@register_transform_functor
class ShownRows(BaseTransform):
    """Two rows."""

    def _call(self, data: None) -> dict[str, Dataset]:
        return {"train": Dataset.from_dict({"text": ["<b>bold</b>", "b"], "n": [1, 2]})}


def test_tables_hold_text_and_no_markup() -> None:
    table = html_table(["<i>"], [["<script>"], [0.123456], ["x" * 300]], title="a & b", fills={"<script>": "#fff"})
    assert "<script>" not in table
    assert "&lt;script&gt;" in table
    assert "a &amp; b" in table
    assert ">0.1235<" in table
    assert "x" * 200 not in table


def test_a_pipeline_its_plan_and_its_data(tmp_path: Path) -> None:
    config = {"transforms": {"output:A": {"transform_name": "ShownRows"}}}
    pipeline = DataPipeline(config, cache_dir=tmp_path, project=tmp_path)
    assert repr(pipeline) == "DataPipeline('data_pipeline', 1 nodes, outputs: output:A)"
    plan = pipeline.plan()
    assert repr(plan).splitlines()[1].split() == ["output:A", "run", "new", "?"]
    assert repr(plan.steps["output:A"]) == "Step('output:A', run: new)"
    summary = pipeline.summary("output:A", num_rows=1)
    assert "train: Dataset, 2 rows" in repr(summary)
    shown = summary._repr_html_()
    assert "&lt;b&gt;bold" in shown
    assert "length 1 to 11" in shown
    for found, word in ((pipeline, "<svg"), (pipeline.plan(), "cached"), (plan.steps["output:A"], "ShownRows")):
        assert word in found._repr_html_()


@pytest.mark.parametrize("stats", [{}, {"accuracy": 0.5}])
def test_a_recorder_and_a_result(tmp_path: Path, stats: dict[str, float]) -> None:
    recorder = EvalRecorder("test")
    recorder.log_sample_dict({"text": "<b>", "n": 1})
    recorder.log_stats_dict(stats)
    assert "&lt;b&gt;" in recorder._repr_html_()
    assert ("accuracy" in recorder._repr_html_()) == bool(stats)
    assert "best.ckpt" in Result(tmp_path, stats, tmp_path / "best.ckpt")._repr_html_()
