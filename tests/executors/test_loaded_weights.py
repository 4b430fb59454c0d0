"""Weights that are not the model's are an error, what is left over is told, and tied ones load."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
)

from runway.errors import ConfigError, ExperimentError
from runway.executors.loaded_weights import with_tied_weights
from runway.executors.text_classification import TextClassificationExecutor
from runway.experiment.checkpoint_content import load_weights
from tests.executors.tiny import BERT, build, tiny_config
from tests.executors.tiny_translation import BART, MARIAN, T5, make

SIZES = {key: value for key, value in BERT.items() if key != "model_type"}


def saved(folder, auto_class=AutoModelForSequenceClassification, **sizes):
    auto_class.from_config(AutoConfig.for_model("bert", **{**SIZES, **sizes})).save_pretrained(folder)
    return folder


def renamed(folder, rename):
    path = folder / "model.safetensors"
    state = {rename(key): value.clone() for key, value in load_file(path).items()}
    save_file({key: value for key, value in state.items() if key}, path, metadata={"format": "pt"})


def loaded(tmp_path, folder, **model_config):
    given = {"pretrained_model_name_or_path": str(folder), **model_config.pop("more", {})}
    sections = {"model_config": {"from_pretrained_kwargs": given, **model_config}}
    return build(TextClassificationExecutor, tiny_config(tmp_path, **sections), id2label=["a", "b"])


def test_every_weight_named_otherwise(tmp_path):
    folder = saved(tmp_path / "bert")
    renamed(folder, lambda key: f"net.inner.{key}")
    with pytest.raises(ConfigError, match="more than a head would start at random") as caught:
        loaded(tmp_path, folder)
    told = str(caught.value)
    assert "as if 'net.inner.' stood before each name" in told
    assert "allow_random" in told
    assert caught.value.where == "model_config.from_pretrained_kwargs.pretrained_model_name_or_path"
    assert loaded(tmp_path, folder, allow_random=["bert"]).model.num_labels == 2


def test_one_layer_that_is_missing(tmp_path, capsys):
    folder = saved(tmp_path / "bert")
    renamed(folder, lambda key: "" if "layer.1" in key else key)
    with pytest.raises(ConfigError, match=r"16 of the model's .*bert\.encoder\.layer\.1\.attention"):
        loaded(tmp_path, folder)
    loaded(tmp_path, folder, allow_random=["bert.encoder.layer.1"])
    assert "start at random, to be trained: bert.encoder.layer.1" in capsys.readouterr().err
    for wrong, message in ((["bert.encoder.layer.7"], "no weight or module"), ("bert", "a list of names")):
        with pytest.raises(ConfigError, match=message):
            loaded(tmp_path, folder, allow_random=wrong)


def test_embeddings_of_another_size_are_random_too(tmp_path):
    folder = saved(tmp_path / "bert")
    more = {"ignore_mismatched_sizes": True, "vocab_size": 55}
    with pytest.raises(ConfigError, match=r"1 of the model's .*word_embeddings"):
        loaded(tmp_path, folder, more=more)
    loaded(tmp_path, folder, more=more, allow_random=["bert.embeddings.word_embeddings"])


@pytest.mark.parametrize("auto_class", [AutoModel, AutoModelForMaskedLM])
def test_a_head_may_be_missing_and_one_of_another_task_left_over(tmp_path, capsys, auto_class):
    loaded(tmp_path, saved(tmp_path / "bert", auto_class))
    told = capsys.readouterr().err
    assert "start at random, to be trained: " in told
    assert "classifier.weight" in told
    assert ("have no place in the model" in told) == (auto_class is AutoModelForMaskedLM)
    assert "warning" not in told


def test_layers_that_are_not_used_are_a_warning(tmp_path, capsys):
    loaded(tmp_path, saved(tmp_path / "bert", num_hidden_layers=3))
    assert "warning" not in capsys.readouterr().err
    loaded(tmp_path, tmp_path / "bert", more={"num_hidden_layers": 2})
    told = capsys.readouterr().err
    assert "warning: 16 weights of the file have no place in the model, and are unused: bert.encoder.layer.2" in told


@pytest.mark.parametrize("model", [MARIAN, BART, T5])
@pytest.mark.parametrize("of", ["executor", "model"])
def test_an_export_of_tied_weights_loads(tmp_path, model, of):
    executor = make(tmp_path, model=model)
    executor.model.save_pretrained(tmp_path / "export")
    path = tmp_path / "export" / "model.safetensors"
    assert len(load_file(path)) < len(executor.model.state_dict())
    if of == "executor":
        renamed(tmp_path / "export", lambda key: f"model.{key}")
    torch.manual_seed(1)
    other = make(tmp_path, model=model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(parameter.requires_grad)
    load_weights(other, path, "test.load_model_path")
    for name, weight in executor.state_dict().items():
        assert torch.equal(other.state_dict()[name], weight), name


def test_two_weights_for_a_tied_one(tmp_path):
    model = AutoModelForSeq2SeqLM.from_config(AutoConfig.for_model(vocab_size=9, **BART))
    state = {name: weight.clone() for name, weight in model.state_dict().items()}
    assert with_tied_weights(state, model).keys() == state.keys()
    state["lm_head.weight"] = state["lm_head.weight"] + 1
    with pytest.raises(ExperimentError, match=r"one weight for .* but the file has two that differ"):
        with_tied_weights(state, model)


def test_a_weight_that_is_missing_stays_missing(tmp_path):
    executor = make(tmp_path)
    executor.model.save_pretrained(tmp_path / "export")
    renamed(tmp_path / "export", lambda key: key.replace("fc1", "fc9"))
    with pytest.raises(ExperimentError, match=r"fc1(.|\n)*fc9"):
        load_weights(executor, tmp_path / "export" / "model.safetensors", "test.load_model_path")
