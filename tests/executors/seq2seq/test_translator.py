"""export_translator and Translator: what is saved is what was tested, and what cannot be used is said."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModelForSeq2SeqLM

from runway.config.config import Config
from runway.errors import ConfigError, DataError, ExperimentError
from runway.executors.lora import add_lora
from runway.executors.seq2seq.export import export_translator
from runway.executors.seq2seq.generation import Generation
from runway.executors.seq2seq.model import Tokenizers, make_model, max_positions
from runway.executors.seq2seq.translator import Translator
from tests.executors.tiny_translation import BART, MARIAN, T5, tokenizer

TOKENIZERS = Tokenizers(tokenizer(), tokenizer())
WEIGHTS = "model.safetensors"


def make(sizes=MARIAN):
    torch.manual_seed(0)
    return make_model(Config(from_config_kwargs=dict(sizes)), TOKENIZERS).eval()


def exported(folder, model=None, params=None, **settings):
    model = model or make()
    generation = Generation(params or {}, model.generation_config, positions=max_positions(model))
    export_translator(folder, model, TOKENIZERS, generation, **settings)
    return folder


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


def test_runway_keeps_to_its_own_limits(tmp_path):
    params = {"max_len_a": 1, "max_len_b": 2, "suppress_tokens": [2]}
    translator = Translator.load(exported(tmp_path, params=params))
    short, long = "ein hund", " ".join(["ein hund"] * 5)
    found = translator.translate([long, short])
    assert found == [translator.translate([text])[0] for text in (long, short)]
    assert [len(text.split()) for text in found] == [11 + 2 - 1, 3 + 2 - 1]  # without the end


# Cleaning


@pytest.mark.parametrize(
    ("cleaning", "text", "cleaned"),
    [
        (None, " ein  a\u0308\tHUND ", "ein ä HUND"),
        ({}, " ein  a\u0308\tHUND ", "ein ä HUND"),
        (
            {"lowercase": True, "splits_to_process": ["train"], "input_mapping": {"de": "source"}},
            "Ein HUND",
            "ein hund",
        ),
        ({"replacements": [{"pattern": "[!?]"}, {"pattern": "hund", "side": "target"}]}, "hund!", "hund"),
        ({"strip": False, "unicode_form": None}, "ein  a\u0308", "ein  a\u0308"),
    ],
)
def test_texts_are_cleaned_as_in_training(tmp_path, capsys, cleaning, text, cleaned):
    folder = exported(tmp_path, cleaning=cleaning)
    translator = Translator.load(folder)
    capsys.readouterr()
    assert translator._clean([text, ""]) == [cleaned, ""]
    assert translator.translate([text, "  "])[1] == ""
    assert translator.translate([]) == []
    assert not capsys.readouterr().err
    assert ("cleaning" in json.loads((folder / "translation.json").read_text())) == (cleaning is not None)


def test_cleaning_that_is_not_known():
    with pytest.raises(ConfigError, match="no setting 'lower_case'") as caught:
        Translator(make(), TOKENIZERS, cleaning={"lower_case": True})
    assert "lowercase" in str(caught.value.hint)


# Texts that are too long


def test_a_text_that_is_too_long(tmp_path, capsys):
    translator = Translator(make(), TOKENIZERS)
    long = " ".join(["hund"] * 80)
    with pytest.raises(DataError, match="81 tokens is longer than the model's 64 positions") as caught:
        translator.translate(["ein", long])
    assert caught.value.where == "text 2"
    with pytest.raises(DataError) as caught:
        translator.translate(["ein", long], places=["a.de, line 7", "a.de, line 8"])
    assert caught.value.where == "a.de, line 8"
    found = translator.translate(["ein", long], on_too_long="truncate")
    assert found == translator.translate(["ein", " ".join(["hund"] * 63)])
    assert "text 2: a text of 81 tokens" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="`on_too_long` must be one of"):
        translator.translate(["ein"], on_too_long="drop")


def test_what_follows_the_end_of_a_sentence_stays():
    translator = Translator(make(), TOKENIZERS)
    assert translator._fitted([*[5] * 70, 2, 9], "text 1", "truncate") == [*[5] * 62, 2, 9]


# Damage


def cut(folder):
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:500])


def change(**weights):
    def damage(folder):
        found = load_file(folder / WEIGHTS)
        for name in [name for name in found if name.endswith("fc1.bias")]:
            del found[name]
        save_file(found | weights, folder / WEIGHTS, metadata={"format": "pt"})

    return damage


def write(name, text):
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, "can be loaded"),
        (write(WEIGHTS, ""), "can be loaded"),
        (write("translation.json", "[]"), "must hold an object"),
        (write("translation.json", '{"joint": true}'), "no 'generate_params'"),
        (write("translation.json", '{"joint": true, "generate_params": {}, "cleaning": 3}'), "no 'cleaning'"),
        (write("config.json", "[]"), "can be loaded"),
        (write("tokenizer.json", "[]"), "can be loaded"),
        (write("tokenizer_config.json", "[]"), "can be loaded"),
        (change(), "missing weights model.decoder.layers.0.fc1.bias, model.encoder.layers.0.fc1.bias"),
        (change(more=torch.ones(2)), "unknown weights more"),
        (change(final_logits_bias=torch.ones(2)), "weights of other sizes final_logits_bias"),
    ],
)
def test_a_damaged_export(tmp_path, damage, message):
    damage(exported(tmp_path))
    with pytest.raises(ExperimentError, match=message) as caught:
        Translator.load(tmp_path)
    assert caught.value.where == str(tmp_path)
    assert "runway test" in str(caught.value.hint)
