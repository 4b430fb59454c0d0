"""Translator: it keeps to its limits, cleans texts as the training did, and says what cannot be used."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from runway.errors import ConfigError, DataError, ExperimentError
from runway.executors.seq2seq.translator import Translator
from tests.executors.seq2seq.exported import TOKENIZERS, WEIGHTS, exported, make


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
