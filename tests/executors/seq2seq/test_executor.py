"""Seq2SeqExecutor: losses that are exact, hypotheses that depend on no neighbour, models in the tokenizer's sizes."""

from __future__ import annotations

import json
import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from lightning.pytorch.callbacks import ModelCheckpoint
from transformers import AutoModelForSeq2SeqLM

from runway.errors import ConfigError, DataError
from runway.executors.seq2seq.executor import Seq2SeqExecutor
from runway.executors.seq2seq.generation import Generation
from tests.executors.tiny import build, trainer
from tests.executors.tiny_translation import (
    BART,
    MARIAN,
    T5,
    WORDS,
    PairRows,
    batches_of,
    collate,
    pairs,
    tokenizer,
    translation_config,
)

NODES = {"tokenizer_node": "process:Tokenizer"}


def make(tmp_path, *, mode="train", joint=True, model=None, loaders=None, **init_kwargs):
    torch.manual_seed(0)
    config = translation_config(tmp_path, joint=joint, model=model, **(loaders or {}))
    return build(Seq2SeqExecutor, config, mode, **{**NODES, **init_kwargs})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """An executor that has learnt most of the ten words."""
    folder = tmp_path_factory.mktemp("trained")
    executor = make(folder, loaders={"rows": 256, "batch_size": 16}, label_smoothing=0.1)
    trainer(folder, max_epochs=12, gradient_clip_val=1.0).fit(executor)
    return executor.eval()


def hypotheses(executor, rows, batch_size, num_beams):
    executor.generation = Generation(
        {"num_beams": num_beams}, executor.model.generation_config, positions=executor.positions
    )
    found = {}
    for batch in batches_of(rows, batch_size):
        texts = executor.translate_batch(executor._complete(collate([rows[row] for row in batch])))
        found.update(zip(batch, texts, strict=True))
    return [found[row] for row in range(len(rows))]


@pytest.mark.parametrize("num_beams", [1, 4])
def test_hypotheses_do_not_depend_on_the_batch(trained, num_beams):
    rows = PairRows(pairs(24, seed=5, most=14))
    alone = hypotheses(trained, rows, 1, num_beams)
    assert len(set(alone)) > 15
    assert sum(text == right for text, (_, right) in zip(alone, rows.texts, strict=True)) > 5
    for batch_size in (3, 8, 24):
        assert hypotheses(trained, rows, batch_size, num_beams) == alone


@pytest.mark.parametrize("model", [BART, T5], ids=["bart", "t5"])
@pytest.mark.parametrize("num_beams", [1, 4])
def test_nor_on_the_batch_in_other_architectures(tmp_path, model, num_beams):
    executor = make(tmp_path, model=model).eval()
    rows = PairRows(pairs(9, seed=5))
    alone = hypotheses(executor, rows, 1, num_beams)
    for batch_size in (3, 8):
        assert hypotheses(executor, rows, batch_size, num_beams) == alone


def test_nor_where_a_pretrained_model_forces_the_end(tmp_path):
    executor = make(tmp_path).eval()
    for weight in executor.model.parameters():
        weight.data.normal_(0, 0.4)
    executor.model.generation_config.forced_eos_token_id = 2  # as Marian's checkpoints have it
    rows = PairRows(pairs(12, seed=2, most=14))
    assert hypotheses(executor, rows, 12, 4) == hypotheses(executor, rows, 1, 4)


def test_a_hypothesis_ends_at_the_limit_of_its_own_sentence(tmp_path):
    executor = make(tmp_path, generate_params={"max_len_a": 1, "max_len_b": 2, "suppress_tokens": [2]}).eval()
    rows = PairRows([("ein hund", "a dog"), (" ".join(["ein hund"] * 5), " ".join(["a dog"] * 5))])
    batch = executor._complete(collate([rows[0], rows[1]]))
    tokens = executor.generation(executor.model, batch["input_ids"], batch["attention_mask"])
    lengths = [(row != executor.pad_id).sum().item() - 1 for row in tokens]  # without the decoder's start
    assert lengths == [3 + 2, 11 + 2]
    assert [row[length].item() for row, length in zip(tokens, lengths, strict=True)] == [2, 2]


def test_learns_and_logs_exact_means_over_tokens(tmp_path):
    executor = make(tmp_path, loaders={"rows": 128, "batch_size": 16, "eval_batch_size": 8}, label_smoothing=0.1)
    run = trainer(tmp_path, max_epochs=6)
    run.fit(executor)
    metrics = run.callback_metrics
    assert float(metrics["val_loss"]) < math.log(len(WORDS) * 2 + 4) - 1
    assert float(metrics["val_perplexity"]) == pytest.approx(math.exp(float(metrics["val_loss"])), rel=1e-4)
    assert {"train_loss", "train_loss_step", "train_loss_epoch"} <= metrics.keys()
    rows = PairRows(pairs(21, seed=1))  # one by one: no batches, no padding
    executor.eval()
    total, tokens, by_row = 0.0, 0, []
    with torch.no_grad():
        for source, target in rows.rows:
            decoder_ids = torch.tensor([[executor.start_id, *target[:-1]]])
            logits = executor.model(input_ids=torch.tensor([source]), decoder_input_ids=decoder_ids).logits
            losses = F.cross_entropy(logits[0], torch.tensor(target), reduction="none")
            total, tokens = total + float(losses.sum()), tokens + len(target)
            by_row.append(float(losses.mean()))
    assert float(metrics["val_loss"]) == pytest.approx(total / tokens, rel=1e-5)
    recorder = executor.valid_eval_recorder
    assert recorder.get_sample_logs_column("loss") == pytest.approx(by_row, rel=1e-4)
    assert recorder.get_sample_logs_column("target_tokens") == [len(target) for _, target in rows.rows]
    assert "hypothesis" not in recorder


def test_a_test_records_every_pair_in_the_datasets_order(tmp_path):
    executor = make(tmp_path, mode="test", loaders={"test_rows": 21, "eval_batch_size": 4})
    run = trainer(tmp_path)
    run.test(executor, verbose=False)
    recorder = executor.test_eval_recorder
    assert len(recorder) == 21
    texts = pairs(21, seed=2)
    assert recorder.get_sample_logs_column("source") == [source for source, _ in texts]
    assert recorder.get_sample_logs_column("reference") == [target for _, target in texts]
    rows = PairRows(texts)
    executor.eval()
    executor.on_before_batch_transfer(collate([rows[0]]), 0)
    assert recorder.get_sample_logs_column("hypothesis") == hypotheses(executor, rows, 1, 1)
    assert {"test_loss", "test_perplexity"} <= run.callback_metrics.keys()


def test_texts_are_decoded_where_the_batch_has_none(tmp_path):
    executor = make(tmp_path).eval()
    rows = PairRows(pairs(3, seed=3))
    batch = {name: value for name, value in collate(list(rows)).items() if name not in ("source", "target")}
    assert executor._texts(batch, "source") == [source for source, _ in rows.texts]
    assert executor._texts(batch, "target") == [target for _, target in rows.texts]


def test_validation_decodes_where_it_is_asked_to(tmp_path):
    executor = make(tmp_path, generate_in_validation=True, generate_params={"max_new_tokens": 3})
    trainer(tmp_path).fit(executor)
    assert len(executor.valid_eval_recorder.get_sample_logs_column("hypothesis")) == 21


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
    batch = executor._complete(collate([PairRows(pairs(1))[0]]))
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


def test_decodes_with_weights_in_half_precision(tmp_path):
    executor = make(tmp_path, mode="test")
    trainer(tmp_path, precision="bf16-true").test(executor, verbose=False)
    assert len(executor.test_eval_recorder) == 21


def test_lora(tmp_path):
    pytest.importorskip("peft")
    config = translation_config(tmp_path)
    config.train["use_lora"] = True
    config.train["lora_config"] = {"r": 2, "target_modules": ["q_proj", "v_proj"]}
    executor = build(Seq2SeqExecutor, config, mode="test", **NODES)
    executor.recorders_dir = tmp_path / "test"
    run = trainer(tmp_path, max_steps=2)
    run.fit(executor)
    run.test(executor, verbose=False)
    exported = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "test" / "export")
    assert not any("lora" in name for name, _ in exported.named_parameters())


def test_fused_optimiser_with_clipping_in_half_precision(tmp_path):
    executor = make(tmp_path)
    executor.train_config.optimizer_config.optimizer_params["fused"] = True
    executor.train_config.optimizer_config.optimizer_params["lr"] = 1.0
    executor.train_config.optimizer_config["optimizer_name"] = "SGD"
    before = {name: value.detach().clone() for name, value in executor.named_parameters()}
    trainer(tmp_path, max_steps=1, limit_val_batches=0, gradient_clip_val=0.01, precision="bf16-mixed").fit(executor)
    moved = sum(
        float((value - before[name]).square().sum()) for name, value in executor.state_dict().items() if name in before
    )
    assert math.sqrt(moved) == pytest.approx(0.01, rel=1e-2)  # one step of SGD at lr 1: the clipped gradient


# Mistakes


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"num_beam": 4}, "no setting 'num_beam'"),
        ({"num_beams": 0}, "whole number from 1"),
        ({"max_len_a": -1}, "number from 0"),
        ({"max_new_tokens": 65}, "64 positions"),
        ({"max_new_tokens": "many"}, "whole number"),
        ({"early_stopping": "sometimes"}, "transformers refuses"),
        ({"num_return_sequences": 3}, "one hypothesis"),
        ({"forced_eos_token_id": 2}, "limit of its own sentence"),
        ({"max_new_tokens": 5, "max_len_b": 9}, "two limits"),
    ],
)
def test_wrong_generate_params(tmp_path, params, message):
    with pytest.raises(ConfigError, match=message) as caught:
        make(tmp_path, generate_params=params)
    assert caught.value.where == "executor.init_kwargs.generate_params"


@pytest.mark.parametrize("params", [{"penalty_alpha": 0.6, "top_k": 4}, {"num_beams": 4, "num_beam_groups": 2}])
def test_what_fails_only_in_decoding_is_found_before_the_training(tmp_path, params):
    executor = make(tmp_path, generate_params=params)
    with pytest.raises(ConfigError, match="transformers cannot decode") as caught:
        trainer(tmp_path).fit(executor)
    assert caught.value.where == "executor.init_kwargs.generate_params"
    assert executor.valid_eval_recorder is None or not len(executor.valid_eval_recorder)


@pytest.mark.parametrize(
    ("init_kwargs", "mode", "message"),
    [({}, "max", "is not computed in validations"), ({"generate_in_validation": True}, "min", "is the highest")],
)
def test_a_score_that_cannot_choose_the_checkpoint(tmp_path, init_kwargs, mode, message):
    executor = make(tmp_path, **init_kwargs)
    executor.global_config["eval"]["valid_eval_pipeline_config"] = {
        "transforms": {"output:Get": {"transform_name": "GetEvaluationRecorder"}}
    }
    saving = ModelCheckpoint(tmp_path, monitor="sacrebleu", mode=mode)
    with pytest.raises(ConfigError, match=message):
        trainer(tmp_path, callbacks=[saving], enable_checkpointing=True).fit(executor)


def test_a_missing_test_split_is_told_before_the_training(tmp_path, capsys):
    executor = make(tmp_path)
    trainer(tmp_path, max_steps=1).fit(executor)
    assert "no test split" not in capsys.readouterr().err
    executor = make(tmp_path)
    del executor.dataloaders()["test_dataloaders"]
    trainer(tmp_path, max_steps=1).fit(executor)
    assert "there is no test split" in capsys.readouterr().err


def test_several_dataloaders_to_train_on(tmp_path):
    executor = make(tmp_path)
    executor.train_dataloaders = executor.dataloaders()["train_dataloaders"] * 2
    with pytest.raises(ConfigError, match="takes one dataloader, but there are 2"):
        trainer(tmp_path).fit(executor)


def test_a_misspelt_generate_param_is_guessed(tmp_path):
    with pytest.raises(ConfigError) as caught:
        make(tmp_path, generate_params={"num_beam": 4})
    assert "num_beams" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("init_kwargs", "message"),
    [
        ({"tokenizer_node": "process:Tokeniser"}, "no node 'process:Tokeniser'"),
        ({"tokenizer_node": "output:Loaders"}, "must be a tokenizer"),
        ({"tokenizer_node": None}, "names none"),
        ({"label_smoothing": 1.5}, "label_smoothing"),
        ({"average_last": 0}, "whole number from 1"),
        ({"average_last": {"count": 3, "every": 5}}, "unknown key 'every'"),
        ({"beams": 3}, "no setting 'beams'"),
    ],
)
def test_wrong_settings(tmp_path, init_kwargs, message):
    with pytest.raises(ConfigError, match=message):
        make(tmp_path, **init_kwargs)


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


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_pair_longer_than_the_positions(tmp_path, side):
    executor = make(tmp_path)
    long, short = " ".join(["hund"] * 70), "hund"
    texts = (long, "dog") if side == "source" else (short, " ".join(["dog"] * 70))
    rows = PairRows([("ein", "a"), texts])
    with pytest.raises(DataError, match=f"a {side} of 71 tokens is longer than the model's 64 positions") as caught:
        executor.on_before_batch_transfer(collate([rows[0], rows[1]]), 0)
    assert "row 1" in str(caught.value.where)


def test_batches_without_labels(tmp_path):
    executor = make(tmp_path)
    with pytest.raises(DataError, match="no 'labels'"):
        executor.on_before_batch_transfer({"input_ids": torch.ones(1, 2, dtype=torch.long)}, 0)
