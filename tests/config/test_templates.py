"""runway's jsonnet functions, and variants of a config."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from runway.cli.app import parse
from runway.config.overrides import names_variant
from runway.errors import ConfigError

if TYPE_CHECKING:
    from tests.config.conftest import Files

TC = "local tc = import 'runway/text_classification.libsonnet';\n"
PIPELINE = """
local pipeline = import 'runway/pipeline.libsonnet';
local chain = pipeline.chain([
  ['input:A', { transform_name: 'DummyTransform' }],
  ['process:B', { transform_name: 'DummyTransform', cache: true }],
  ['output:C', { transform_name: 'DummyTransform', input_node: ['process:B', 'input:A'] }],
]);
"""
N: dict[str, Any] = {"transform_name": "DummyTransform"}
A, B, C = N, {**N, "cache": True, "input_node": "input:A"}, {**N, "input_node": ["process:B", "input:A"]}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("chain", {"input:A": A, "process:B": B, "output:C": C}),
        (
            "pipeline.insert_after(chain, 'process:B', 'process:N', { transform_name: 'X' })",
            {
                "input:A": A,
                "process:B": B,
                "process:N": {"transform_name": "X", "input_node": "process:B"},
                "output:C": {**C, "input_node": ["process:N", "input:A"]},
            },
        ),
        (
            "pipeline.insert_before(chain, 'output:C', 'process:N', { transform_name: 'X' })",
            {
                "input:A": A,
                "process:B": B,
                "process:N": {"transform_name": "X", "input_node": "process:B"},
                "output:C": {**C, "input_node": ["process:N", "input:A"]},
            },
        ),
        (
            "pipeline.replace(chain, 'process:B', { transform_name: 'X' })",
            {"input:A": A, "process:B": {**B, "transform_name": "X"}, "output:C": C},
        ),
        (
            "pipeline.rename(chain, 'process:B', 'process:Z')",
            {"input:A": A, "process:Z": B, "output:C": {**C, "input_node": ["process:Z", "input:A"]}},
        ),
        (
            "pipeline.remove(chain, 'process:B')",
            {"input:A": A, "output:C": {**C, "input_node": ["input:A", "input:A"]}},
        ),
        (
            "pipeline.configure(chain, 'input:A', { n: 1 })",
            {"input:A": {**A, "setup_kwargs": {"n": 1}}, "process:B": B, "output:C": C},
        ),
        (
            "pipeline.join([chain, { transforms: { D: { transform_name: 'X', inputs: { data: 'input:A' } } } }])",
            {"input:A": A, "process:B": B, "output:C": C, "D": {"transform_name": "X", "inputs": {"data": "input:A"}}},
        ),
        (
            "pipeline.rename({ transforms: { a: { transform_name: 'X', inputs: { data: 'b' } }, b: {} } }, 'b', 'c')",
            {"a": {"transform_name": "X", "inputs": {"data": "c"}}, "c": {}},
        ),
    ],
)
def test_pipelines_in_pieces(files: Files, expression: str, expected: dict[str, Any]) -> None:
    config = files.load(f"{PIPELINE}{{ data_pipeline: {expression} }}", check=False)
    assert config.data_pipeline.transforms.to_dict() == expected


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("pipeline.rename(chain, 'process:X', 'b')", "has no node process:X, only input:A"),
        ("pipeline.insert_after(chain, 'input:A', 'process:B', {})", "has a node process:B already"),
        ("pipeline.remove(chain, 'input:A')", "input:A has no input that"),
        ("pipeline.remove({}, 'input:A')", r"must be \{ transforms"),
    ],
)
def test_what_a_pipeline_has_not_is_told(errors_of: Callable[..., Any], expression: str, message: str) -> None:
    (error,) = errors_of(f"{PIPELINE}{{ data_pipeline: {expression} }}")
    assert re.search(message, error.message)


def test_an_experiment_from_a_function_derives_late(files: Files) -> None:
    text = (
        TC
        + "tc.experiment(dataset='r.csv', model='m', valid_size=5, test_size=5, max_length=64) { meta+: { seed: 1 } }"
    )
    config = files.load(
        text,
        "train.batch_size=6",
        "tokenizer_config.tokenize_kwargs.max_length=32",
        "model_config.from_pretrained_kwargs.pretrained_model_name_or_path=other",
    )
    nodes = config.data_pipeline.transforms
    tokenizer = nodes["process:TokenizeDataset"].setup_kwargs.tokenizer_config
    assert (config.test.batch_size, config.meta.seed) == (12, 1)
    assert (tokenizer.version_name, tokenizer.tokenize_kwargs.max_length) == ("other", 32)
    assert nodes["input:LoadDataset"].setup_kwargs == {"dataset_name": "r.csv"}
    assert config.train.early_stopping_callback_paras.monitor == "accuracy"


def test_a_pair_needs_two_columns(errors_of: Callable[..., Any]) -> None:
    (error,) = errors_of(TC + "tc.experiment(dataset='r.csv', model='m', text=['a'], pair=true)")
    assert "a pair has two columns" in error.message


VARIANTS = {
    "configs/demo/model/big.libsonnet": "{ model_config+: { size: 9 }, train+: { batch_size: 4 } }",
    "configs/demo/data/small.libsonnet": "{ rows: 2 * $.train.batch_size }",
    "configs/shared/fast.jsonnet": "{ train+: { batch_size: super.batch_size + 1 } }",
    "configs/demo/data/number.libsonnet": "3",
}
BASE = "{ experiment_name: 'e', model_config: { size: 1, twice: 2 * self.size }, train: { batch_size: 2 }, rows: 1 }"


def test_variants_are_laid_over_late_bound(files: Files) -> None:
    for name, text in VARIANTS.items():
        files.write(name, text)
    config = files.load(BASE, "+model/big", "+data/small", "+shared/fast", "train.on_nan=warn")
    assert config.model_config == {"size": 9, "twice": 18}
    assert (config.train.batch_size, config.rows) == (5, 10)
    source = config.loaded_from
    assert source is not None
    assert source.overrides[:3] == ("+model/big", "+data/small", "+shared/fast")
    assert {file.name for file in source.files} >= {"big.libsonnet", "small.libsonnet", "fast.jsonnet"}
    assert files.load(BASE, "train.batch_size=7", "+model/big").train.batch_size == 7, "overrides hold over variants"


def test_what_is_no_variant_is_told(files: Files) -> None:
    for name, text in VARIANTS.items():
        files.write(name, text)
    with pytest.raises(ConfigError, match="there is no variant 'model/bgi'") as caught:
        files.load(BASE, "+model/bgi")
    assert "did you mean 'model/big'" in str(caught.value.hint)
    with pytest.raises(ConfigError, match=r"must be an object .*, but is: number"):
        files.load(BASE, "+data/number")


def test_the_option_and_the_word_are_the_same() -> None:
    long = parse(["train", "c.jsonnet", "a=1", "--with", "model/big,data/small"]).overrides
    assert long == ["+model/big", "+data/small", "a=1"]
    assert parse(["train", "c.jsonnet", "+model/big", "a=1"]).overrides == ["+model/big", "a=1"]
    mode = parse(["--config", "c.jsonnet", "--mode", "train", "--with", "model/big", "--opts", "a=1"]).overrides
    assert mode == ["+model/big", "a=1"]
    assert not names_variant("+a=1")
