"""Top-level keys from which nothing derives, beside one of nearly the same name. Of overrides: test_load.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.config.conftest import Files

BASE = "{ tokenizer: { size: 3 }, dataset: { a: 1 }, model_config: { size: $.tokenizer.size, a: $.dataset } }"


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ("tokeniser: { size: 4 }", "`tokeniser`"),
        ("datasets: { a: 2 }", "`datasets`"),
        ("trian: 3", "`trian`"),
        ("modle_config: 3", "`modle_config`"),
        ("tokeniser: 4, model_config+: { b: $.tokeniser }", None),
        ("tokeniser: 4, model_config+: { b: $['tokeniser'] }", None),
        ("tokeniser: 4, model_config+: { b: '%(tokeniser)s' % $ }", None),
        ("tokens: 4, data: 1, train2: 3, brain: 3, dataset_de: 1, dataset_en: 2", None),
        ("side_a: 1, side_b: 2, both: [$.side_a]", None),
        ("lang1: 1, lang2: 2, modelA: 1, modelB: 2, both: [$.lang1, $.modelB]", None),
        ("encoder: 1, decoder: 2, max_length: 1, min_length: 2, all: [$.encoder, $.min_length]", None),
        ("colour: 1, color: 2", None),  # nothing derives from either
    ],
)
def test_a_key_beside_one_that_is_derived_from(files: Files, more: str, key: str | None) -> None:
    files.write("configs/demo/base.libsonnet", BASE)
    warnings = files.load(f"(import 'base.libsonnet') + {{ {more} }}").loaded_from.warnings
    assert len(warnings) == (key is not None)
    assert key is None or (f"derives from the key {key}" in warnings[0] and "did you mean" in warnings[0])


def test_an_override_that_made_the_key_is_told_once(files: Files) -> None:
    text = "{ dataset: 2, mine: $.dataset }"
    (warning,) = files.load(text, "datasets=3").loaded_from.warnings
    assert "the override 'datasets=3' made the new key" in warning
    (warning,) = files.load(text.replace("2", "{ a: 1 }"), "datasets.a=3").loaded_from.warnings
    assert "nothing in the config derives from the key `datasets`" in warning


def test_a_setting_of_the_users_own_that_nothing_reads(files: Files) -> None:
    text = """{ train: { weight_decay: 1, num_workers: 2, max_epochs: 3, label: 4, derived:: $.train.label },
      test: { generate_params: {} }, eval: { mine: 1 } }"""
    files.write(
        "src/executors/e.py", "a = self.train_config.weight_decay\nb = test['generate_params']\n# num_workers, mine\n"
    )
    told = files.load(text).loaded_from.warnings
    assert [one.split("`")[1] for one in told] == ["train.max_epochs", "train.num_workers", "eval.mine"]
    assert "did you mean train.trainer_paras.max_epochs?" in told[0]
