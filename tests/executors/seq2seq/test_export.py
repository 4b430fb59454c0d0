"""export_translator: adapters merged, settings of the decoding, a limit of length."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModelForSeq2SeqLM

from runway.executors.lora import add_lora
from runway.executors.seq2seq.translator import Translator
from tests.executors.seq2seq.exported import WEIGHTS, exported, make
from tests.executors.tiny_translation import BART, MARIAN, T5

# Adapters


def logits(model):
    with torch.no_grad():
        found = model(input_ids=torch.tensor([[4, 5, 6, 2]]), decoder_input_ids=torch.tensor([[1, 14, 15]]))
    return found.logits


@pytest.mark.parametrize(
    ("sizes", "config"),
    [
        (MARIAN, {"target_modules": ["q_proj", "v_proj"]}),
        (MARIAN, {"model.model.encoder": {"target_modules": ["q_proj", "fc1"]}}),
        (MARIAN, {"model.model.encoder.layers.0": {"target_modules": ["fc1"]}}),
        (BART, {f"model.model.{part}": {"target_modules": ["fc2"]} for part in ("encoder", "decoder")}),
        (T5, {"model.encoder.block.0": {"target_modules": ["q", "v"]}}),
        (MARIAN, {"target_modules": ["fc1", "lm_head"]}),
        (MARIAN, {"target_modules": ["fc1"], "modules_to_save": ["lm_head"]}),
    ],
    ids=["whole", "encoder", "layer", "two parts", "t5", "tied", "saved"],
)
@pytest.mark.filterwarnings(
    "ignore:Model with `tie_word_embeddings", "ignore:Input and output embeddings are no longer"
)
def test_adapters_are_merged_wherever_they_are(tmp_path, sizes, config):
    pytest.importorskip("peft")
    owner = nn.Module()
    owner.model = make(sizes)
    add_lora(owner, config)
    for name, weight in owner.model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(weight, std=0.3)
    before = logits(owner.model.eval())
    folder = exported(tmp_path, owner.model)
    assert not [name for name in load_file(folder / WEIGHTS) if "lora" in name or "base_" in name]
    assert torch.allclose(logits(Translator.load(folder).model), before, atol=1e-5)
    assert torch.equal(logits(owner.model), before)
    assert any("lora_B" in name for name, _ in owner.model.named_parameters())


# Decoding settings


@pytest.mark.parametrize(
    "params",
    [
        {"num_beams": 1, "length_penalty": 0.6},
        {"early_stopping": True},
        {"temperature": 0.7},
        {"use_cache": False, "cache_implementation": "static"},
    ],
)
def test_settings_without_an_effect_do_not_hinder_the_export(tmp_path, params):
    folder = exported(tmp_path, params=params)
    assert json.loads((folder / "translation.json").read_text())["generate_params"] == params
    saved = AutoModelForSeq2SeqLM.from_pretrained(folder).generation_config
    assert [getattr(saved, name) for name in params if name not in ("num_beams", "use_cache")] == [None]
    assert Translator.load(folder).generation.params == params


def test_settings_with_an_effect_are_saved(tmp_path):
    given = {"num_beams": 3, "length_penalty": 0.6, "early_stopping": True, "no_repeat_ngram_size": 2}
    saved = AutoModelForSeq2SeqLM.from_pretrained(exported(tmp_path, params=given)).generation_config
    assert {name: getattr(saved, name) for name in given} == given
    assert saved.bad_words_ids == [[0], [1]]


@pytest.mark.parametrize(
    ("sizes", "params", "expected"),
    [
        (MARIAN, {}, (64, None)),
        (T5, {}, (256, None)),
        (MARIAN, {"max_len_a": 2}, (64, None)),
        (MARIAN, {"max_length": 9}, (9, None)),
        (MARIAN, {"max_new_tokens": 9}, (None, 9)),
    ],
)
def test_the_export_has_a_limit_of_length(tmp_path, sizes, params, expected):
    folder = exported(tmp_path, make(sizes), params)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder)
    assert (model.generation_config.max_length, model.generation_config.max_new_tokens) == expected
    model.generation_config.suppress_tokens = [2]  # no end
    ids = torch.tensor([[4, 5, 2]])
    length = model.generate(ids, attention_mask=torch.ones_like(ids)).shape[1]
    assert length == (expected[0] or expected[1] + 1)
