"""Seq2SeqExecutor: losses that are exact, what is recorded, and mistakes that are told before the training."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from lightning.pytorch.callbacks import ModelCheckpoint
from transformers import AutoModelForSeq2SeqLM

from runway.errors import ConfigError, DataError
from runway.executors.seq2seq.executor import Seq2SeqExecutor
from tests.executors.tiny import build, trainer
from tests.executors.tiny_translation import (
    NODES,
    WORDS,
    PairRows,
    collate,
    hypotheses,
    make,
    pairs,
    translation_config,
)


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
    assert executor._runway_texts(batch, "source") == [source for source, _ in rows.texts]
    assert executor._runway_texts(batch, "target") == [target for _, target in rows.texts]


def test_validation_decodes_where_it_is_asked_to(tmp_path):
    executor = make(tmp_path, generate_in_validation=True, generate_params={"max_new_tokens": 3})
    trainer(tmp_path).fit(executor)
    assert len(executor.valid_eval_recorder.get_sample_logs_column("hypothesis")) == 21


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
