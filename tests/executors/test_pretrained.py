"""Models from folders and hubs, and what is said where there is none."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from runway.errors import AssetError, ConfigError
from runway.executors.text_classification import TextClassificationExecutor
from tests.executors.tiny import (
    BERT,
    build,
    tiny_config,
)


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
