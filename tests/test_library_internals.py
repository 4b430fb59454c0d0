"""The undocumented names of the libraries: this fails first where a new version moves one."""

from __future__ import annotations

import inspect
import logging
import threading

import datasets
import evaluate
import huggingface_hub
import pytest
import torch
from transformers import AutoConfig, AutoModel

from runway import library_internals as internals


def tiny_bert(**settings):
    sizes = {"vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    return AutoModel.from_config(AutoConfig.for_model("bert", **sizes, intermediate_size=8), **settings)


def test_a_lock_of_logging_that_an_exception_left_held_is_let_go() -> None:
    logging._lock.acquire()  # as where a signal comes before the `try`
    internals.free_logging()
    internals.free_logging()
    other = threading.Thread(target=lambda: logging.getLogger("runway.other").isEnabledFor(logging.DEBUG), daemon=True)
    other.start()
    other.join(20)
    assert not other.is_alive()


def test_the_types_of_encoder_decoders():
    assert {"marian", "bart", "t5"} <= set(internals.encoder_decoder_types())
    assert "bert" not in internals.encoder_decoder_types()


def test_the_functions_behind_schedules():
    parameters = inspect.signature(internals.schedule_function("linear")).parameters
    assert {"optimizer", "num_warmup_steps", "num_training_steps", "last_epoch"} <= parameters.keys()
    assert "power" in inspect.signature(internals.schedule_function("polynomial")).parameters


def test_a_models_attention_is_known():
    assert internals.attention_of(tiny_bert(attn_implementation="sdpa")) == "sdpa"
    assert internals.attention_of(tiny_bert(attn_implementation="eager")) == "eager"
    assert internals.attention_of(torch.nn.Linear(1, 1)) is None


def test_a_model_takes_a_registered_attention_with_masks_as_for_sdpa():
    masks = []

    def attend(module, query, key, value, attention_mask, **kwargs):
        masks.append(attention_mask)
        return internals.sdpa_attention(module, query, key, value, attention_mask, **kwargs)

    internals.register_attention_like_sdpa("runway_test", attend)
    model = tiny_bert(attn_implementation="sdpa").eval()
    batch = {"input_ids": torch.tensor([[1, 2, 3]]), "attention_mask": torch.tensor([[1, 1, 0]])}
    expected = model(**batch).last_hidden_state
    model.set_attn_implementation("runway_test")
    assert torch.equal(model(**batch).last_hidden_state, expected)
    (mask,) = masks
    assert mask.dtype == torch.bool
    assert mask[0, 0, 0].tolist() == [True, True, False]


def test_the_layers_of_adapters():
    peft = pytest.importorskip("peft")
    settings = peft.LoraConfig(target_modules=["query"], modules_to_save=["pooler"])
    model = peft.get_peft_model(tiny_bert(), settings)
    found = {
        name.rpartition(".")[2]
        for name, layer in model.named_modules()
        if isinstance(layer, internals.adapter_layers())
    }
    assert {"query", "pooler"} <= found


def test_fingerprints_are_random_within():
    rows = datasets.Dataset.from_dict({"a": [1]})
    one, other = (rows.map(lambda row: row, keep_in_memory=True)._fingerprint for _ in range(2))
    assert one == other
    with internals.random_fingerprints():
        one, other = (rows.map(lambda row: row, keep_in_memory=True)._fingerprint for _ in range(2))
    assert one != other
    assert rows.map(lambda row: row, keep_in_memory=True)._fingerprint


def test_the_hub_is_not_asked_within(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with internals.hub_cache_only():
        assert huggingface_hub.is_offline_mode()
        assert datasets.config.HF_HUB_OFFLINE
    assert not huggingface_hub.constants.HF_HUB_OFFLINE


def test_evaluate_is_offline_within(monkeypatch):
    settings = inspect.getmodule(evaluate.load).config
    monkeypatch.setattr(settings, "HF_EVALUATE_OFFLINE", False)
    with internals.evaluate_offline(True):
        assert settings.HF_EVALUATE_OFFLINE
    with internals.evaluate_offline(False):
        assert not settings.HF_EVALUATE_OFFLINE


def test_the_configs_of_a_readme(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("---\nconfigs:\n- config_name: a\n  data_files: x.csv\n- config_name: b\n  default: true\n---\n")
    configs, default = internals.configs_of_readme(readme)
    assert (dict(configs), default) == ({"a": {"data_files": "x.csv"}, "b": {"default": True}}, "b")
    readme.write_text("# no configs")
    assert internals.configs_of_readme(readme) == ({}, None)


def test_the_builders_and_what_they_read():
    assert {"csv", "imagefolder", "audiofolder", "webdataset", "text"} <= set(internals.hf_builders())
    assert internals.builder_of_suffix(".jpg") == "imagefolder"
    assert internals.builder_of_suffix(".nothing") is None
    takes = internals.builder_takes("imagefolder")
    assert [takes(name) for name in ("a/b.jpg", "a/metadata.csv", "b.csv")] == [True, True, False]
    assert not internals.builder_takes("webdataset")("metadata.csv")


def test_files_are_taken_as_they_are_and_rows_hold_their_content(tmp_path):
    image = pytest.importorskip("PIL.Image")
    path = tmp_path / "[1].png"
    image.new("L", (2, 2)).save(path)
    files = internals.files_as_they_are({"train": [str(path)]})
    rows = datasets.load_dataset("imagefolder", data_files=files, cache_dir=str(tmp_path / "cache"))["train"]
    (held,) = internals.self_contained(rows).with_format("arrow")[:].column("image").to_pylist()
    assert held["bytes"] == path.read_bytes()
    plain = datasets.Dataset.from_dict({"a": [1]})
    assert internals.self_contained(plain) is plain


def test_the_weights_that_are_not_saved(tmp_path):
    from transformers import AutoModelForSeq2SeqLM

    sizes = {f"{side}_{what}": 1 for side in ("encoder", "decoder") for what in ("layers", "attention_heads")}
    config = AutoConfig.for_model("marian", vocab_size=9, d_model=4, pad_token_id=0, **sizes)
    model = AutoModelForSeq2SeqLM.from_config(config)
    places = {f"model.{side}.embed_positions.weight" for side in ("encoder", "decoder")}
    assert internals.weights_not_saved(model) == places
    assert internals.weights_not_saved(torch.nn.ModuleDict({"model": model})) == {f"model.{name}" for name in places}
