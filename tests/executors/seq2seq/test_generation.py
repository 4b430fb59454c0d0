"""Decoding: hypotheses that depend on no neighbour, limits by sentence, and wrong parameters."""

from __future__ import annotations

import pytest

from runway.errors import ConfigError
from tests.executors.tiny import trainer
from tests.executors.tiny_translation import (
    BART,
    T5,
    PairRows,
    collate,
    hypotheses,
    make,
    pairs,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """An executor that has learnt most of the ten words."""
    folder = tmp_path_factory.mktemp("trained")
    executor = make(folder, loaders={"rows": 256, "batch_size": 16}, label_smoothing=0.1)
    trainer(folder, max_epochs=12, gradient_clip_val=1.0).fit(executor)
    return executor.eval()


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
    batch = executor._runway_complete(collate([rows[0], rows[1]]))
    tokens = executor.generation(executor.model, batch["input_ids"], batch["attention_mask"])
    lengths = [(row != executor.pad_id).sum().item() - 1 for row in tokens]  # without the decoder's start
    assert lengths == [3 + 2, 11 + 2]
    assert [row[length].item() for row, length in zip(tokens, lengths, strict=True)] == [2, 2]


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


def test_a_misspelt_generate_param_is_guessed(tmp_path):
    with pytest.raises(ConfigError) as caught:
        make(tmp_path, generate_params={"num_beam": 4})
    assert "num_beams" in str(caught.value.hint)
