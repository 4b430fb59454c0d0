"""Which run is the best: scores, NaN, seeds, ties, and a metric that nobody logged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runway.errors import ExperimentError
from runway.experiment.folders.run_folder import RunFolder
from runway.sweep.report import verdict
from runway.sweep.scores import Outcome, Setting, by_setting, check_logged, half_width, read_metrics, tied_with
from runway.sweep.settings import SweepSettings
from runway.sweep.space import Space


def run_of(path: Path, history: list[dict[str, Any]], index: dict[str, Any] | None = None) -> RunFolder:
    """A run with this history of metrics, a row a validation."""
    rows = [{"step": number + 1, "epoch": number, "metrics": metrics} for number, metrics in enumerate(history)]
    (path / "train/saved_models").mkdir(parents=True)
    (path / "train/metrics_history.json").write_text(json.dumps(rows))
    (path / "train/saved_models/checkpoints.json").write_text(json.dumps(index or {}))
    return RunFolder(path, 0)


def outcomes(scores: dict[str, list[float | None]]) -> list[Outcome]:
    return [
        Outcome({"a": name}, seed, f"{name}{seed}", "finished", score=score)
        for name, found in scores.items()
        for seed, score in enumerate(found)
    ]


def test_the_score_is_the_best_validation_and_the_metrics_are_of_that_checkpoint(tmp_path: Path) -> None:
    history = [{"loss": 3.0, "bleu": 10.0}, {"loss": 1.0, "bleu": 20.0}, {"loss": 2.0, "bleu": 30.0}]
    run = run_of(tmp_path, history, {"monitor": "loss", "mode": "min"})
    assert read_metrics(run, "loss", "min") == (1.0, {"loss": 1.0, "bleu": 20.0})
    assert read_metrics(run, "bleu", "max") == (20.0, {"loss": 1.0, "bleu": 20.0})  # the checkpoint is by loss
    assert read_metrics(run, "accuracy", "max")[0] is None


def test_nan_never_wins(tmp_path: Path) -> None:
    run = run_of(tmp_path, [{"loss": "nan"}, {"loss": 2.0}, {"loss": "-inf"}])
    assert read_metrics(run, "loss", "min")[0] == 2.0
    settings = by_setting(outcomes({"none": [None, None], "some": [5.0, None]}), "min")
    assert [one.point["a"] for one in settings] == ["some", "none"]
    nothing = run_of(tmp_path / "other", [{"loss": "nan"}])
    assert read_metrics(nothing, "loss", "min")[0] is None


def test_settings_are_ordered_by_the_mean_over_seeds_with_its_interval() -> None:
    settings = by_setting(outcomes({"a": [1.0, 3.0], "b": [1.5, 1.7], "c": [9.0, 9.2]}), "min")
    assert [one.point["a"] for one in settings] == ["b", "a", "c"]
    assert [one.point["a"] for one in by_setting(outcomes({"a": [1.0], "b": [2.0]}), "max")] == ["b", "a"]
    # Student's t with one degree of freedom: 12.706 * 0.1414 / sqrt(2)
    assert settings[0].half_width == pytest.approx(1.2706, abs=1e-3)
    assert half_width([1.0]) is None


def test_ties_are_what_the_seeds_cannot_tell_apart() -> None:
    settings = by_setting(outcomes({"a": [1.0, 2.0, 3.0], "b": [1.1, 2.0, 3.1], "c": [4.0, 5.0, 6.1]}), "min")
    assert [one.point["a"] for one in tied_with(settings[0], settings)] == ["b"]
    unpaired = [
        Setting({"a": 1}, outcomes({"a": [1.0, 2.0, 3.0]})),
        Setting({"a": 2}, outcomes({"b": [1.5, 2.5]})),
        Setting({"a": 3}, outcomes({"c": [19.0, 20.0]})),
    ]
    assert [one.point["a"] for one in tied_with(unpaired[0], unpaired)] == [2]
    same = by_setting(outcomes({"a": [1.0, 1.0, 1.0], "b": [1.0, 1.0, None]}), "min")
    assert [one.point["a"] for one in tied_with(same[0], same)] == [same[1].point["a"]]
    single = by_setting(outcomes({"a": [1.0], "b": [1.0], "c": [1.01]}), "min")
    assert [one.point["a"] for one in tied_with(single[0], single)] == ["b"]


def test_a_metric_that_nobody_logged_is_told_with_those_that_are(tmp_path: Path) -> None:
    run = run_of(tmp_path, [{"val_loss": 1.0, "val_accuracy": "nan"}])
    found = [Outcome({}, None, "k", "finished", run)]
    with pytest.raises(ExperimentError, match="no trial has logged the metric 'val_los'") as error:
        check_logged(found, "val_los")
    assert error.value.hint
    assert "did you mean 'val_loss'" in error.value.hint
    assert "logged are: val_accuracy, val_loss" in error.value.hint
    with pytest.raises(ExperimentError, match="no trial has a finite 'val_accuracy'"):
        check_logged(found, "val_accuracy")
    check_logged([Outcome({}, None, "k", "failed")], "val_los")  # another mistake is told there


def test_a_best_whose_other_seeds_have_failed_is_told_as_such() -> None:
    asked = SweepSettings("grid", Space(()), "loss", "min", "a")
    lucky = by_setting(outcomes({"a": [1.0, None, None], "b": [1.5, 1.7, 1.6]}), "min")
    said = verdict(lucky, asked)
    assert "its mean is of 1 of 3 seeds (no score: the others): it may be the best because of that" in said
    assert not any("one seed each" in line for line in said)
    assert len(verdict(by_setting(outcomes({"a": [1.0], "b": [2.0]}), "min"), asked)) == 2
