"""Models in the tokenizer's sizes, from scratch and from files."""

from __future__ import annotations

import json

import pytest
import torch

from runway.errors import ConfigError
from runway.executors.seq2seq.executor import Seq2SeqExecutor
from tests.executors.tiny import build, trainer
from tests.executors.tiny_translation import (
    BART,
    MARIAN,
    NODES,
    T5,
    WORDS,
    PairRows,
    collate,
    make,
    pairs,
    tokenizer,
    translation_config,
)


@pytest.mark.parametrize("model", [MARIAN, BART, T5], ids=["marian", "bart", "t5"])
def test_a_model_from_scratch_takes_its_sizes_from_the_tokenizer(tmp_path, model):
    executor = make(tmp_path, model=model)
    config, used = executor.model.config, tokenizer()
    assert (config.vocab_size, config.pad_token_id, config.eos_token_id) == (len(used), 0, 2)
    assert executor.start_id == used.bos_token_id == executor.model.generation_config.decoder_start_token_id
    assert executor.model.get_output_embeddings().weight.shape[0] == len(used)


def test_two_tokenizers(tmp_path):
    executor = make(tmp_path, joint=False)
    assert executor.model.get_encoder().embed_tokens.num_embeddings == len(tokenizer("source"))
    assert executor.model.get_output_embeddings().weight.shape[0] == len(tokenizer("target"))
    run = trainer(tmp_path, max_epochs=1)
    run.fit(executor)
    run.test(executor, verbose=False)
    assert set(" ".join(executor.test_eval_recorder.get_sample_logs_column("hypothesis")).split()) <= {*WORDS.values()}
    with pytest.raises(ConfigError, match="one vocabulary for both sides"):
        make(tmp_path, joint=False, model=BART)


def test_pretrained_weights_and_architecture_only(tmp_path):
    saved = make(tmp_path)
    saved.model.save_pretrained(tmp_path / "model")
    config = translation_config(tmp_path)
    config.model_config = {"from_pretrained_kwargs": {"pretrained_model_name_or_path": str(tmp_path / "model")}}
    again = build(Seq2SeqExecutor, config, **NODES)
    assert torch.equal(again.model.lm_head.weight, saved.model.lm_head.weight)
    config.model_config["train_from_scratch"] = True
    scratch = build(Seq2SeqExecutor, config, **NODES)
    assert scratch.model.config.d_model == 32
    assert not torch.equal(scratch.model.lm_head.weight, saved.model.lm_head.weight)


def test_the_architecture_of_a_checkpoint_with_settings_of_older_versions(tmp_path):
    folder = tmp_path / "model"
    make(tmp_path).model.save_pretrained(folder)
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"_num_labels": 3, "add_bias_logits": False}))
    config = translation_config(tmp_path)
    config.model_config = {
        "from_pretrained_kwargs": {"pretrained_model_name_or_path": str(folder)},
        "from_config_kwargs": {"decoder_layers": 2},
        "train_from_scratch": True,
    }
    executor = build(Seq2SeqExecutor, config, **NODES)
    assert len(executor.model.get_decoder().layers) == 2
    config.model_config["from_config_kwargs"] = {"layers": 2}
    with pytest.raises(ConfigError, match="no setting 'layers'"):
        build(Seq2SeqExecutor, config, **NODES)
    del config.model_config["train_from_scratch"]
    with pytest.raises(ConfigError, match="`from_config_kwargs` for a model from scratch"):
        build(Seq2SeqExecutor, config, **NODES)


def test_training_starts_the_decoder_as_decoding_does(tmp_path):
    saved = make(tmp_path, model=BART).model
    saved.config.decoder_start_token_id = saved.generation_config.decoder_start_token_id = None
    saved.save_pretrained(tmp_path / "model")
    config = translation_config(tmp_path)
    config.model_config = {"from_pretrained_kwargs": {"pretrained_model_name_or_path": str(tmp_path / "model")}}
    executor = build(Seq2SeqExecutor, config, **NODES).eval()
    batch = executor._runway_complete(collate([PairRows(pairs(1))[0]]))
    tokens = executor.generation(executor.model, batch["input_ids"], batch["attention_mask"])
    assert batch["decoder_input_ids"][0, 0] == tokens[0, 0] == 1


def test_a_tokenizer_that_is_not_the_models(tmp_path, capsys):
    saved = make(tmp_path).model
    saved.resize_token_embeddings(100)
    saved.config.eos_token_id = 2
    saved.save_pretrained(tmp_path / "model")
    config = translation_config(tmp_path)
    config.model_config = {"from_pretrained_kwargs": {"pretrained_model_name_or_path": str(tmp_path / "model")}}
    build(Seq2SeqExecutor, config, **NODES)
    assert "tokenizer has 24 tokens, but the model has 100" in capsys.readouterr().err
    saved.config.eos_token_id = 0
    saved.save_pretrained(tmp_path / "model")
    with pytest.raises(ConfigError, match="eos_token_id is 2, but the model was trained with 0"):
        build(Seq2SeqExecutor, config, **NODES)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"model_type": "marain"}, "no model of type 'marain'"),
        ({"model_type": "bert"}, "must name an encoder-decoder"),
        ({"model_type": None}, "`model_type` must name"),
        ({"hidden": 32}, "no setting 'hidden'"),
        ({"vocab_size": 5}, "at least the tokenizer's 24 tokens"),
        ({"d_model": 33}, "multiple of"),
    ],
)
def test_sizes_that_do_not_fit(tmp_path, sizes, message):
    with pytest.raises(ConfigError, match=message):
        make(tmp_path, model={**MARIAN, **sizes})
