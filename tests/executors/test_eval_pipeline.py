"""The evaluation after a validation: recorders saved once, metrics monitored, mistakes found early."""

from __future__ import annotations

import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from runway.errors import ConfigError, RunFailed
from tests.executors.tiny import ACCURACY_PIPELINE, TokenRows, build, tiny_config, trainer
from tests.executors.walkthrough import WalkthroughExecutor, load_validation


def test_rows_are_recorded_in_the_order_of_the_dataset(tmp_path):
    config = tiny_config(tmp_path, valid_pipeline=ACCURACY_PIPELINE)
    executor = build(WalkthroughExecutor, config)
    executor.recorders_dir = tmp_path / "recorders"
    run = trainer(tmp_path, limit_train_batches=1)
    run.fit(executor)

    recorder = load_validation(executor.recorders_dir, 1)
    truth = list(recorder.get_sample_logs_column("ground_truth_class_id"))
    assert truth == TokenRows(9, seed=1).labels
    predicted = list(recorder.get_sample_logs_column("predicted_class_id"))
    accuracy = sum(a == b for a, b in zip(truth, predicted, strict=True)) / len(truth)
    assert recorder.get_stats_logs()["accuracy"] == pytest.approx(accuracy)
    assert float(run.callback_metrics["accuracy"]) == pytest.approx(accuracy)


SAVE = {
    "input_node": "output:Metrics",
    "transform_name": "MergeAllEvalRecorderAndSave",
    "setup_kwargs": {"eval_recorder_prefix": "evaluated"},
}


@pytest.mark.parametrize(
    ("nodes", "prefix"), [({}, ""), ({"output:Save": SAVE}, "evaluated-")], ids=["executor", "pipeline"]
)
def test_one_recorder_is_saved_for_each_validation(tmp_path, nodes, prefix):
    """By the executor, or by the pipeline where that saves it: never by both."""
    pipeline = {"transforms": {**ACCURACY_PIPELINE["transforms"], **nodes}, "out_ops": [*nodes] or None}
    executor = build(WalkthroughExecutor, tiny_config(tmp_path, valid_pipeline=pipeline))
    executor.recorders_dir = tmp_path / "recorders"
    trainer(tmp_path, val_check_interval=2, num_sanity_val_steps=2).fit(executor)
    saved = {folder.name: [path.suffix for path in folder.iterdir()] for folder in executor.recorders_dir.iterdir()}
    assert saved.keys() == {f"{prefix}validation-step2", f"{prefix}validation-step4"}
    assert all(suffixes.count(".parquet") == 1 for suffixes in saved.values())
    assert "accuracy" in executor.valid_eval_recorder.get_stats_logs()


def test_validating_again_replaces_the_recorder(tmp_path):
    executor = build(WalkthroughExecutor, tiny_config(tmp_path))
    executor.recorders_dir = tmp_path / "recorders"
    run = trainer(tmp_path)
    run.validate(executor, verbose=False)
    first = load_validation(executor.recorders_dir, 0).get_sample_logs_column("predicted_class_id")
    with torch.no_grad():
        executor.model.classifier.bias += torch.tensor([1000.0, 0.0])
    run.validate(executor, verbose=False)
    second = load_validation(executor.recorders_dir, 0).get_sample_logs_column("predicted_class_id")
    assert list(second) == [0] * 9
    assert len(first) == 9


def test_without_a_pipeline_the_predictions_are_kept(tmp_path):
    executor = build(WalkthroughExecutor, tiny_config(tmp_path))
    executor.recorders_dir = tmp_path / "recorders"
    run = trainer(tmp_path)
    run.fit(executor)
    assert len(load_validation(executor.recorders_dir, 4)) == 9
    assert "accuracy" not in run.callback_metrics


def test_a_broken_metric_does_not_cost_the_predictions(tmp_path):
    broken = {
        "transforms": {
            "input:Get": {"transform_name": "GetEvaluationRecorder"},
            "output:Metrics": {
                "input_node": "input:Get",
                "transform_name": "ComputeMetrics",
                "setup_kwargs": {"metrics": ["accuracy"], "pred_field": "predicted", "ref_field": "truth"},
            },
        }
    }
    executor = build(WalkthroughExecutor, tiny_config(tmp_path, valid_pipeline=broken))
    executor.recorders_dir = tmp_path / "recorders"
    with pytest.raises(RunFailed):
        trainer(tmp_path).validate(executor, verbose=False)
    assert len(load_validation(executor.recorders_dir, 0)) == 9


def test_a_misspelt_pipeline_is_found_before_the_first_step(tmp_path):
    nodes = {"output:Metrics": {"transform_name": "ComputeMetricz"}}
    executor = build(WalkthroughExecutor, tiny_config(tmp_path, valid_pipeline={"transforms": nodes}))
    run = trainer(tmp_path)
    with pytest.raises(ConfigError, match="unknown transform 'ComputeMetricz'") as error:
        run.fit(executor)
    assert error.value.where.startswith("eval.valid_eval_pipeline_config")
    assert run.global_step == 0


@pytest.mark.parametrize("section", ["valid_eval_pipeline_config", "pipeline_config"])
def test_metrics_can_be_monitored(tmp_path, section):
    config = tiny_config(tmp_path, eval={section: ACCURACY_PIPELINE})
    executor = build(WalkthroughExecutor, config)
    checkpoint = ModelCheckpoint(tmp_path / "saved", monitor="accuracy", mode="max", filename="{step}-{accuracy:.2f}")
    stopping = EarlyStopping("accuracy", mode="max", patience=4)
    run = trainer(tmp_path, max_epochs=40, callbacks=[checkpoint, stopping], enable_checkpointing=True)
    run.fit(executor)
    assert stopping.stopped_epoch > 0
    assert stopping.best_score == checkpoint.best_model_score > 0.7
    assert f"accuracy={checkpoint.best_model_score:.2f}" in checkpoint.best_model_path
