"""Testing and evaluating: the right version, the right weights, the numbers on disk and on the screen."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from runway.errors import ConfigError, ExperimentError
from runway.recorder import EvalRecorder
from tests.experiment.tiny import EVALUATION, names, tiny


def test_a_test_takes_the_newest_trained_version_and_its_best_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny(tmp_path).train()
    trained = tiny(tmp_path).train()
    tiny(tmp_path).folder.claim()  # a start that was killed left this one
    result = tiny(tmp_path).test()
    assert result.path == tmp_path / "runs/tiny_V1/test/first"
    assert result.checkpoint == trained.checkpoint
    assert result.metrics["test_loss"] == pytest.approx(trained.metrics["val_loss"])  # the same rows
    assert json.loads((result.path / "metrics.json").read_text()) == result.metrics
    assert set(names(result.path)) >= {"config.json", "provenance.json", "metrics.json", "run.log", "test-evaluation"}
    shown = capsys.readouterr()
    assert "mean_error" in shown.out
    assert str(result.path) in shown.err
    recorder = EvalRecorder.load_from_disk("test-evaluation", result.path)
    assert len(recorder) == 20
    assert json.loads((result.path / "provenance.json").read_text())["checkpoint"].startswith("train/saved_models/")


def test_version_and_checkpoint_can_be_named(tmp_path: Path) -> None:
    for _ in range(2):
        tiny(tmp_path).train()
    result = tiny(tmp_path, "exp_version=0", "test.checkpoint_name=last.ckpt", "test_suffix=again").test()
    assert result.path == tmp_path / "runs/tiny_V0/test/again"
    assert result.checkpoint == tmp_path / "runs/tiny_V0/train/saved_models/last.ckpt"
    with pytest.raises(ExperimentError, match="no version 7") as caught:
        tiny(tmp_path, "exp_version=7").test()
    assert "tiny_V1" in str(caught.value.hint)
    assert names(tmp_path / "runs") == ["tiny_V0", "tiny_V1"]


def test_an_untrained_model_is_never_tested(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="no version with checkpoints"):
        tiny(tmp_path).test()
    tiny(tmp_path).train()
    shutil.rmtree(tmp_path / "runs/tiny_V0/train/saved_models")
    for override in ("exp_version=0", "test.checkpoint_name=last.ckpt"):
        with pytest.raises(ExperimentError, match="checkpoints"):
            tiny(tmp_path, override).test()
    assert not (tmp_path / "runs/tiny_V0/test").exists()


def test_train_then_test_in_one_go(tmp_path: Path) -> None:
    experiment = tiny(tmp_path, reset=True, assume_yes=True)
    trained, tested = experiment.train(), experiment.test()
    assert tested.path.parent.parent == trained.path.parent


def test_an_evaluation_needs_no_second_test(tmp_path: Path) -> None:
    tiny(tmp_path).train()
    tested = tiny(tmp_path).test()
    shutil.rmtree(tmp_path / "runs/tiny_V0/train/saved_models")
    (tested.path / "metrics.json").unlink()
    evaluated = tiny(tmp_path).eval()
    assert evaluated.path == tested.path
    assert evaluated.metrics == tested.metrics
    assert json.loads((tested.path / "metrics.json").read_text()) == tested.metrics


def test_an_evaluation_without_a_test_says_which_there_are(tmp_path: Path) -> None:
    tiny(tmp_path).train()
    with pytest.raises(ExperimentError, match="no version with a test 'first'"):
        tiny(tmp_path).eval()
    tiny(tmp_path).test()
    with pytest.raises(ExperimentError, match="has no test 'secnd'") as caught:
        tiny(tmp_path, "test_suffix=secnd", "exp_version=0").eval()
    assert "first" in str(caught.value.hint)


def test_the_evaluation_knows_where_the_run_stands(tmp_path: Path) -> None:
    transforms = {
        "input:Saved": {"transform_name": "GetEvaluationRecorder"},
        "output:MeanError": {"transform_name": "MeanError", "input_node": "input:Saved"},
    }
    sections = {"eval": {"test_eval_pipeline_config": {"transforms": transforms}, "pipeline_config": EVALUATION}}
    tiny(tmp_path, sections=sections).train()
    tested = tiny(tmp_path, sections=sections).test()
    assert tiny(tmp_path, sections=sections).eval().metrics == tested.metrics


def test_flags_for_training_are_refused_elsewhere(tmp_path: Path) -> None:
    for mode in ("test", "eval"):
        with pytest.raises(ConfigError, match="--reset is for training"):
            getattr(tiny(tmp_path, reset=True), mode)()


def test_prepare_data_runs_the_pipeline_and_makes_no_version(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny(tmp_path).prepare_data()
    assert "output:Rows" in capsys.readouterr().err
    assert names(tmp_path / "runs") == []
