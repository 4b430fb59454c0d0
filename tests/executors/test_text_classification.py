"""TextClassificationExecutor: labels, losses, recorded columns, and errors that say which row of which split."""

from __future__ import annotations

import datasets
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from transformers import AutoConfig, AutoModelForSequenceClassification

from runway import EvalRecorder
from runway.errors import AssetError, ConfigError, DataError
from runway.executors.text_classification import TextClassificationExecutor
from runway.registry import executors, register_transform_functor
from runway.transforms.base import BaseTransform
from runway.transforms.batching.dataloaders import make_dataloader
from tests.executors.tiny import (
    ACCURACY_PIPELINE,
    BERT,
    VOCABULARY,
    TokenRows,
    build,
    dataset_config,
    tiny_config,
    trainer,
)

COLUMNS = {
    "predicted_class_id",
    "predicted_class_label",
    "ground_truth_class_id",
    "ground_truth_class_label",
    "probability",
    "loss",
}


def test_it_is_registered():
    assert executors.levels["ready-made"]["TextClassificationExecutor"] is TextClassificationExecutor


def test_learns_and_records_every_column(tmp_path):
    config = tiny_config(tmp_path, valid_pipeline=ACCURACY_PIPELINE)
    executor = build(TextClassificationExecutor, config, id2label=["first", "second"])
    executor.recorders_dir = tmp_path / "recorders"
    run = trainer(tmp_path, max_epochs=6)
    run.fit(executor)
    assert run.callback_metrics["accuracy"] > 0.8
    assert {"train_loss", "train_loss_step", "train_loss_epoch", "val_loss"} <= run.callback_metrics.keys()

    recorder = executor.valid_eval_recorder
    assert recorder.get_sample_logs("dict").keys() >= COLUMNS
    assert len(recorder) == 9  # batches of 8 and of 1
    row = recorder[0]
    assert row["ground_truth_class_label"] == ["first", "second"][row["ground_truth_class_id"]]
    assert 0.5 <= row["probability"] <= 1
    losses = recorder.get_sample_logs_column("loss")
    assert float(run.callback_metrics["val_loss"]) == pytest.approx(sum(losses) / 9, rel=1e-4)


def test_the_recorded_loss_is_the_cross_entropy_of_that_row(tmp_path):
    executor = build(TextClassificationExecutor, tiny_config(tmp_path))
    run = trainer(tmp_path)
    run.test(executor, verbose=False)
    rows = TokenRows(9, seed=2)
    executor.eval()
    with torch.no_grad():
        for row in (0, 4, 8):
            input_ids = torch.tensor([rows.token_ids[row]])
            logits = executor.model(input_ids=input_ids, attention_mask=torch.ones_like(input_ids)).logits
            recorded = executor.test_eval_recorder[row]
            assert recorded["ground_truth_class_id"] == rows.labels[row]
            assert recorded["predicted_class_id"] == int(logits.argmax())
            assert recorded["probability"] == pytest.approx(float(logits.softmax(-1).max()), abs=1e-4)
            expected = float(F.cross_entropy(logits, torch.tensor([rows.labels[row]])))
            assert recorded["loss"] == pytest.approx(expected, abs=1e-4)


def test_takes_a_tokenised_dataset_and_its_class_names(tmp_path):
    executor = build(TextClassificationExecutor, dataset_config(tmp_path, ["sport", "money", "art"]))
    assert executor.id2label == {0: "sport", 1: "money", 2: "art"}
    assert executor.model.config.label2id == {"sport": 0, "money": 1, "art": 2}
    run = trainer(tmp_path, max_epochs=2)
    run.fit(executor)
    run.test(executor, verbose=False)
    assert run.num_training_batches == 4
    truth = TokenRows(5, seed=2, num_labels=3).labels
    assert list(executor.test_eval_recorder.get_sample_logs_column("ground_truth_class_id")) == truth
    assert (
        list(executor.valid_eval_recorder.get_sample_logs_column("ground_truth_class_id")) == TokenRows(9, 1, 3).labels
    )


@pytest.mark.parametrize(
    ("model_config", "expected"),
    [
        ({"id2label": {"0": "no", "1": "yes"}}, {0: "no", 1: "yes"}),  # jsonnet's keys are text
        ({"id2label": ["no", "yes", "maybe"]}, {0: "no", 1: "yes", 2: "maybe"}),
        ({"num_labels": 3}, {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}),
        ({}, {0: "LABEL_0", 1: "LABEL_1"}),
    ],
)
def test_labels_from_the_config(tmp_path, model_config, expected):
    config = tiny_config(tmp_path, model_config={"from_config_kwargs": dict(BERT), **model_config})
    executor = build(TextClassificationExecutor, config)
    assert executor.id2label == expected
    assert executor.num_labels == executor.model.classifier.out_features == len(expected)


@pytest.mark.parametrize(
    ("model_config", "message"),
    [
        ({"id2label": {"0": "no", "2": "yes"}}, r"must name the classes 0 to 1, but names \[0, 2\]"),
        ({"id2label": ["no", "yes"], "num_labels": 3}, "must name the classes 0 to 2"),
        ({"id2label": {"no": 0}}, "must be whole numbers"),
    ],
)
def test_labels_that_do_not_fit_are_config_errors(tmp_path, model_config, message):
    config = tiny_config(tmp_path, model_config={"from_config_kwargs": dict(BERT), **model_config})
    with pytest.raises(ConfigError, match=message):
        build(TextClassificationExecutor, config)


def test_a_label_that_the_model_does_not_have(tmp_path):
    config = tiny_config(
        tmp_path, loaders={"num_labels": 4}, model_config={"from_config_kwargs": BERT, "num_labels": 2}
    )
    run = trainer(tmp_path, num_sanity_val_steps=0)
    with pytest.raises(DataError, match=r"the label [23] is none of the model's 2 labels") as error:
        run.fit(build(TextClassificationExecutor, config))
    assert "train split" in error.value.where
    assert "num_labels" in error.value.hint
    with pytest.raises(DataError) as error:
        run.test(build(TextClassificationExecutor, config), verbose=False)
    assert "test split" in error.value.where


def test_batches_without_labels_or_with_missing_ones(tmp_path):
    executor = build(TextClassificationExecutor, tiny_config(tmp_path))
    with pytest.raises(DataError, match="no 'labels'"):
        executor.on_before_batch_transfer({"input_ids": torch.ones(2, 3)}, 0)
    with pytest.raises(DataError, match="the label -1") as error:
        executor.on_before_batch_transfer({"labels": torch.tensor([1, -1])}, 0)
    assert "without a label" in error.value.hint
    with pytest.raises(DataError, match="whole numbers"):
        executor.on_before_batch_transfer({"labels": torch.tensor([0.5])}, 0)


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    sizes = {key: value for key, value in BERT.items() if key != "model_type"}
    model = AutoModelForSequenceClassification.from_config(AutoConfig.for_model("bert", **sizes))
    model.half().save_pretrained(folder)
    return folder


def test_a_pretrained_model_from_a_folder_of_the_project(tmp_path, saved_model):
    project = saved_model.parent
    config = tiny_config(project, model_config={"from_pretrained_kwargs": {"pretrained_model_name_or_path": "tiny"}})
    executor = build(TextClassificationExecutor, config, id2label=["a", "b"])
    assert executor.model.config.id2label == {0: "a", 1: "b"}
    assert executor.model.classifier.weight.dtype == torch.float32  # the file holds halves
    assert executor.model.config._attn_implementation == "sdpa"


def test_a_model_of_another_number_of_classes_gets_a_new_head(tmp_path, saved_model):
    given = {"pretrained_model_name_or_path": str(saved_model), "ignore_mismatched_sizes": True}
    executor = build(
        TextClassificationExecutor,
        tiny_config(tmp_path, model_config={"from_pretrained_kwargs": given, "num_labels": 5}),
    )
    assert executor.model.classifier.out_features == 5


@pytest.mark.parametrize("name", ["nobody/has-this-model", "./not/here"])
def test_a_model_that_cannot_be_had(tmp_path, name):
    config = tiny_config(tmp_path, model_config={"from_pretrained_kwargs": {"pretrained_model_name_or_path": name}})
    with pytest.raises(AssetError) as error:
        build(TextClassificationExecutor, config)
    assert name.lstrip("./") in str(error.value)
    assert error.value.where == "model_config.from_pretrained_kwargs.pretrained_model_name_or_path"


@pytest.mark.parametrize(
    ("model_config", "message"),
    [
        ({}, "no model is named"),
        ({"from_config_kwargs": {"hidden_size": 32}}, "model_type"),
        ({"from_config_kwargs": {"model_type": "bertt"}}, "bertt"),
    ],
)
def test_a_model_that_is_not_described(tmp_path, model_config, message):
    with pytest.raises(ConfigError, match=message):
        build(TextClassificationExecutor, tiny_config(tmp_path, model_config=model_config))


def test_lora_trains_the_adapters_and_the_head_only(tmp_path):
    lora = {"r": 2, "target_modules": ["query", "value"]}
    optimizer_config = {"optimizer_params": {"lr": 0.02}}
    config = tiny_config(tmp_path, train={"use_lora": True, "lora_config": lora, "optimizer_config": optimizer_config})
    torch.manual_seed(1)  # the adapters start from random weights
    executor = build(TextClassificationExecutor, config)
    trained = {name for name, parameter in executor.named_parameters() if parameter.requires_grad}
    assert all("lora_" in name or "classifier" in name for name in trained)
    assert any("lora_" in name for name in trained)
    assert any("classifier" in name for name in trained)
    frozen = {name: value.clone() for name, value in executor.state_dict().items() if "base_layer" in name}
    run = trainer(tmp_path, max_epochs=8)
    run.fit(executor)
    assert all(torch.equal(value, executor.state_dict()[name]) for name, value in frozen.items())
    assert run.callback_metrics["val_loss"] < 0.6


def test_lora_of_one_part(tmp_path):
    lora = {"bert.encoder": {"r": 2, "target_modules": ["query"]}}
    executor = build(TextClassificationExecutor, tiny_config(tmp_path, train={"use_lora": True, "lora_config": lora}))
    adapters = [name for name in executor.state_dict() if "lora_" in name]
    assert len(adapters) == 4
    assert all("encoder" in name for name in adapters)


@pytest.mark.parametrize(
    ("lora", "message"),
    [
        ({"rank": 4}, "no argument 'rank'"),
        ({"bert.encodr": {"r": 2}}, "no part 'bert.encodr'"),
        ({"r": 2, "target_modules": ["q_proj"]}, "peft cannot adapt 'model'"),
    ],
)
def test_wrong_lora_configs(tmp_path, lora, message):
    with pytest.raises(ConfigError, match=message) as error:
        build(TextClassificationExecutor, tiny_config(tmp_path, train={"use_lora": True, "lora_config": lora}))
    assert error.value.hint


def test_best_precision_is_one_that_lightning_knows(tmp_path):
    from runway.executors.precision import best_precision

    assert best_precision("cpu") in ("bf16-mixed", "32-true")
    assert best_precision("tpu") == "32-true"
    run = trainer(tmp_path, precision="bf16-mixed", limit_train_batches=2)
    executor = build(TextClassificationExecutor, tiny_config(tmp_path))
    run.fit(executor)
    assert executor.model.classifier.weight.dtype == torch.float32
    assert isinstance(executor.valid_eval_recorder, EvalRecorder)


def test_the_vocabulary_of_the_tiny_model_fits_the_rows():
    assert max(max(token_ids) for token_ids in TokenRows(50, 0).token_ids) < VOCABULARY == BERT["vocab_size"]


@register_transform_functor
class MakeNamedLoaders(BaseTransform):
    """Runway's own loaders over rows whose label is a ClassLabel."""

    def _call(self, data):
        label = datasets.ClassLabel(names=["sad", "glad"])
        features = datasets.Features({"input_ids": datasets.List(datasets.Value("int64")), "label": label})
        rows = datasets.Dataset.from_dict({"input_ids": [[1, 2], [3]], "label": [0, 1]}, features=features)
        return {"train_dataloaders": [make_dataloader(rows)], "val_dataloaders": [make_dataloader(rows)]}


def test_the_classes_names_are_found_behind_runways_own_loaders(tmp_path):
    config = tiny_config(tmp_path)
    node = next(iter(config["data_pipeline"]["transforms"].values()))
    node["transform_name"] = "MakeNamedLoaders"
    node["setup_kwargs"] = {}
    executor = build(TextClassificationExecutor, config)
    assert executor.id2label == {0: "sad", 1: "glad"}
