"""Top-level keys that nothing reads beside one of nearly the same name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runway.config.schema import CONFIG
from runway.config.unread_keys import is_near

if TYPE_CHECKING:
    from tests.config.conftest import Files

BASE = "{ tokenizer: { size: 3 }, dataset: { a: 1 }, model_config: { size: $.tokenizer.size, a: $.dataset } }"


@pytest.mark.parametrize(
    ("more", "note"),
    [
        (
            "tokeniser: { size: 4 }",
            "`tokeniser`",
        ),
        ("datasets: { a: 2 }", "`datasets`"),
        ("trian: 3", "`trian`"),
        ("modle_config: 3", "`modle_config`"),
        ("tokeniser: 4, model_config+: { b: $.tokeniser }", None),
        ("tokeniser: 4, model_config+: { b: $['tokeniser'] }", None),
        ("tokeniser: 4, model_config+: { b: '%(tokeniser)s' % $ }", None),
        ("tokens: 4, data: 1, train2: 3, brain: 3, dataset_de: 1, dataset_en: 2", None),
        ("colour: 1, color: 2", None),  # nothing reads either
    ],
)
def test_a_key_beside_one_that_is_read(files: Files, more: str, note: str | None) -> None:
    files.write("configs/demo/base.libsonnet", BASE)
    config = files.load(f"(import 'base.libsonnet') + {{ {more} }}")
    assert len(config.notes) == (note is not None)
    assert note is None or (note in config.notes[0] and "did you mean" in config.notes[0])


def test_a_key_that_the_projects_code_reads(files: Files) -> None:
    text = "{ datasets: 1, dataset: 2, mine: $.dataset }"
    assert len(files.load(text).notes) == 1
    modules = "meta: { user_modules: ['elsewhere'] }"  # not below src/: what it reads is not known
    assert files.load(f"{text} + {{ {modules} }}").notes == []
    files.write("src/data_ops/ops.py", "def f(config):\n    return config.datasets\n")
    assert files.load(text).notes == []


def test_an_override_that_made_the_key_is_told_once(files: Files) -> None:
    config = files.load("{ dataset: 2, mine: $.dataset }", "datasets=3")
    assert len(config.notes) == 1
    assert "the override 'datasets=3' made the new key" in config.notes[0]


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("dataset_de", "dataset_en"),
        ("field_a", "field_b"),
        ("lang1", "lang2"),
        ("encoder", "decoder"),
        ("max_length", "min_length"),
        ("source", "target"),
        ("src_vocab", "tgt_vocab"),
        ("tokenizer", "tokenizer_config"),
        ("modelA", "modelB"),
        ("text", "test"),
    ],
)
def test_names_that_were_chosen(name: str, other: str) -> None:
    assert not is_near(name, other)
    assert not is_near(other, name)


def test_no_two_keys_of_the_schema_are_near() -> None:
    assert not [(a, b) for a in CONFIG for b in CONFIG if a != b and is_near(a, b)]
