"""The data, and the experiment on a few batches."""

from __future__ import annotations

from data_ops.digits import load_digits
from runway.testing import run_config


def test_every_digit_is_there() -> None:
    rows = load_digits()["train"]
    assert len(rows) == 1797
    assert set(rows["label"]) == set(range(10))
    assert rows[0]["image"].size == (8, 8)


def test_the_experiment_runs(tmp_path) -> None:
    assert 0 <= run_config("configs/exp_config.jsonnet", tmp_path, batches=1).metrics["accuracy"] <= 1
