"""BaseExecutor: an executor written as the walkthrough shows, its data, its recorders, its evaluation."""

from __future__ import annotations

import math

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from transformers import AutoConfig, AutoModelForSequenceClassification

from runway import EvalRecorder
from runway.errors import ConfigError, DataError, RunFailed
from runway.executors.base_executor import BaseExecutor
from runway.executors.callbacks.stop_on_nan import NonFiniteLossError, StopOnNaN
from tests.executors.tiny import ACCURACY_PIPELINE, BERT, MakeTinyLoaders, TokenRows, build, tiny_config, trainer


class WalkthroughExecutor(BaseExecutor):
    """As in the original's README and demo, hook by hook."""

    def __init__(
        self,
        data_pipeline_config,
        model_config,
        mode,
        train_config={},  # noqa: B006 (as users write it)
        test_config={},  # noqa: B006
        log_file_path=None,
        use_data_node=None,
        tokenizer=None,
        global_config=None,
        *args,
        **kwargs,
    ):
        self.id2label = {0: "NEGATIVE", 1: "POSITIVE"}
        self.label2id = {"NEGATIVE": 0, "POSITIVE": 1}
        super().__init__(
            data_pipeline_config,
            model_config,
            mode,
            train_config=train_config,
            test_config=test_config,
            log_file_path=log_file_path,
            tokenizer=tokenizer,
            global_config=global_config,
            *args,  # noqa: B026
            **kwargs,
        )
        self.use_data_node = use_data_node

    def _init_model(self, model_config):
        self.model = AutoModelForSequenceClassification.from_config(
            AutoConfig.for_model(**model_config.from_config_kwargs, id2label=self.id2label, label2id=self.label2id)
        ).eval()

    def prepare_data(self):
        super().prepare_data()

    def setup(self, stage):
        super().setup(stage)
        self.prepared_data = self.dp.get_data([self.use_data_node], explode=True)

        self.train_dataloaders = self.prepared_data.get("train_dataloaders", None)
        self.valid_dataloaders = self.prepared_data.get("val_dataloaders", None)
        self.test_dataloaders = self.prepared_data.get("test_dataloaders", None)

    def training_step(self, batch, batch_idx):
        x, y, mask = batch["input_ids"], batch["labels"], batch["attention_mask"]
        outputs = self.model(input_ids=x, labels=y, attention_mask=mask)
        loss = outputs.loss
        self.log("train_loss", loss, prog_bar=True, on_epoch=True, on_step=True, logger=True)
        return loss

    def _model_predict(self, input_ids, mask, labels):
        outputs = self.model(input_ids=input_ids, labels=labels, attention_mask=mask)
        ids = outputs.logits.argmax(-1).tolist()
        labels = [self.id2label[i] for i in ids]
        return {"predicted_class_id": ids, "predicted_class_label": labels}, outputs.loss

    def validation_step(self, batch, batch_idx):
        x, y, mask = batch["input_ids"], batch["labels"], batch["attention_mask"]
        pred_res, loss = self._model_predict(input_ids=x, mask=mask, labels=y)
        y = y.tolist()
        gt_class_labels = [self.model.config.id2label[_id] for _id in y]
        self.log("val_loss", loss)
        dict_to_log = {"ground_truth_class_id": y, "ground_truth_class_label": gt_class_labels}
        dict_to_log.update(pred_res)
        self.valid_eval_recorder.log_sample_dict_batch(dict_to_log)

    def test_step(self, batch, batch_idx):
        x, y, mask = batch["input_ids"], batch["labels"], batch["attention_mask"]
        pred_res, loss = self._model_predict(input_ids=x, mask=mask, labels=y)
        self.log("test_loss", loss)
        self.test_eval_recorder.log_sample_dict_batch({"ground_truth_class_id": y.tolist(), **pred_res})


def load_validation(folder, step):
    name = f"validation-step{step}"
    (saved,) = (folder / name).glob("*.parquet")
    return EvalRecorder.load_from_disk(name, folder, file_prefix=saved.name.removesuffix("-sample_log.parquet"))


def test_an_executor_written_as_in_the_walkthrough_trains_validates_and_tests(tmp_path):
    config = tiny_config(tmp_path, valid_pipeline=ACCURACY_PIPELINE)
    executor = build(WalkthroughExecutor, config)
    executor.recorders_dir = tmp_path / "recorders"
    run = trainer(tmp_path, max_epochs=6)
    run.fit(executor)

    assert {"train_loss", "val_loss", "accuracy"} <= run.callback_metrics.keys()
    assert run.callback_metrics["accuracy"] > 0.8
    assert sorted(folder.name for folder in executor.recorders_dir.iterdir()) == sorted(
        f"validation-step{step}" for step in (4, 8, 12, 16, 20, 24)
    )
    run.test(executor, verbose=False)
    expected = TokenRows(9, seed=2).labels
    assert list(executor.test_eval_recorder.get_sample_logs_column("ground_truth_class_id")) == expected


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


def test_the_model_starts_in_training_mode(tmp_path):
    executor = build(WalkthroughExecutor, tiny_config(tmp_path))  # its _init_model leaves the model in eval mode
    assert all(module.training for module in executor.modules())


def test_the_learning_rate_is_logged(tmp_path):
    schedule = {"scheduler": "linear", "scheduler_params": {"warmup_ratio": 0.5}}
    optimizer_config = {"optimizer_name": "SGD", "optimizer_params": {"lr": 1.0}, **schedule}
    executor = build(WalkthroughExecutor, tiny_config(tmp_path, train={"optimizer_config": optimizer_config}))
    rates = []

    class Watch(lightning.Callback):
        def on_train_batch_end(self, trainer, *args):
            rates.append(float(trainer.callback_metrics["lr"]))

    trainer(tmp_path, log_every_n_steps=1, callbacks=[Watch()], limit_val_batches=0).fit(executor)
    assert rates == pytest.approx([0, 0.5, 1, 0.5])


class DefaultsExecutor(WalkthroughExecutor):
    """Uses the dataloader hooks of the base class."""

    def setup(self, stage):
        BaseExecutor.setup(self, stage)


def test_dataloaders_come_from_the_data_node(tmp_path):
    executor = build(DefaultsExecutor, tiny_config(tmp_path))
    run = trainer(tmp_path)
    run.fit(executor)
    run.test(executor, verbose=False)
    assert run.num_training_batches == 4
    assert len(executor.test_eval_recorder) == 9


def test_a_data_node_that_is_not_named_is_an_error(tmp_path):
    executor = build(DefaultsExecutor, tiny_config(tmp_path), use_data_node=None)
    with pytest.raises(ConfigError, match="does not know which node"):
        executor.train_dataloader()


def test_a_data_node_of_the_wrong_kind_is_an_error(tmp_path):
    config = tiny_config(tmp_path)
    config.data_pipeline.transforms["output:Loaders"].transform_name = "GiveANumber"
    with pytest.raises(DataError, match="int instead"):
        build(DefaultsExecutor, config).val_dataloader()


def test_unknown_settings_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no setting 'use_datanode'") as error:
        build(WalkthroughExecutor, tiny_config(tmp_path), use_datanode="output:Loaders")
    assert "use_data_node" in error.value.hint
    assert error.value.where == "executor.init_kwargs"


class ExplodingExecutor(WalkthroughExecutor):
    def training_step(self, batch, batch_idx):
        return super().training_step(batch, batch_idx) * (math.nan if batch_idx == 2 else 1)


def test_a_loss_that_is_no_number_stops_the_training(tmp_path):
    executor = build(ExplodingExecutor, tiny_config(tmp_path))
    with pytest.raises(NonFiniteLossError, match="nan") as error:
        trainer(tmp_path).fit(executor)
    assert error.value.step == 2
    assert "lr" in error.value.hint
    assert "batch 2" in error.value.where

    config = tiny_config(tmp_path)
    config.train.stop_on_nan = False
    run = trainer(tmp_path, limit_val_batches=0)
    run.fit(build(ExplodingExecutor, config))
    assert run.global_step == 4


@pytest.mark.parametrize("every", [2, 3, 50])
def test_a_bad_loss_that_is_fetched_later_still_names_its_step(tmp_path, every):
    """As on a GPU, where the verdict is not waited for."""
    executor = build(ExplodingExecutor, tiny_config(tmp_path))
    with pytest.raises(NonFiniteLossError) as error:
        trainer(tmp_path, callbacks=[StopOnNaN(every_n_steps=every)], limit_val_batches=0).fit(executor)
    assert error.value.step == 2


def test_compile_keeps_the_names_of_the_weights(tmp_path):
    config = tiny_config(tmp_path)
    plain = build(WalkthroughExecutor, config).state_dict().keys()
    config.train.compile = {"backend": "eager", "dynamic": True}
    compiled = build(WalkthroughExecutor, config)
    assert compiled.state_dict().keys() == plain
    trainer(tmp_path, limit_train_batches=1).fit(compiled)


def test_importing_the_package_does_not_import_torch():
    import subprocess
    import sys

    code = "import sys, runway.executors; print(sorted({'torch', 'lightning', 'transformers'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_tiny_things_are_what_these_tests_think():
    assert BERT["model_type"] == "bert"
    loaders = MakeTinyLoaders()
    loaders.setup()
    batches = [batch["index"].tolist() for batch in loaders(None)["val_dataloaders"][0]]
    order = [row for batch in batches for row in batch]
    assert order != sorted(order)
    assert [len(batch) for batch in batches] == [8, 1]
