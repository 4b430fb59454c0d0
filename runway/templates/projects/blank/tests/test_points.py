"""The data and the model, on a few rows."""

from __future__ import annotations

from data_ops.points import make_points

from runway.testing import run_config


def test_points_are_of_both_classes() -> None:
    data = make_points(rows=8, noise=0.0)
    assert {name: len(split) for name, split in data.items()} == {"train": 8, "validation": 4, "test": 4}
    assert set(data["train"]["label"]) == {0, 1}


def test_the_experiment_runs(tmp_path) -> None:
    run = run_config(
        "configs/exp_config.jsonnet", tmp_path, "data_pipeline.transforms.input:Points.setup_kwargs.rows=32"
    )
    assert 0 <= run.metrics["accuracy"] <= 1
