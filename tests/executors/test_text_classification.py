"""TextClassificationExecutor: labels, losses, recorded columns, and errors that say which row of which split."""

from __future__ import annotations

import datasets
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from runway.errors import ConfigError, DataError
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


def test_a_key_of_model_config_that_nothing_reads_is_told(tmp_path, capsys):
    build(
        TextClassificationExecutor,
        tiny_config(tmp_path, model_config={"from_config_kwargs": dict(BERT), "label2id": 1}),
    )
    assert "model_config.label2id is not used (did you mean 'id2label'?)" in capsys.readouterr().err


def test_tokens_that_are_added_have_embeddings(tmp_path, capsys):
    class Tokenizer:
        def __len__(self):
            return VOCABULARY + 3

    config = tiny_config(tmp_path, tokenizer_config={"version_name": "x", "additional_tokens": ["<a>", "<b>", "<c>"]})
    executor = build(TextClassificationExecutor, config, tokenizer=Tokenizer())
    assert executor.model.get_input_embeddings().num_embeddings == VOCABULARY + 3


def test_a_token_that_the_model_does_not_have_is_an_error(tmp_path):
    executor = build(TextClassificationExecutor, tiny_config(tmp_path))
    batch = {"input_ids": torch.tensor([[1, VOCABULARY]]), "labels": torch.tensor([0])}
    with pytest.raises(DataError, match=f"token id {VOCABULARY} is none of the model's {VOCABULARY} tokens") as error:
        executor.on_before_batch_transfer(batch, 0)
    assert "additional_tokens" in error.value.hint


def test_a_batch_of_one_row(tmp_path):
    config = dataset_config(tmp_path, ["a", "b"], test={"batch_size": 1}, eval={"pipeline_config": ACCURACY_PIPELINE})
    executor = build(TextClassificationExecutor, config)
    run = trainer(tmp_path)
    run.fit(executor)
    assert len(executor.valid_eval_recorder) == 9
    losses = executor.valid_eval_recorder.get_sample_logs_column("loss")
    assert float(run.callback_metrics["val_loss"]) == pytest.approx(sum(losses) / 9, rel=1e-5)
